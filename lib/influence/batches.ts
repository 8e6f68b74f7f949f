/** Slices streamed with their masks and targets; the next batch is read while one is computed. */
import { setImmediate } from 'node:timers/promises';
import type { SliceSource } from '../dataset/slices';
import type { RegionBatch } from '../engine/engine';
import { sizeOf } from '../engine/layout';
import type { NpyFile } from '../npy';
import { readAhead } from '../read-ahead';
import type { Definition } from './definition';
import { regionMasks, type Painted } from './regions';

export type Role = 'test' | 'train';

/** One side of an influence: where its slices and, where the definition needs them, its predicted labels come from. */
export interface Side {
  readonly role: Role;
  readonly source: SliceSource;
  /** [slices, H, W] */
  readonly predicted: NpyFile | undefined;
  /** Slice by slice; of test slices alone. */
  readonly painted?: readonly Painted[] | undefined;
}

/** Positions [start, end) on a slice axis. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

interface ReadBatch extends Range {
  /** [n, M, H, W] */
  readonly images: Float32Array;
  /** [n, H, W] */
  readonly truth: Uint8Array | undefined;
  readonly predicted: Uint8Array | undefined;
}

/** Cuts a range into parts of `length`, the last one shorter where it does not divide. */
export function cut({ start, end }: Range, length: number): Range[] {
  return Array.from({ length: Math.ceil((end - start) / length) }, (_, i) => {
    const from = start + i * length;
    return { start: from, end: Math.min(from + length, end) };
  });
}

/** Reads the slices of a range in batches, in order. */
export function readBatches(
  { source, predicted }: Pick<Side, 'source' | 'predicted'>,
  range: Range,
  batch: number,
  signal?: AbortSignal,
): AsyncGenerator<ReadBatch> {
  const parts = cut(range, batch);
  return readAhead(parts.length, async (item) => {
    const { start, end } = parts[item]!;
    const positions = Array.from({ length: end - start }, (_, i) => start + i);
    const [{ images, labels }, rows] = await Promise.all([source.read(positions, { signal }), predicted?.read(start, end)]);
    return { start, end, images, truth: labels, predicted: rows as Uint8Array | undefined };
  });
}

/** Reads the slices of a range as the engines take them: images, targets, masks. */
export async function* regionBatches(
  side: Side,
  definition: Definition,
  range: Range,
  batch: number,
  signal?: AbortSignal,
): AsyncGenerator<Range & RegionBatch> {
  const classes = side.source.classes.length;
  const pixels = sizeOf(side.source.size);
  for await (const { start, end, images, truth, predicted } of readBatches(side, range, batch, signal)) {
    const masks = new Uint8Array((end - start) * classes * pixels);
    for (let slice = 0; slice < end - start; slice++) {
      const labels = {
        truth: sliceOf(truth, slice, pixels),
        predicted: sliceOf(predicted, slice, pixels),
        painted: side.painted?.[start + slice],
      };
      masks.set(regionMasks(definition.region, labels, classes, pixels), slice * classes * pixels);
      await setImmediate();
    }
    const targets = side.role === 'test' && definition.target === 'predicted' ? predicted! : truth!;
    yield { start, end, images, targets, masks };
  }
}

/** The labels [H, W] of one slice of a batch. */
export function sliceOf(labels: Uint8Array | undefined, slice: number, pixels: number): Uint8Array | undefined {
  return labels?.subarray(slice * pixels, (slice + 1) * pixels);
}
