/** Operators that take each number on its own. */
import type { AttributesOf, Operator } from './operator';

function pointwise<Attributes>(
  value: (x: number, attributes: Attributes) => number,
  /** dy/dx from x and y */
  slope: (x: number, y: number, attributes: Attributes) => number,
): Operator<Attributes> {
  return {
    forward([x], output, attributes) {
      for (let i = 0; i < output.data.length; i++) output.data[i] = value(x!.data[i]!, attributes);
    },
    backward([x], output, cotangent, [toX], attributes) {
      if (!toX) return;
      for (let i = 0; i < output.data.length; i++) toX.data[i]! += cotangent.data[i]! * slope(x!.data[i]!, output.data[i]!, attributes);
    },
  };
}

/** Slope 0 at 0, as PyTorch has it. */
export const relu = pointwise<AttributesOf<'Relu'>>(
  (x) => (x > 0 ? x : 0),
  (x) => (x > 0 ? 1 : 0),
);

/** Slope α at 0, as PyTorch has it. */
export const leakyRelu = pointwise<AttributesOf<'LeakyRelu'>>(
  (x, { alpha }) => (x > 0 ? x : alpha * x),
  (x, _y, { alpha }) => (x > 0 ? 1 : alpha),
);

export const sigmoid = pointwise<AttributesOf<'Sigmoid'>>(
  (x) => 1 / (1 + Math.exp(-x)),
  (_x, y) => y * (1 - y),
);
