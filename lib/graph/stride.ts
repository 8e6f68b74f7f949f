/** What image sizes must be divisible by, found by lowering at trial sizes: no operator needs a rule for it. */
import type { Graph } from './graph';
import type { Lowered } from './lowered';
import { isGraphError } from './view';

type LowerAt = (graph: Graph, size: readonly number[]) => Lowered;

/** Powers of two and their multiples by 3, 5, 7 and 9 divide what networks are built of. */
const TRIALS = [32, 64, 128, 256, 512, 1024, 96, 192, 384, 160, 320, 224, 448, 288, 720, 1440, 5040];

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));

export function divides(stride: readonly number[], size: readonly number[]): boolean {
  return size.every((length, axis) => length % stride[axis]! === 0);
}

function tryLower(graph: Graph, size: readonly number[], lowerAt: LowerAt): Lowered | undefined {
  try {
    return lowerAt(graph, size);
  } catch (error) {
    if (isGraphError(error)) return undefined;
    throw error;
  }
}

/** A map that grows by `grown` when the image grows by `step` is on a grid of `step / gcd` pixels. */
function strideOfAxis(small: Lowered, large: Lowered, axis: number, step: number): number {
  let stride = 1;
  small.operations.forEach(({ output }, index) => {
    const grown = large.values[large.operations[index]!.output]!.dims[axis + 1]! - small.values[output]!.dims[axis + 1]!;
    const grid = grown === 0 ? 1 : step / gcd(step, grown);
    stride = (stride * grid) / gcd(stride, grid);
  });
  return stride;
}

/** Undefined where no trial size fits the graph. */
export function findStride(graph: Graph, lowerAt: LowerAt): number[] | undefined {
  const axes = graph.inputs[0]?.dims.slice(2) ?? [];
  if (axes.every((length) => typeof length === 'number')) return tryLower(graph, axes, lowerAt) ? axes : undefined;
  const sizeAt = (trial: number): number[] => axes.map((length) => (typeof length === 'number' ? length : trial));
  for (const trial of TRIALS) {
    const small = tryLower(graph, sizeAt(trial), lowerAt);
    const large = small && tryLower(graph, sizeAt(2 * trial), lowerAt);
    if (small && large) return axes.map((length, axis) => (typeof length === 'number' ? length : strideOfAxis(small, large, axis, trial)));
  }
  return undefined;
}
