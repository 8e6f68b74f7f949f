/** What a dataset and its subsets share: the cases found in the folder, what was learnt about each, workers and decoded slices. */
import { totalmem } from 'node:os';
import { resolve } from 'node:path';
import { TracinError } from '../errors';
import { CALL, anyPath, check, either, kindOf, list, oneOf, optional, record, text, whole, type Kind, type Kinds } from '../kinds';
import type { OnProgress } from '../progress';
import { BoundedCache } from './bounded-cache';
import type { ImagesRequest, LabelsRequest, SlicesRequest, Survey, SurveyRequest } from './case-worker';
import { assertDivisible, frameOf, type Frame } from './frame';
import type { ImageHeader } from './image-file';
import { findCases, type DataLayout, type LayoutOptions } from './layouts';
import { LAYOUTS, type CaseFiles } from './layouts/layout';
import { NORMALISATIONS, type Normalisation } from './normalisation';
import { assertSliceChoice, chooseSlices, needsLabels, sliceChoice, type SliceChoice } from './slice-choice';
import { WorkerPool } from './worker-pool';

/** Where a data set lies, and how its slices are cut and normalised. */
export interface DatasetOptions extends LayoutOptions {
  /** The data folder: above the case folders of BraTS, with the dataset.json of nnU-Net or MSD, a manifest, or images/; or a manifest file. */
  readonly dir: string;
  /** Only these cases; default all. */
  readonly cases?: readonly string[] | undefined;
  /**
   * [H, W] or one side of a square image, pixels; default 192 for the BraTS layouts, the largest image (rounded up to the divisor) for the
   * others. H runs along the first voxel axis, W along the second; of PNGs, H along the rows.
   */
  readonly size?: number | readonly number[] | undefined;
  /** Voxel (x, y) of the first pixel; default centred, and voxels 27 to 218 for 192 of 240. */
  readonly offset?: readonly [number, number] | undefined;
  /** What each side must be divisible by (the network's stride); default 1. */
  readonly divisor?: number | readonly number[] | undefined;
  /** Default: every slice with a tumour voxel in labelled cases, every slice in the others. */
  readonly slices?: SliceChoice | undefined;
  /** Default zscore. */
  readonly normalisation?: Normalisation | undefined;
  /**
   * Bytes of decoded slices kept for reading again; default a quarter of the machine's memory, at most 4 GiB. A training keeps all it can, an
   * influence what it plans.
   */
  readonly cacheBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnProgress | undefined;
}

export interface Entry {
  readonly files: CaseFiles;
  readonly header: ImageHeader;
  readonly frame: Frame;
  /** Chosen slices, rising. */
  readonly slices: readonly number[];
  /** Its files, the labels last. */
  readonly decodings: readonly Decoding[];
}

/** One file of a case and what is decoded of it; the key of what was. */
export interface Decoding {
  readonly method: 'images' | 'labels';
  readonly request: ImagesRequest | LabelsRequest;
  /** Which modality each decoded array is; of labels, the one array is none. */
  readonly modalities: readonly number[];
}

/** Chosen slices [slices, H, W]: normalised float32 of each modality in the file, or labels in 0..K. */
export type Decoded = readonly (Float32Array | Uint8Array)[];

export interface Store {
  readonly dir: string;
  readonly layout: DataLayout;
  readonly entries: ReadonlyMap<string, Entry>;
  readonly size: readonly [number, number];
  readonly normalisation: Normalisation;
  readonly cache: BoundedCache<Decoding, Decoded>;
  readonly workers: WorkerPool;
  /** Datasets that are open; the workers end with the last. */
  users: number;
}

type Surveyed = Omit<Entry, 'frame' | 'decodings'>;

/** Of a side of an image, pixels. */
const LARGEST_SIDE = 4096;

const side = whole(1, LARGEST_SIDE);
const pair: Kind<readonly number[]> = (value) =>
  Array.isArray(value) && value.length === 2 ? list(side)(value) : { at: '', value, give: 'a number of pixels, or [height, width]' };
const OPTIONS: Kinds<DatasetOptions> = {
  ...CALL,
  dir: anyPath,
  layout: optional(oneOf(['auto', ...LAYOUTS])),
  modalities: optional(list(text)),
  classes: optional(record(whole(0))),
  cases: optional(list(text)),
  size: optional(either(Array.isArray, pair, side)),
  offset: optional(kindOf('[x, y]', (value) => Array.isArray(value) && value.length === 2)),
  divisor: optional(either(Array.isArray, list(side), side)),
  slices: optional(sliceChoice),
  normalisation: optional(oneOf(NORMALISATIONS)),
  cacheBytes: optional(whole(0)),
};

