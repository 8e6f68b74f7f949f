import type { Tensor } from '../tensor';
import { eachPosition } from './broadcasting';
import type { AttributesOf, Operator } from './operator';

type Attributes = AttributesOf<'Reduce'>;

/** Visits every input with the output it belongs to. */
function eachPair(x: Tensor, { axes }: Attributes, visit: (i: number, o: number) => void): void {
  const kept = x.dims.map((n, axis) => (axes.includes(axis) ? 1 : n));
  eachPosition(x.dims, [kept], (i, [o]) => visit(i, o!));
}

/** Index into x of every output's largest input: the first in row-major order among equals. */
function largest(x: Tensor, output: Tensor, attributes: Attributes): Int32Array {
  const found = new Int32Array(output.data.length).fill(-1);
  eachPair(x, attributes, (i, o) => {
    if (found[o]! < 0 || x.data[i]! > x.data[found[o]!]!) found[o] = i;
  });
  return found;
}

/** What each input weighs in a sum or mean. */
const share = (x: Tensor, output: Tensor, { kind }: Attributes): number => (kind === 'mean' ? output.data.length / x.data.length : 1);

/** Fills the output with the sums or means of x. */
function accumulate(x: Tensor, output: Tensor, attributes: Attributes): void {
  const weight = share(x, output, attributes);
  output.data.fill(0);
  eachPair(x, attributes, (i, o) => (output.data[o]! += weight * x.data[i]!));
}

export const reduce: Operator<Attributes> = {
  forward([x], output, attributes) {
    if (attributes.kind === 'max') {
      largest(x!, output, attributes).forEach((i, o) => (output.data[o] = x!.data[i]!));
      return;
    }
    accumulate(x!, output, attributes);
  },
  backward([x], output, cotangent, [toX], attributes) {
    if (!toX) return;
    if (attributes.kind === 'max') {
      largest(x!, output, attributes).forEach((i, o) => (toX.data[i]! += cotangent.data[o]!));
      return;
    }
    const weight = share(x!, output, attributes);
    eachPair(x!, attributes, (i, o) => (toX.data[i]! += weight * cotangent.data[o]!));
  },
  tangent([x], output, [ofX], tangent, attributes) {
    if (attributes.kind === 'max') largest(x!, output, attributes).forEach((i, o) => (tangent.data[o] = ofX!.data[i]!));
    else accumulate(ofX!, tangent, attributes);
  },
};
