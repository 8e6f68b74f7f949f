/** Hard Dice of the network as it stands. */
import { setImmediate } from 'node:timers/promises';
import type { SliceSource } from '../dataset/slices';
import type { Program } from '../engine/engine';
import { DiceCounts } from '../inference/dice';
import { argmaxLabels } from '../inference/labels';
import { readAhead } from '../read-ahead';

/** Training slices whose Dice is watched when the validation split is smaller. */
const WATCHED = 64;

/** Which training slices are watched: evenly spread, as many as validation has but at least {@link WATCHED}. */
export function watchedPositions(training: number, validation: number): number[] {
  const watched = Math.min(training, Math.max(validation, WATCHED));
  return Array.from({ length: watched }, (_, i) => Math.floor((i * training) / watched));
}

/**
 * Hard Dice [K] over all the slices at these positions together, the network run with its running statistics.
 * @returns null for a class that is neither in the labels nor predicted
 */
export async function evaluateDice(
  program: Program,
  source: SliceSource,
  positions: readonly number[],
  options: { readonly batch: number; readonly signal?: AbortSignal | undefined },
): Promise<(number | null)[]> {
  const { batch, signal } = options;
  const counts = new DiceCounts(source.classes.length);
  const channels = source.classes.length + 1;
  const pixels = source.size.reduce((product, n) => product * n, 1);
  const batches = readAhead(Math.ceil(positions.length / batch), async (item) =>
    source.read(positions.slice(item * batch, (item + 1) * batch), { signal }),
  );
  for await (const { images, labels } of batches) {
    const { logits } = await program.forward(images, { signal });
    for (let slice = 0; slice < labels!.length / pixels; slice++) {
      const ofSlice = logits.subarray(slice * channels * pixels, (slice + 1) * channels * pixels);
      counts.add(argmaxLabels(ofSlice, channels, pixels), labels!.subarray(slice * pixels, (slice + 1) * pixels));
      await setImmediate();
    }
  }
  return counts.dice();
}
