/** Where a window's taps meet the map, for any number of spatial axes: every windowed operator is a loop over these. */
import type { Window } from '../../graph/lowered';
import { sizeOf } from '../layout';

/**
 * The positions one tap of the window reaches, as rows of the last axis: entry r pairs the outputs
 * output[r], output[r] + 1, … with the inputs input[r], input[r] + step, …, `length` of each. Offsets are within one map.
 */
export interface Tap {
  readonly output: Int32Array;
  readonly input: Int32Array;
  readonly length: number;
  readonly step: number;
}

/** First output (and one past the last) of an axis whose tap at `offset` falls inside the input. */
function reach(inputSize: number, outputSize: number, stride: number, offset: number): [number, number] {
  const first = Math.max(0, Math.ceil(-offset / stride));
  const end = Math.min(outputSize, Math.floor((inputSize - 1 - offset) / stride) + 1);
  return [first, Math.max(first, end)];
}

/**
 * The taps of a window in row-major order. Output o meets input o·stride − before + k·dilation; pairs outside the input are left out.
 * @param input spatial size of the input map
 * @param output spatial size of the output map
 */
export function windowTaps(input: readonly number[], output: readonly number[], window: Omit<Window, 'after'>): Tap[] {
  const { kernel, strides, before, dilations } = window;
  const last = kernel.length - 1;
  return Array.from({ length: sizeOf(kernel) }, (_, tap) => {
    const offsets: number[] = [];
    for (let axis = last, rest = tap; axis >= 0; rest = Math.floor(rest / kernel[axis]!), axis--) {
      offsets[axis] = (rest % kernel[axis]!) * dilations[axis]! - before[axis]!;
    }
    const ranges = offsets.map((offset, axis) => reach(input[axis]!, output[axis]!, strides[axis]!, offset));
    // All combinations of positions on the axes before the last, as starts of rows.
    let rows = [{ output: 0, input: 0 }];
    for (let axis = 0; axis <= last; axis++) {
      const [first, end] = ranges[axis]!;
      const stop = axis === last ? Math.min(first + 1, end) : end;
      rows = rows.flatMap((row) =>
        Array.from({ length: stop - first }, (_, i) => ({
          output: row.output * output[axis]! + first + i,
          input: row.input * input[axis]! + (first + i) * strides[axis]! + offsets[axis]!,
        })),
      );
    }
    const [first, end] = ranges[last]!;
    return {
      output: Int32Array.from(rows, (row) => row.output),
      input: Int32Array.from(rows, (row) => row.input),
      length: end - first,
      step: strides[last]!,
    };
  });
}
