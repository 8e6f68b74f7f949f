import type { AxisTaps } from '../../../graph/lowered';
import { sizeOf } from '../../layout';
import { zeros, type Tensor } from '../tensor';
import { linear, type AttributesOf } from './operator';

/** Visits every (output, input, weight) of a map along one axis of dims, `dims` being those of the input. */
function alongAxis(dims: readonly number[], axis: number, map: AxisTaps, visit: (o: number, i: number, weight: number) => void): void {
  const outer = sizeOf(dims.slice(0, axis));
  const inner = sizeOf(dims.slice(axis + 1));
  for (let n = 0; n < outer; n++) {
    for (let o = 0; o < map.outputSize; o++) {
      for (let t = o * map.taps; t < (o + 1) * map.taps; t++) {
        const from = (n * map.inputSize + map.index[t]!) * inner;
        const to = (n * map.outputSize + o) * inner;
        for (let k = 0; k < inner; k++) visit(to + k, from + k, map.weight[t]!);
      }
    }
  }
}

/** The dims after each axis has been resized in turn, beginning with the input's; the axes are the last ones. */
function stages(dims: readonly number[], axes: readonly AxisTaps[]): { axis: number; before: number[] }[] {
  const first = dims.length - axes.length;
  const current = [...dims];
  return axes.map(({ outputSize }, a) => {
    const before = [...current];
    current[first + a] = outputSize;
    return { axis: first + a, before };
  });
}

/** A linear map of each spatial axis, one after the other; backward applies their transposes in reverse. */
export const resize = linear<AttributesOf<'Resize'>>({
  forward([x], output, { axes }) {
    const steps = stages(x!.dims, axes);
    let current = x!;
    steps.forEach(({ axis, before }, a) => {
      const next: Tensor = a + 1 < steps.length ? zeros(steps[a + 1]!.before) : output;
      next.data.fill(0);
      alongAxis(before, axis, axes[a]!, (o, i, weight) => (next.data[o]! += weight * current.data[i]!));
      current = next;
    });
  },
  backward([x], _output, cotangent, [toX], { axes }) {
    if (!toX) return;
    let current = cotangent;
    stages(x!.dims, axes)
      .map((stage, a) => ({ ...stage, map: axes[a]!, target: a === 0 ? toX : zeros(stage.before) }))
      .reverse()
      .forEach(({ axis, before, map, target }) => {
        const from = current;
        alongAxis(before, axis, map, (o, i, weight) => (target.data[i]! += weight * from.data[o]!));
        current = target;
      });
  },
});
