/** Resize and Upsample: every mode becomes taps on each axis. Formulas: Resize of the ONNX specification. */
import type { AxisTaps } from '../lowered';
import { inverse } from '../lowering/arrangement';
import type { Term } from '../lowering/term';
import { operator, type NodeView, type OperatorEntry } from './operator';

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
      const adjustment = round(outputSize / round(scale * inputSize));
      return round(round((inputSize / 2) * round(1 - adjustment)) + (x + 0.5) / scale - 0.5);
    }
    case 'half_pixel':
      return halfPixel();
  }
}

/** So near to the middle between two positions onnxruntime takes it for the middle. */
const MIDDLE = 1e-6;

const ROUNDING: Record<Nearest, Round> = {
  round_prefer_floor: (x) => Math.ceil(x - 0.5 - MIDDLE),
  round_prefer_ceil: (x) => Math.floor(x + 0.5 + MIDDLE),
  floor: Math.floor,
  ceil: Math.ceil,
};

/** How results are made of an axis. */
export type AxisMode = { readonly coordinates: Coordinates } & (
  | { readonly mode: 'nearest'; readonly nearest: Nearest }
  | { readonly mode: 'linear' }
  | { readonly mode: 'cubic'; readonly a: number; readonly excludeOutside: boolean }
);

/** Keys' cubic convolution at a distance (Keys 1981). */
function cubicWeight(distance: number, a: number): number {
  const x = Math.abs(distance);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

/** Weighted positions around a source position; those outside the input are drawn to its edge. */
function tapsAt(x: number, inputSize: number, mode: AxisMode): (readonly [position: number, weight: number])[] {
  const inside = (i: number): number => Math.min(Math.max(i, 0), inputSize - 1);
  if (mode.mode === 'linear') {
    const at = inside(x);
    const low = Math.floor(at);
    return [[low, 1 - (at - low)], [inside(low + 1), at - low]]; // prettier-ignore
  }
  if (mode.mode === 'nearest') return [[inside(ROUNDING[mode.nearest](x)), 1]];
  const low = Math.floor(x);
  const taps = [-1, 0, 1, 2].map((step): [number, number] => [low + step, cubicWeight(x - low - step, mode.a)]);
  if (!mode.excludeOutside) return taps.map(([i, weight]) => [inside(i), weight]);
  const kept = taps.map(([i, weight]): [number, number] => [inside(i), i === inside(i) ? weight : 0]);
  const sum = kept.reduce((total, [, weight]) => total + weight, 0);
  return kept.map(([i, weight]) => [i, weight / sum]);
}

export function axisTaps(inputSize: number, outputSize: number, scale: number, mode: AxisMode): AxisTaps {
  // Which of two neighbours is nearest hangs on the last bit, so it is decided in the arithmetic of the runtimes.
  const round = mode.mode === 'nearest' ? Math.fround : exact;
  const taps = { nearest: 1, linear: 2, cubic: 4 }[mode.mode];
  const index = new Int32Array(outputSize * taps);
  const weight = new Float64Array(outputSize * taps);
  for (let o = 0; o < outputSize; o++) {
    const x = sourcePosition(mode.coordinates, o, round(scale), inputSize, outputSize, round);
    tapsAt(x, inputSize, mode).forEach(([position, share], tap) => {
      index[o * taps + tap] = position;
      weight[o * taps + tap] = share;
    });
  }
  return { inputSize, outputSize, taps, index, weight };
}

/** How a Resize makes an axis of another. */
interface Target {
  readonly size: number;
  readonly scale: number;
}

/** For every axis, in float32 as runtimes count: 10 · 0.7 is 7. `values` are sizes or scales; opset 18 lets `axes` say which ones they are for. */
function targets(node: NodeView): Target[] {
  const { dims } = node.term(0);
  const [scales, sizes] = node.opset < 11 ? [node.known(1), undefined] : [node.known(2), node.known(3)];
  const values = sizes ?? scales ?? (node.has('scales') ? { data: node.floats('scales')! } : node.fail('has neither scales nor sizes'));
  const axes = node.axes(node.has('axes') ? node.ints('axes', []) : Array.from(dims.keys()), dims.length);
  if (values.data.length !== axes.length) node.fail(`has ${values.data.length} ${sizes ? 'sizes' : 'scales'} for ${axes.length} axes`);
  const result = dims.map((size): Target => ({ size, scale: 1 }));
  axes.forEach((axis, i) => {
    const [length, value] = [dims[axis]!, values.data[i]!];
    result[axis] = sizes ? { size: value, scale: value / length } : { size: Math.floor(Math.fround(length * value)), scale: value };
  });
  return result;
}

/** A map of an image is never resized beyond this; larger sizes come from damaged files. */
const LARGEST = 2 ** 20;

/** How positions are found, as the attributes say it; up to opset 10 there was one way, which onnxruntime takes to the other side when shrinking. */
function readMode(node: NodeView, { scale }: Target): AxisMode {
  const mode = node.string('mode', ['nearest', 'linear', 'cubic', 'bilinear'], 'nearest');
  const early = node.opset < 11;
  const coordinates = early ? 'asymmetric' : node.string('coordinate_transformation_mode', COORDINATES, 'half_pixel');
  node.string('keep_aspect_ratio_policy', ['stretch'], 'stretch');
  if (mode === 'nearest')
    return {
      mode,
      coordinates,
      nearest: early ? (scale < 1 ? 'ceil' : 'floor') : node.string('nearest_mode', NEAREST, 'round_prefer_floor'),
    };
  if (mode !== 'cubic') return { mode: 'linear', coordinates };
  return { mode, coordinates, a: node.float('cubic_coeff_a', -0.75), excludeOutside: node.int('exclude_outside', 0) !== 0 };
}

/** Taps of every spatial axis and the result's dims [C, …]. @param order the axes of its input as [N, C, …] */
export function readResize(
  node: NodeView,
  order: readonly number[],
): { readonly axes: readonly AxisTaps[]; readonly dims: readonly number[] } {
  const { dims } = node.term(0);
  const wanted = targets(node);
  const sizes = wanted.map(({ size }) => size);
  if (sizes.some((size) => !Number.isInteger(size) || size < 1 || size > LARGEST)) node.fail(`resizes to [${sizes.join(', ')}]`);
  if (node.int('antialias', 0) !== 0 && wanted.some(({ scale }) => scale < 1)) node.fail('antialias is not supported when shrinking');
  const axes = order.slice(2).map((axis) => axisTaps(dims[axis]!, wanted[axis]!.size, wanted[axis]!.scale, readMode(node, wanted[axis]!)));
  return { axes, dims: order.slice(1).map((axis) => sizes[axis]!) };
}

function resize(node: NodeView): Term {
  const { emit } = node;
  const x = node.term(0);
  const wanted = targets(node);
  const kept = (axis: number): boolean => wanted[axis]!.scale === 1 && wanted[axis]!.size === x.dims[axis];
  const rank = x.dims.length;
  const first = Array.from({ length: rank }, (_, axis) => axis);
  const last = [0, rank - 1, ...first.slice(1, -1)];
  const order =
    [first, last].find(([batch, channels]) => kept(batch!) && kept(channels!)) ??
    node.fail('resizes the channel axis, which is not supported');
  const { axes, dims } = readResize(node, order);
  const map = emit.transpose(x, order);
  if (map.dims[0] !== 1) node.fail(`works on [${x.dims.join(', ')}]: windows folded into the batch axis are not supported here`);
  const made = emit.map({ type: 'Resize', attributes: { axes } }, [emit.featureMap(map)], [1, ...dims]);
  return emit.transpose(made, inverse(order));
}

export const resizes: Readonly<Record<string, OperatorEntry>> = {
  Resize: operator(1, 4, resize),
  Upsample: operator(1, 2, resize),
};
