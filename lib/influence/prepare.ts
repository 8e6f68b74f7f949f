/** The first stage of a run: reads every slice once, predicts where the definition asks for it, and measures the regions. */
import { setImmediate } from 'node:timers/promises';
import type { SliceSource } from '../dataset/slices';
import { sizeOf } from '../engine/layout';
import { TracinError } from '../errors';
import type { Predictor } from '../inference/predictor';
import {
  rangesAhead,
  readBatches,
  sliceOf,
  type Batches,
  type Range,
  type ReadBatch,
  type ReadLabels,
  type Role,
  type Side,
} from './batches';
import { needsPrediction, type Definition } from './definition';
import type { RegionAxis } from './folder';
import type { InfluencePlan } from './plan';
import { countPixels, type Painted } from './regions';
import { shareOf, type Shard } from './shard';
import { regionRanges, tileName, type TileFolder } from './tiles';

const COUNT_BYTES = Uint32Array.BYTES_PER_ELEMENT;

export interface PrepareOptions {
  readonly sources: Readonly<Record<Role, SliceSource>>;
  readonly definition: Definition;
  readonly classes: readonly string[];
  /** Of the test slices. */
  readonly painted: readonly Painted[] | undefined;
  /** The last checkpoint to predict with; asked for only where there are labels to predict, and left open. */
  readonly openPredictor: () => Promise<Predictor>;
  /** Labels [n, H, W] of the first test slices, where they are predicted already. */
  readonly begun?: Uint8Array | undefined;
  /** Training ranges that are predicted when they are contracted: not here. */
  readonly later?: readonly Range[] | undefined;
  readonly plan: InfluencePlan;
  readonly tiles: TileFolder;
  /** Only its share of the training slices; all of them when absent. */
  readonly shard?: Shard | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onSlices: (slices: number) => void;
  readonly onNotice: (line: string) => void;
}

/**
 * Computes the region tiles that are not there yet.
 * @throws ERR_TRACIN_DATA for unreadable slices or a label beyond the classes
 */
export async function prepareRegions(options: PrepareOptions): Promise<void> {
  const { sources, definition, classes, openPredictor, later = [], plan, tiles, shard, signal, onSlices, onNotice } = options;
  const pixels = sizeOf(sources.train.size);
  const sliceBytes = classes.length * COUNT_BYTES + (needsPrediction(definition) ? pixels : 0);
  const missing: (Range & { readonly role: Role })[] = [];
  for (const role of ['test', 'train'] as const) {
    for (const range of shareOf(regionRanges(plan, role), role === 'train' ? shard : undefined)) {
      const slices = range.end - range.start;
      if (role === 'train' && later.some(({ start }) => start === range.start)) continue;
      if (await tiles.has(tileName.regions(role, range), slices * sliceBytes)) onSlices(slices);
      else missing.push({ ...range, role });
    }
  }
  if (missing.length === 0 && later.length === 0) return;
  const predictor = needsPrediction(definition) ? await openPredictor() : undefined;
  predictor?.notes.forEach(onNotice);
  const open = ({ role, ...range }: Range & { readonly role: Role }) => readBatches(sources[role], range, plan.batch, signal);
  for await (const { range, batches } of rangesAhead(missing, open)) {
    const { counts, predicted } = await measure(range.role, range, batches, predictor, options);
    await tiles.write(tileName.regions(range.role, range), counts, ...predicted);
  }
}

/** Pixels [n, K] of the regions of a range, and the predicted labels [n, H, W] batch by batch (nothing without a predictor). */
async function measure(
  role: Role,
  range: Range,
  batches: Batches<ReadBatch>,
  predictor: Predictor | undefined,
  { sources, definition, classes, painted, begun, signal, onSlices }: PrepareOptions,
): Promise<{ counts: Uint32Array; predicted: Uint8Array[] }> {
  const source = sources[role];
  const pixels = sizeOf(source.size);
  const counts = new Uint32Array((range.end - range.start) * classes.length);
  const all: Uint8Array[] = [];
  const shape = [source.modalities.length, ...source.size];
  const side = { role, source, painted: role === 'test' ? painted : undefined };
  for await (const slices of batches) {
    const { start, end, images } = slices;
    const known = begun && role === 'test' ? begun.subarray(start * pixels, end * pixels) : undefined;
    const predicted = predictor && (await labelsBeyond(known, predictor, images, [end - start, ...shape], signal));
    counts.set(await countRegions(side, definition, slices, predicted), (start - range.start) * classes.length);
    if (predicted) all.push(predicted);
    onSlices(end - start);
  }
  return { counts, predicted: all };
}

