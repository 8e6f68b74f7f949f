/** What image sizes a network takes, found by lowering at trial sizes: no operator needs a rule for it. */
import type { Graph } from './graph';
import { imageLayout } from './image';
import type { Lowered, OperatorType } from './lowered';
import { isGraphError } from './view';

/** What image sizes a network takes. */
export interface Sizes {
  /** What they must be divisible by, for each axis; of an axis the file fixes, its length. */
  readonly stride: readonly number[];
  /** Whether the network was exported for one size alone, which is the stride. */
  readonly only: boolean;
}

type LowerAt = (size: readonly number[]) => Lowered;

/** Powers of two and their multiples by 3, 5, 7 and 9 divide what networks are built of. */
const TRIALS = [32, 64, 128, 256, 512, 1024, 96, 192, 384, 160, 320, 224, 448, 288, 720, 1440, 5040];

/** Of the largest trial: where parts of maps are picked out, lowering takes memory by the pixel. */
const MOST_PIXELS = 2048 ** 2;

/** Kinds whose results are maps, on a grid of pixels. */
const MAPS: ReadonlySet<OperatorType> = new Set(['Conv', 'ConvTranspose', 'MaxPool', 'AveragePool', 'Resize']);

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));

export function takes({ stride, only }: Sizes, size: readonly number[]): boolean {
  return size.every((length, axis) => (only ? length === stride[axis] : length % stride[axis]! === 0));
}

function tryLower(size: readonly number[], lowerAt: LowerAt): Lowered | undefined {
  try {
    return lowerAt(size);
  } catch (error) {
    if (isGraphError(error)) return undefined;
    throw error;
  }
}

/** A map that grows by `grown` when the image grows by `step` is on a grid of `step / gcd` pixels. */
function strideOfAxis(small: Lowered, large: Lowered, axis: number, step: number): number {
  let stride = 1;
  small.operations.forEach(({ type, output }, index) => {
    const twin = large.operations[index];
    if (!MAPS.has(type) || twin?.type !== type) return;
    const grown = large.values[twin.output]!.dims[axis + 1]! - small.values[output]!.dims[axis + 1]!;
    const grid = grown === 0 ? 1 : step / gcd(step, grown);
    stride = (stride * grid) / gcd(stride, grid);
  });
  return stride;
}

/** The smallest multiple of a stride by which images may grow from a size that fits: windows of tokens ask for more than the maps do. */
function confirmed(stride: number, fitting: readonly number[], axis: number, lowerAt: LowerAt): number {
  const whole = fitting[axis]!;
  for (let multiple = stride; multiple < whole; multiple += stride) {
    if (whole % multiple === 0 && tryLower(fitting.with(axis, whole + multiple), lowerAt)) return multiple;
  }
  return whole;
}

/**
 * Undefined where no trial size fits the graph. Where one does, but none twice as large, sizes were written into the graph on export although
 * the file calls its axes free.
 */
export function findSizes(graph: Graph, lowerAt: LowerAt): Sizes | undefined {
  const { spatial } = imageLayout(graph);
  if (spatial.every((length) => typeof length === 'number')) return tryLower(spatial, lowerAt) && { stride: spatial, only: true };
  let alone: readonly number[] | undefined;
  const sizeAt = (trial: number): number[] => spatial.map((length) => (typeof length === 'number' ? length : trial));
  for (const trial of TRIALS.filter((length) => (2 * length) ** spatial.length <= MOST_PIXELS)) {
    const small = tryLower(sizeAt(trial), lowerAt);
    const large = small && tryLower(sizeAt(2 * trial), lowerAt);
    if (small) alone ??= sizeAt(trial);
    if (!small || !large) continue;
    const stride = spatial.map((length, axis) => {
      if (typeof length === 'number') return length;
      return confirmed(strideOfAxis(small, large, axis, trial), sizeAt(trial), axis, lowerAt);
    });
    return { stride, only: false };
  }
  return alone && { stride: alone, only: true };
}
