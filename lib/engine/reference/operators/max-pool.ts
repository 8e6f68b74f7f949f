import type { Window } from '../../../graph/lowered';
import { sizeOf } from '../../layout';
import { windowTaps } from '../spans';
import type { Tensor } from '../tensor';
import type { AttributesOf, Operator } from './operator';

/** Index into x of every output's largest input: the first in row-major order among equals. */
function largest(x: Tensor, output: Tensor, window: Window): Int32Array {
  const inputPixels = sizeOf(x.dims.slice(1));
  const outputPixels = sizeOf(output.dims.slice(1));
  const found = new Int32Array(output.data.length).fill(-1);
  const taps = windowTaps(x.dims.slice(1), output.dims.slice(1), window);
  for (let map = 0; map * outputPixels < output.data.length; map++) {
    for (const tap of taps) {
      for (let r = 0; r < tap.output.length; r++) {
        for (let k = 0; k < tap.length; k++) {
          const o = map * outputPixels + tap.output[r]! + k;
          const i = map * inputPixels + tap.input[r]! + k * tap.step;
          if (found[o]! < 0 || x.data[i]! > x.data[found[o]!]!) found[o] = i;
        }
      }
    }
  }
  return found;
}

export const maxPool: Operator<AttributesOf<'MaxPool'>> = {
  forward([x], output, window) {
    const found = largest(x!, output, window);
    for (let o = 0; o < found.length; o++) output.data[o] = x!.data[found[o]!]!;
  },
  backward([x], output, cotangent, [toX], window) {
    if (!toX) return;
    const found = largest(x!, output, window);
    for (let o = 0; o < found.length; o++) toX.data[found[o]!]! += cotangent.data[o]!;
  },
  tangent([x], output, [ofX], tangent, window) {
    largest(x!, output, window).forEach((i, o) => (tangent.data[o] = ofX!.data[i]!));
  },
};