/**
 * Pixels [n, K] of the regions of some slices.
 * @throws ERR_TRACIN_DATA for a label beyond the classes
 */
export async function countRegions(
  { source, painted }: Pick<Side, 'source' | 'painted'>,
  definition: Definition,
  { start, end, labels: truth }: ReadBatch,
  predicted: Uint8Array | undefined,
): Promise<Uint32Array> {
  const { classes } = source;
  const pixels = sizeOf(source.size);
  const counts = new Uint32Array((end - start) * classes.length);
  for (let slice = 0; slice < end - start; slice++) {
    const labels = {
      truth: sliceOf(truth, slice, pixels),
      predicted: sliceOf(predicted, slice, pixels),
      painted: painted?.[start + slice],
    };
    if (labels.truth) checkLabels(labels.truth, source, start + slice, classes);
    counts.set(countPixels(definition.region, labels, classes.length, pixels), slice * classes.length);
    await setImmediate();
  }
  return counts;
}

/** Labels [B, H, W] of a batch [B, M, H, W]: of its first slices those that are known, of the others as predicted. */
async function labelsBeyond(
  known: Uint8Array = new Uint8Array(0),
  predictor: Predictor,
  images: Float32Array,
  [slices = 0, ...shape]: readonly number[],
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const first = known.length / sizeOf(shape.slice(1));
  if (first === slices) return known;
  const others = await predictor.labels(images.subarray(first * sizeOf(shape)), [slices - first, ...shape], { signal });
  return first === 0 ? others : Buffer.concat([known, others]);
}

/** @throws ERR_TRACIN_DATA naming the first slice, from `first` on, with a label that no class has */
export function checkLabels(labels: Uint8Array, source: SliceSource, first: number, classes: readonly string[]): void {
  const at = labels.findIndex((label) => label > classes.length);
  if (at < 0) return;
  const beyond = labels[at]!;
  const { case: name, index } = source.slices[first + Math.floor(at / sizeOf(source.size))]!;
  const message = `case ${name}, slice ${index}: label ${beyond} has no class, the network knows ${classes.length} (${classes.join(', ')}): relabel it`;
  throw new TracinError('ERR_TRACIN_DATA', message);
}

/** Predicted labels out of the region tiles. */
export function predictedLabels(tiles: TileFolder, plan: InfluencePlan, role: Role, pixels: number): ReadLabels {
  return async (start, end) => {
    const labels = new Uint8Array((end - start) * pixels);
    for (const range of regionRanges(plan, role)) {
      const [from, to] = [Math.max(start, range.start), Math.min(end, range.end)];
      if (from >= to) continue;
      const counts = (range.end - range.start) * plan.classes * COUNT_BYTES;
      const part = labels.subarray((from - start) * pixels, (to - start) * pixels);
      await tiles.read(tileName.regions(role, range), counts + (from - range.start) * pixels, part);
    }
    return labels;
  };
}

/** A side's entry in regions.json, out of the region tiles. */
export async function regionAxis(
  tiles: TileFolder,
  plan: InfluencePlan,
  role: Role,
  source: SliceSource,
  classes: readonly string[],
): Promise<RegionAxis> {
  const pixels: number[][] = [];
  for (const range of regionRanges(plan, role)) {
    const counts = await tiles.read(tileName.regions(role, range), 0, new Uint32Array((range.end - range.start) * classes.length));
    for (let row = 0; row < counts.length; row += classes.length) pixels.push([...counts.subarray(row, row + classes.length)]);
  }
  const absent = pixels.flatMap((numbers, row) => numbers.flatMap((n, k): [number, string][] => (n === 0 ? [[row, classes[k]!]] : [])));
  return { slices: source.slices.map(({ case: name, patient, index }) => ({ case: name, patient, index })), pixels, absent };
}
