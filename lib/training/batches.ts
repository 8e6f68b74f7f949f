/** The batches of an epoch, shuffled and augmented; the next one is read while a step runs. */
import { setImmediate } from 'node:timers/promises';
import type { SliceSource } from '../dataset/slices';
import type { TrainingBatch } from '../engine/engine';
import { TracinError } from '../errors';
import { readAhead } from '../read-ahead';
import { drawTransform, transformPlane, type Augmentation, type Transform } from './augmentation';
import { epochOrder } from './order';

export interface EpochBatch extends TrainingBatch {
  /** Positions in `source.slices`. */
  readonly positions: readonly number[];
}

export interface EpochOptions {
  readonly batch: number;
  readonly augmentation: Augmentation;
  readonly seed: number;
  /** From 1. */
  readonly epoch: number;
  readonly signal?: AbortSignal | undefined;
}

/** Every slice of the source once, in the order of this epoch; the last batch may be smaller. */
export async function* epochBatches(source: SliceSource, options: EpochOptions): AsyncGenerator<EpochBatch> {
  const { batch, seed, epoch, signal } = options;
  const order = epochOrder(source.slices.length, seed, epoch);
  yield* readAhead(Math.ceil(order.length / batch), async (item) => {
    const positions = order.slice(item * batch, (item + 1) * batch);
    const { images, labels } = await source.read(positions, { signal });
    if (!labels) throw new TracinError('ERR_TRACIN_DATA', 'the training data has no labels: give the label files');
    return augment({ positions, images, targets: labels }, source, options);
  });
}

async function augment(batch: EpochBatch, source: SliceSource, { augmentation, seed, epoch }: EpochOptions): Promise<EpochBatch> {
  if (!augmentation.flips && augmentation.shift === 0) return batch;
  const images = new Float32Array(batch.images.length);
  const targets = new Uint8Array(batch.targets.length);
  const pixels = source.size.reduce((product, n) => product * n, 1);
  const channels = source.modalities.length;
  for (const [i, position] of batch.positions.entries()) {
    const transform = drawTransform(augmentation, seed, epoch, position, source.size.length);
    const planes = (from: Float32Array | Uint8Array, to: Float32Array | Uint8Array, count: number): void =>
      transformPlanes(from, to, i * count * pixels, count, source.size, transform);
    planes(batch.images, images, channels);
    planes(batch.targets, targets, 1);
    await setImmediate(); // one slice a turn keeps the event loop free
  }
  return { positions: batch.positions, images, targets };
}

function transformPlanes(
  from: Float32Array | Uint8Array,
  to: Float32Array | Uint8Array,
  start: number,
  count: number,
  size: readonly number[],
  transform: Transform,
): void {
  const pixels = size.reduce((product, n) => product * n, 1);
  for (let at = start; at < start + count * pixels; at += pixels) {
    transformPlane(from.subarray(at, at + pixels), to.subarray(at, at + pixels), size, transform);
  }
}
