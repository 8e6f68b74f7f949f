/** Slices streamed with their masks and targets; the next batch is read while one is computed. */
import { setImmediate } from 'node:timers/promises';
import type { SliceSource } from '../dataset/slices';
import type { RegionBatch } from '../engine/engine';
import { sizeOf } from '../engine/layout';
import { readAhead } from '../read-ahead';
import type { Definition } from './definition';
import { regionMasks, type Painted } from './regions';

/** The two sides of an influence. */
export type Role = 'test' | 'train';

/** Predicted labels [end − start, H, W] of slices [start, end). */
export type ReadLabels = (start: number, end: number) => Promise<Uint8Array>;

/** One side of an influence: where its slices and, where the definition needs them, its predicted labels come from. */
export interface Side {
  readonly role: Role;
  readonly source: SliceSource;
  readonly predicted: ReadLabels | undefined;
  /** Slice by slice; of test slices alone. */
  readonly painted?: readonly Painted[] | undefined;
}

/** Positions [start, end) on a slice axis. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** Images, and labels where the source has them. */
export interface ReadBatch extends Range {
  /** [n, M, H, W] */
  readonly images: Float32Array;
  /** [n, H, W] */
  readonly labels: Uint8Array | undefined;
}

export type Batches<T> = AsyncIterable<Range & T>;

/** Cuts a range into parts of `length`, the last one shorter where it does not divide. */
export function cut({ start, end }: Range, length: number): Range[] {
  return Array.from({ length: Math.ceil((end - start) / length) }, (_, i) => {
    const from = start + i * length;
    return { start: from, end: Math.min(from + length, end) };
  });
}

/** Reads the slices of a range in batches, in order. */
export function readBatches(source: SliceSource, range: Range, batch: number, signal?: AbortSignal): AsyncGenerator<ReadBatch> {
  const parts = cut(range, batch);
  return readAhead(parts.length, (item) => readBatch(source, parts[item]!, signal));
}

export async function readBatch(source: SliceSource, { start, end }: Range, signal?: AbortSignal): Promise<ReadBatch> {
  const positions = Array.from({ length: end - start }, (_, i) => start + i);
  return { start, end, ...(await source.read(positions, { signal })) };
}

/** Reads the slices of a range as the engines take them: images, targets, masks. */
export function regionBatches(
  side: Side,
  definition: Definition,
  range: Range,
  batch: number,
  signal?: AbortSignal,
): AsyncGenerator<Range & RegionBatch> {
  const parts = cut(range, batch);
  return readAhead(parts.length, (item) => regionBatch(side, definition, parts[item]!, signal));
}

/** The slices of a range as the engines take them. */
export async function regionBatch(side: Side, definition: Definition, range: Range, signal?: AbortSignal): Promise<Range & RegionBatch> {
  const [slices, predicted] = await Promise.all([readBatch(side.source, range, signal), side.predicted?.(range.start, range.end)]);
  return withRegions(side, definition, slices, predicted);
}

/** Slices that were read, as the engines take them. */
export async function withRegions(
  { role, source, painted }: Omit<Side, 'predicted'>,
  definition: Definition,
  { start, end, images, labels: truth }: ReadBatch,
  predicted: Uint8Array | undefined,
): Promise<Range & RegionBatch> {
  const classes = source.classes.length;
  const pixels = sizeOf(source.size);
  const masks = new Uint8Array((end - start) * classes * pixels);
  for (let slice = 0; slice < end - start; slice++) {
    const labels = {
      truth: sliceOf(truth, slice, pixels),
      predicted: sliceOf(predicted, slice, pixels),
      painted: painted?.[start + slice],
    };
    masks.set(regionMasks(definition.region, labels, classes, pixels), slice * classes * pixels);
    await setImmediate();
  }
  const targets = role === 'test' && definition.target === 'predicted' ? predicted! : truth!;
  return { start, end, images, targets, masks };
}

/** The batches of each range; the first batch of the next range is read while a range is worked on. */
export async function* rangesAhead<R extends Range, T>(
  ranges: readonly R[],
  open: (range: R) => AsyncGenerator<Range & T>,
): AsyncGenerator<{ readonly range: R; readonly batches: Batches<T> }> {
  const unfinished = new Set<AsyncGenerator<Range & T>>();
  const streams = readAhead(ranges.length, async (item) => {
    const batches = open(ranges[item]!);
    unfinished.add(batches);
    return { range: ranges[item]!, batches, first: await batches.next() };
  });
  try {
    for await (const { range, batches, first } of streams) {
      yield { range, batches: resumed(first, batches) };
      unfinished.delete(batches);
    }
  } finally {
    for (const batches of unfinished) await batches.return(undefined);
  }
}

async function* resumed<T>(first: IteratorResult<T>, rest: AsyncGenerator<T>): AsyncGenerator<T> {
  if (!first.done) yield first.value;
  yield* rest;
}

/** The labels [H, W] of one slice of a batch. */
export function sliceOf(labels: Uint8Array | undefined, slice: number, pixels: number): Uint8Array | undefined {
  return labels?.subarray(slice * pixels, (slice + 1) * pixels);
}
