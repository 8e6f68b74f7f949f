import { sizeOf } from '../../layout';
import type { Tensor } from '../tensor';
import type { AttributesOf, Inputs, Operator } from './operator';

/** Visits the stretches that lie together in an input and in the output. */
function eachStretch(
  inputs: Inputs,
  output: Tensor,
  axis: number,
  visit: (input: number, from: number, to: number, length: number) => void,
): void {
  const outer = sizeOf(output.dims.slice(0, axis));
  const row = sizeOf(output.dims.slice(axis));
  let before = 0;
  inputs.forEach((input, which) => {
    const length = sizeOf(input!.dims.slice(axis));
    for (let n = 0; n < outer; n++) visit(which, n * length, n * row + before, length);
    before += length;
  });
}

export const concat: Operator<AttributesOf<'Concat'>> = {
  forward(inputs, output, { axis }) {
    eachStretch(inputs, output, axis, (which, from, to, length) => {
      output.data.set(inputs[which]!.data.subarray(from, from + length), to);
    });
  },
  backward(inputs, output, cotangent, gradients, { axis }) {
    eachStretch(inputs, output, axis, (which, from, to, length) => {
      const target = gradients[which];
      if (target) for (let k = 0; k < length; k++) target.data[from + k]! += cotangent.data[to + k]!;
    });
  },
  tangent(inputs, output, tangents, tangent, { axis }) {
    tangent.data.fill(0);
    eachStretch(inputs, output, axis, (which, from, to, length) => {
      const moved = tangents[which];
      if (moved) tangent.data.set(moved.data.subarray(from, from + length), to);
    });
  },
};