/** Lists the folder and surveys its cases; errors as `openDataset`. */
export async function openStore(options: DatasetOptions): Promise<Store> {
  check('openDataset', options, OPTIONS);
  const dir = resolve(options.dir);
  const asked = options.size === undefined ? undefined : sizeOf(options.size, options);
  if (options.slices !== undefined) assertSliceChoice(options.slices);
  const { normalisation = 'zscore' } = options;
  const { layout, cases: found } = await findCases(dir, options);
  const cases = select(found, options.cases, dir);
  const workers = new WorkerPool('dataset/case-worker');
  try {
    const surveyed = await surveyAll(cases, layout, workers, options);
    const size = asked ?? sizeOf(defaultSize(layout, surveyed, options), options);
    const entries = new Map<string, Entry>();
    for (const one of surveyed) {
      const placed = { ...one, frame: frameOf(one.header.shape, size, options.offset) };
      entries.set(one.files.case, { ...placed, decodings: decodingsOf(placed, layout, normalisation) });
    }
    const limit = options.cacheBytes ?? Math.min(totalmem() / 4, 4 * 1024 ** 3);
    const decode = ({ method, request }: Decoding, signal: AbortSignal): Promise<Decoded> => workers.call(method, request, signal);
    const cache = new BoundedCache(limit, decode, bytesOf);
    return { dir, layout, entries, size, normalisation, cache, workers, users: 0 };
  } catch (error) {
    await workers.close();
    throw error;
  }
}

function sizeOf(size: number | readonly number[], { divisor = 1 }: DatasetOptions): readonly [number, number] {
  const [height, width = height] = typeof size === 'number' ? [size] : size;
  if (![height, width].every((side) => Number.isInteger(side) && side! >= 1 && side! <= LARGEST_SIDE)) {
    throw new TracinError('ERR_TRACIN_USAGE', `size ${String(size)} must be 1 to ${LARGEST_SIDE} pixels`);
  }
  assertDivisible([height!, width!], typeof divisor === 'number' ? [divisor] : divisor);
  return [height!, width!];
}

/** The published crop for what BraTS folders hold; elsewhere nothing is cut off. */
function defaultSize({ name }: DataLayout, surveyed: readonly Surveyed[], { divisor = 1 }: DatasetOptions): number | number[] {
  if (name === 'brats' || name === 'brats2023') return 192;
  return [0, 1].map((axis) => {
    const largest = surveyed.reduce((most, { header }) => Math.max(most, header.shape[axis]!), 0);
    const step = typeof divisor === 'number' ? divisor : (divisor[axis] ?? divisor[0] ?? 1);
    return Math.ceil(largest / step) * step;
  });
}

function select(found: readonly CaseFiles[], names: readonly string[] | undefined, dir: string): CaseFiles[] {
  if (!names) return [...found];
  const byName = new Map(found.map((files) => [files.case, files]));
  return [...new Set(names)].map((name) => byName.get(name) ?? unknownCase(name, dir));
}

export function unknownCase(name: string, dir: string): never {
  throw new TracinError('ERR_TRACIN_DATA', `${dir}: has no case ${name}: correct the name`);
}

async function surveyAll(
  cases: readonly CaseFiles[],
  { classes }: DataLayout,
  workers: WorkerPool,
  options: DatasetOptions,
): Promise<Surveyed[]> {
  let done = 0;
  return allOf(options.signal, (signal) =>
    cases.map(async (files) => {
      const choice = options.slices ?? (files.segmentation === undefined ? 'all' : { tumour: 1 });
      const request: SurveyRequest = { files, classes, countTumour: needsLabels(choice) };
      const { header, tumour } = await workers.call<Survey>('survey', request, signal);
      const slices = chooseSlices(choice, files.case, header.shape[2], tumour);
      options.onProgress?.({ stage: 'index', done: ++done, total: cases.length });
      return { files, header, slices };
    }),
  );
}

/** Promise.all, but the first that fails stops the others. */
export function allOf<T>(signal: AbortSignal | undefined, start: (signal: AbortSignal) => readonly Promise<T>[]): Promise<T[]> {
  const failed = new AbortController();
  return Promise.all(start(signal ? AbortSignal.any([signal, failed.signal]) : failed.signal)).catch((error: unknown) => {
    failed.abort();
    throw error;
  });
}

/** File by file, so that all workers share even a single case. */
function decodingsOf(
  { files, frame, slices, header }: Omit<Entry, 'decodings'>,
  { classes }: DataLayout,
  normalisation: Normalisation,
): readonly Decoding[] {
  const of = (path: string): SlicesRequest => ({ path, shape: header.shape, slices, frame });
  const images = [...new Set(files.images.map(({ path }) => path))].map((path): Decoding => {
    const modalities = files.images.flatMap((image, modality) => (image.path === path ? [modality] : []));
    const wanted = modalities.map((modality) => files.images[modality]!.channel);
    const { channels } = files.images[modalities[0]!]!;
    return { method: 'images', request: { ...of(path), channels, wanted, normalisation }, modalities };
  });
  if (files.segmentation === undefined) return images;
  return [...images, { method: 'labels', request: { ...of(files.segmentation), classes }, modalities: [] }];
}

function bytesOf(decoded: Decoded): number {
  return decoded.reduce((sum, { byteLength }) => sum + byteLength, 0);
}
