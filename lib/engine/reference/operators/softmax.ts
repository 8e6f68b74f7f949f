import { sizeOf } from '../../layout';
import type { Tensor } from '../tensor';
import type { AttributesOf, Operator } from './operator';

/** Visits each line along the axis: its `count` numbers lie at start, start + stride, … */
function eachLine({ dims }: Tensor, axis: number, visit: (start: number, stride: number, count: number) => void): void {
  const count = dims[axis]!;
  const outer = sizeOf(dims.slice(0, axis));
  const stride = sizeOf(dims.slice(axis + 1));
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < stride; i++) visit(o * count * stride + i, stride, count);
  }
}

/** Fills y with softmax of x along an axis of its dims. */
export function softmaxAlong(x: Tensor, axis: number, y: Tensor): void {
  eachLine(x, axis, (start, stride, count) => {
    let largest = -Infinity;
    for (let k = 0; k < count; k++) largest = Math.max(largest, x.data[start + k * stride]!);
    let sum = 0;
    for (let k = 0; k < count; k++) sum += y.data[start + k * stride] = Math.exp(x.data[start + k * stride]! - largest);
    for (let k = 0; k < count; k++) y.data[start + k * stride]! /= sum;
  });
}

/** Adds to toX the cotangent of softmax's input: y · (cotangent − ⟨cotangent, y⟩). */
export function softmaxBackward(y: Tensor, axis: number, cotangent: Tensor, toX: Tensor): void {
  eachLine(y, axis, (start, stride, count) => {
    let inner = 0;
    for (let k = 0; k < count; k++) inner += cotangent.data[start + k * stride]! * y.data[start + k * stride]!;
    for (let k = 0; k < count; k++) {
      const i = start + k * stride;
      toX.data[i]! += y.data[i]! * (cotangent.data[i]! - inner);
    }
  });
}

export const softmax: Operator<AttributesOf<'Softmax'>> = {
  forward([x], output, { axis }) {
    softmaxAlong(x!, axis, output);
  },
  backward(_inputs, output, cotangent, [toX], { axis }) {
    if (toX) softmaxBackward(output, axis, cotangent, toX);
  },
  // The derivative is a symmetric matrix.
  tangent(_inputs, output, [ofX], tangent, { axis }) {
    tangent.data.fill(0);
    softmaxBackward(output, axis, ofX!, tangent);
  },
};

/** x − log Σ eˣ, exact where the softmax underflows. */
export const logSoftmax: Operator<AttributesOf<'LogSoftmax'>> = {
  forward([x], output, { axis }) {
    eachLine(x!, axis, (start, stride, count) => {
      let largest = -Infinity;
      for (let k = 0; k < count; k++) largest = Math.max(largest, x!.data[start + k * stride]!);
      let sum = 0;
      for (let k = 0; k < count; k++) sum += Math.exp(x!.data[start + k * stride]! - largest);
      const logSum = largest + Math.log(sum);
      for (let k = 0; k < count; k++) output.data[start + k * stride] = x!.data[start + k * stride]! - logSum;
    });
  },
  backward(_inputs, output, cotangent, [toX], { axis }) {
    if (!toX) return;
    eachLine(output, axis, (start, stride, count) => {
      let sum = 0;
      for (let k = 0; k < count; k++) sum += cotangent.data[start + k * stride]!;
      for (let k = 0; k < count; k++) {
        const i = start + k * stride;
        toX.data[i]! += cotangent.data[i]! - Math.exp(output.data[i]!) * sum;
      }
    });
  },
  tangent(_inputs, output, [ofX], tangent, { axis }) {
    eachLine(output, axis, (start, stride, count) => {
      let mean = 0;
      for (let k = 0; k < count; k++) mean += Math.exp(output.data[start + k * stride]!) * ofX!.data[start + k * stride]!;
      for (let k = 0; k < count; k++) tangent.data[start + k * stride] = ofX!.data[start + k * stride]! - mean;
    });
  },
};
