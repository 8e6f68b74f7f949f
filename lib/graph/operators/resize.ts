/** Resize (opset 13 to 19): every mode becomes taps on each axis. Formulas: Resize of the ONNX specification. */
import type { AxisTaps } from '../lowered';
import type { Box, NodeView, OperationEntry } from './operator';

const COORDINATES = ['half_pixel', 'half_pixel_symmetric', 'pytorch_half_pixel', 'align_corners', 'asymmetric'] as const;
const NEAREST = ['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'] as const;
type Coordinates = (typeof COORDINATES)[number];
type Nearest = (typeof NEAREST)[number];
type Round = (x: number) => number;

const exact: Round = (x) => x;

/** Where result position x lies on the input. @param round applied after each step: float32 as runtimes do, or exact */
function sourcePosition(mode: Coordinates, x: number, scale: number, inputSize: number, outputSize: number, round: Round): number {
  const halfPixel = (): number => round(round((x + 0.5) / scale) - 0.5);
  switch (mode) {
    case 'asymmetric':
      return round(x / scale);
    case 'align_corners':
      return outputSize === 1 ? 0 : round(round(x * (inputSize - 1)) / (outputSize - 1));
    case 'pytorch_half_pixel':
      return outputSize > 1 ? halfPixel() : 0;
    case 'half_pixel_symmetric': {
      const adjustment = outputSize / (scale * inputSize);
      return round((inputSize / 2) * (1 - adjustment) + halfPixel());
    }
    case 'half_pixel':
      return halfPixel();
  }
}

const ROUNDING: Record<Nearest, Round> = {
  round_prefer_floor: (x) => Math.ceil(x - 0.5),
  round_prefer_ceil: (x) => Math.floor(x + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
};

/** One axis of a Resize. `nearest` undefined: linear. */
export function axisTaps(
  inputSize: number,
  outputSize: number,
  scale: number,
  coordinates: Coordinates,
  nearest: Nearest | undefined,
): AxisTaps {
  const taps = nearest ? 1 : 2;
  const index = new Int32Array(outputSize * taps);
  const weight = new Float64Array(outputSize * taps);
  const inside = (i: number): number => Math.min(Math.max(i, 0), inputSize - 1);
  for (let o = 0; o < outputSize; o++) {
    if (nearest) {
      // Which of two neighbours is nearest hangs on the last bit, so it is decided in the arithmetic of the runtimes.
      index[o] = inside(ROUNDING[nearest](sourcePosition(coordinates, o, scale, inputSize, outputSize, Math.fround)));
      weight[o] = 1;
    } else {
      const x = inside(sourcePosition(coordinates, o, scale, inputSize, outputSize, exact));
      const low = Math.floor(x);
      index[2 * o] = low;
      index[2 * o + 1] = inside(low + 1);
      weight[2 * o] = 1 - (x - low);
      weight[2 * o + 1] = x - low;
    }
  }
  return { inputSize, outputSize, taps, index, weight };
}

/** `values` (sizes or scales) for each spatial axis; opset 18 lets `axes` say which ones they are for. */
function spread(node: NodeView, values: ArrayLike<number>, what: string, neutral: readonly number[]): number[] {
  const rank = neutral.length;
  const axes = node.ints('axes', Array.from(neutral.keys())).map((axis) => (axis < 0 ? axis + rank : axis));
  if (values.length !== axes.length || axes.some((axis) => axis < 0 || axis >= rank))
    node.fail(`has ${values.length} ${what} for ${axes.length} axes`);
  const result = [...neutral];
  axes.forEach((axis, i) => (result[axis] = values[i]!));
  // The batch axis is free; the channels stay as they are.
  if (result[1] !== neutral[1]) node.fail(`resizes the channel axis, which is not supported`);
  return result.slice(2);
}

/** Output size and scale on each spatial axis. */
function targets(node: NodeView): { readonly sizes: readonly number[]; readonly scales: readonly number[] } {
  const input = node.image.slice(1);
  const scales = node.known(2);
  const wanted = node.known(3);
  if (wanted) {
    const sizes = spread(node, wanted.data, 'sizes', [1, ...node.image]);
    return { sizes, scales: sizes.map((size, axis) => size / input[axis]!) };
  }
  if (!scales) return node.fail('has neither scales nor sizes');
  const factors = spread(node, scales.data, 'scales', [1, 1, ...input.map(() => 1)]);
  return { sizes: factors.map((factor, axis) => Math.floor(input[axis]! * factor)), scales: factors };
}

function tapsBox(taps: AxisTaps, [from, to]: readonly [number, number]): readonly [number, number] {
  let first = taps.inputSize;
  let last = -1;
  for (let tap = from * taps.taps; tap < to * taps.taps; tap++) {
    if (taps.weight[tap] === 0) continue;
    first = Math.min(first, taps.index[tap]!);
    last = Math.max(last, taps.index[tap]!);
  }
  return last < first ? [0, 0] : [first, last + 1];
}

/** A map of an image is never resized beyond this; larger sizes come from damaged files. */
const LARGEST = 2 ** 20;

export const resize: OperationEntry<'Resize'> = {
  inputs: ['activation', 'setting', 'setting', 'setting'],
  required: 1,
  attributes(node) {
    const mode = node.string('mode', ['nearest', 'linear'], 'nearest');
    const coordinates = node.string('coordinate_transformation_mode', COORDINATES, 'half_pixel');
    const nearest = node.string('nearest_mode', NEAREST, 'round_prefer_floor');
    node.string('keep_aspect_ratio_policy', ['stretch'], 'stretch');
    const { sizes, scales } = targets(node);
    if (sizes.some((size) => !Number.isInteger(size) || size < 1 || size > LARGEST)) node.fail(`resizes to [${sizes.join(', ')}]`);
    if (node.int('antialias', 0) !== 0 && scales.some((scale) => scale < 1)) node.fail('antialias is not supported when shrinking');
    return {
      axes: sizes.map((size, axis) =>
        axisTaps(node.image[axis + 1]!, size, scales[axis]!, coordinates, mode === 'nearest' ? nearest : undefined),
      ),
    };
  },
  shape: ({ axes }, [input]) => [input!.dims[0]!, ...axes.map(({ outputSize }) => outputSize)],
  box: ({ axes }, output): Box => output.map((range, axis) => tapsBox(axes[axis]!, range)),
};
