import { sizeOf } from '../../layout';
import { windowTaps, type Tap } from '../spans';
import type { Tensor } from '../tensor';
import { linear, type AttributesOf } from './operator';

type Attributes = AttributesOf<'AveragePool'>;

/** Numbers each output of a map is divided by: the whole window, or what of it lies inside the input. */
function divisors(taps: readonly Tap[], output: Tensor, { countIncludePad, kernel }: Attributes): Float64Array {
  const counts = new Float64Array(sizeOf(output.dims.slice(1)));
  if (countIncludePad) return counts.fill(sizeOf(kernel));
  for (const tap of taps) {
    for (const row of tap.output) {
      for (let k = 0; k < tap.length; k++) counts[row + k]!++;
    }
  }
  return counts;
}

/** Visits every pair (output, input) under the window, with the output's divisor. */
function eachPair(x: Tensor, output: Tensor, attributes: Attributes, visit: (o: number, i: number, divisor: number) => void): void {
  const taps = windowTaps(x.dims.slice(1), output.dims.slice(1), attributes);
  const counts = divisors(taps, output, attributes);
  const inputPixels = sizeOf(x.dims.slice(1));
  for (let map = 0; map * counts.length < output.data.length; map++) {
    for (const tap of taps) {
      for (let r = 0; r < tap.output.length; r++) {
        for (let k = 0; k < tap.length; k++) {
          const o = tap.output[r]! + k;
          visit(map * counts.length + o, map * inputPixels + tap.input[r]! + k * tap.step, counts[o]!);
        }
      }
    }
  }
}

export const averagePool = linear<Attributes>({
  forward([x], output, attributes) {
    output.data.fill(0);
    eachPair(x!, output, attributes, (o, i, divisor) => (output.data[o]! += x!.data[i]! / divisor));
  },
  backward([x], output, cotangent, [toX], attributes) {
    if (toX) eachPair(x!, output, attributes, (o, i, divisor) => (toX.data[i]! += cotangent.data[o]! / divisor));
  },
});

/** [C, …] → [C, 1, …] */
export const globalAveragePool = linear<AttributesOf<'GlobalAveragePool'>>({
  forward([x], output) {
    output.data.fill(0);
    const pixels = sizeOf(x!.dims.slice(1));
    for (let i = 0; i < x!.data.length; i++) output.data[Math.floor(i / pixels)]! += x!.data[i]! / pixels;
  },
  backward([x], _output, cotangent, [toX]) {
    const pixels = sizeOf(x!.dims.slice(1));
    if (toX) for (let i = 0; i < toX.data.length; i++) toX.data[i]! += cotangent.data[Math.floor(i / pixels)]! / pixels;
  },
});
