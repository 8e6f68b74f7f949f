/** The first stage of a run: reads every slice once, predicts where the definition asks for it, and measures the regions. */
import { setImmediate } from 'node:timers/promises';
import type { SliceSource } from '../dataset/slices';
import { sizeOf } from '../engine/layout';
import { TracinError, throwIfAborted } from '../errors';
import { replaceFile } from '../files';
import { toJson } from '../json';
import { predictBatches } from '../inference/predict-labels';
import type { Predictor } from '../inference/predictor';
import { npyHeader } from '../npy';
import { readBatches, sliceOf, type Role } from './batches';
import { needsPrediction, type Definition } from './definition';
import { readStudyJson, regionsSchema, studyPaths, type RegionAxis, type RegionsFile } from './folder';
import { countPixels, type Painted } from './regions';

export interface PrepareOptions {
  readonly sources: Readonly<Record<Role, SliceSource>>;
  readonly definition: Definition;
  readonly classes: readonly string[];
  /** Of the test slices. */
  readonly painted: readonly Painted[] | undefined;
  /** Opens the last checkpoint to predict with; called only where there are labels to predict. */
  readonly openPredictor: () => Promise<Predictor>;
  readonly batch: number;
  readonly out: string;
  readonly signal?: AbortSignal | undefined;
  readonly onSlices: (slices: number) => void;
  readonly onNotice: (line: string) => void;
}

/**
 * Writes predicted-test.npy and predicted-train.npy (where needed) and, when both are whole, regions.json; if that is there already, it stays.
 * @throws ERR_TRACIN_DATA for unreadable slices or a label beyond the classes
 */
export async function prepareRegions(options: PrepareOptions): Promise<RegionsFile> {
  const { definition, openPredictor, out, onSlices, onNotice } = options;
  const path = studyPaths(out).regions;
  const there = await readStudyJson(path, regionsSchema);
  if (there) {
    onSlices(there.test.slices.length + there.train.slices.length);
    return there;
  }
  const predictor = needsPrediction(definition) ? await openPredictor() : undefined;
  try {
    predictor?.notes.forEach(onNotice);
    const regions: RegionsFile = { test: await measure('test', predictor, options), train: await measure('train', predictor, options) };
    await replaceFile(path, toJson(regions));
    return regions;
  } finally {
    await predictor?.close();
  }
}

async function measure(role: Role, predictor: Predictor | undefined, options: PrepareOptions): Promise<RegionAxis> {
  const { slices, size } = options.sources[role];
  const pixels: number[][] = [];
  const rows = measured(role, predictor, pixels, options);
  if (predictor) await replaceFile(studyPaths(options.out).predicted(role), prefixed(npyHeader('u1', [slices.length, ...size]), rows));
  else while (!(await rows.next()).done);
  const absent = pixels.flatMap((counts, row) =>
    counts.flatMap((n, k): [number, string][] => (n === 0 ? [[row, options.classes[k]!]] : [])),
  );
  return { slices: slices.map(({ case: name, patient, index }) => ({ case: name, patient, index })), pixels, absent };
}

async function* prefixed(first: Uint8Array, rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first;
  yield* rest;
}

/** Appends the pixel counts [K] of each slice; yields the predicted labels [n, H, W] of each batch (nothing without a predictor). */
async function* measured(
  role: Role,
  predictor: Predictor | undefined,
  counts: number[][],
  { sources, definition, classes, painted, batch, signal, onSlices }: PrepareOptions,
): AsyncGenerator<Uint8Array> {
  const source = sources[role];
  const pixels = sizeOf(source.size);
  for await (const { truth, predicted } of labelBatches(source, predictor, batch, signal)) {
    throwIfAborted(signal);
    const n = (truth ?? predicted)!.length / pixels;
    for (let i = 0; i < n; i++) {
      const labels = {
        truth: sliceOf(truth, i, pixels),
        predicted: sliceOf(predicted, i, pixels),
        painted: role === 'test' ? painted?.[counts.length] : undefined,
      };
      if (labels.truth) checkLabels(labels.truth, source, counts.length, classes);
      counts.push(countPixels(definition.region, labels, classes.length, pixels));
      await setImmediate();
    }
    if (predicted) yield predicted;
    onSlices(n);
  }
}

async function* labelBatches(
  source: SliceSource,
  predictor: Predictor | undefined,
  batch: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<{ truth: Uint8Array | undefined; predicted: Uint8Array | undefined }> {
  if (!predictor) {
    yield* readBatches({ source, predicted: undefined }, { start: 0, end: source.slices.length }, batch, signal);
    return;
  }
  for await (const { labels, predicted } of predictBatches(predictor, source, { batch, signal })) yield { truth: labels, predicted };
}

function checkLabels(labels: Uint8Array, source: SliceSource, row: number, classes: readonly string[]): void {
  const beyond = labels.find((label) => label > classes.length);
  if (beyond === undefined) return;
  const { case: name, index } = source.slices[row]!;
  const message = `case ${name}, slice ${index}: label ${beyond} has no class, the network knows ${classes.length} (${classes.join(', ')}): relabel it`;
  throw new TracinError('ERR_TRACIN_DATA', message);
}
