/** Add, Sub and Mul with numpy's broadcasting. */
import type { Tensor } from '../tensor';
import type { AttributesOf, Operator } from './operator';

/** Steps through an operand's numbers when the output's axes advance; 0 on an axis it is broadcast over. */
function broadcastStrides(operand: Tensor, rank: number): number[] {
  const strides = new Array<number>(rank).fill(0);
  let stride = 1;
  for (let axis = operand.dims.length - 1; axis >= 0; axis--) {
    const size = operand.dims[axis]!;
    if (size > 1) strides[rank - operand.dims.length + axis] = stride;
    stride *= size;
  }
  return strides;
}

/** Visits every output with the numbers of a and b it is made of. */
function eachElement(a: Tensor, b: Tensor, output: Tensor, visit: (o: number, a: number, b: number) => void): void {
  const { dims } = output;
  const last = dims.length - 1;
  const stridesA = broadcastStrides(a, dims.length);
  const stridesB = broadcastStrides(b, dims.length);
  const position = new Array<number>(dims.length).fill(0);
  let atA = 0;
  let atB = 0;
  for (let o = 0; o < output.data.length; o++) {
    visit(o, atA, atB);
    for (let axis = last; axis >= 0; axis--) {
      atA += stridesA[axis]!;
      atB += stridesB[axis]!;
      if (++position[axis]! < dims[axis]!) break;
      atA -= stridesA[axis]! * dims[axis]!;
      atB -= stridesB[axis]! * dims[axis]!;
      position[axis] = 0;
    }
  }
}

function arithmetic(
  value: (a: number, b: number) => number,
  slopeA: (b: number) => number,
  slopeB: (a: number) => number,
): Operator<AttributesOf<'Add'>> {
  return {
    forward([a, b], output) {
      eachElement(a!, b!, output, (o, i, j) => (output.data[o] = value(a!.data[i]!, b!.data[j]!)));
    },
    // Where an operand is broadcast, several outputs add to the same number of it.
    backward([a, b], output, cotangent, [toA, toB]) {
      eachElement(a!, b!, output, (o, i, j) => {
        if (toA) toA.data[i]! += cotangent.data[o]! * slopeA(b!.data[j]!);
        if (toB) toB.data[j]! += cotangent.data[o]! * slopeB(a!.data[i]!);
      });
    },
  };
}

export const add = arithmetic(
  (a, b) => a + b,
  () => 1,
  () => 1,
);
export const sub = arithmetic(
  (a, b) => a - b,
  () => 1,
  () => -1,
);
export const mul = arithmetic(
  (a, b) => a * b,
  (b) => b,
  (a) => a,
);
