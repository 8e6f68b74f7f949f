/**
 * Runs in a worker thread: surveys a case (headers, and tumour voxels where slices are chosen by them), decodes its slices,
 * writes labels and maps on its grid, reads a painted mask.
 */
import { basename, dirname, join } from 'node:path';
import { TracinError } from '../errors';
import { serve, type ServedCall } from '../worker-thread';
import { gridDistance, voxelEdges } from './affine';
import { cut, type Frame } from './frame';
import { readImage, readImageHeader, writeImage, type ImageHeader, type SliceImages } from './image-file';
import { labelsOfValues } from './label-values';
import type { CaseFiles, LabelClass } from './layouts/layout';
import type { Voxels } from './nifti';
import { normaliser, type Normalisation } from './normalisation';

export interface SurveyRequest {
  readonly files: CaseFiles;
  readonly classes: readonly LabelClass[];
  readonly countTumour: boolean;
}

export interface Survey {
  /** Of the first modality. */
  readonly header: ImageHeader;
  /** Labelled tumour voxels of each slice. */
  readonly tumour: Uint32Array | undefined;
}

export interface DecodeRequest {
  readonly files: CaseFiles;
  readonly classes: readonly LabelClass[];
  /** Of the volumes, as surveyed. */
  readonly shape: readonly number[];
  readonly slices: readonly number[];
  readonly frame: Frame;
  readonly normalisation: Normalisation;
}

export interface DecodedCase {
  /** [slices, M, H, W] */
  readonly images: Float32Array;
  /** [slices, H, W] in 0..K */
  readonly labels: Uint8Array | undefined;
}

export interface WriteRequest {
  readonly path: string;
  readonly source: ImageHeader;
  readonly frame: Frame;
  readonly classes: readonly LabelClass[];
  readonly images: SliceImages;
}

export type Grid = Pick<ImageHeader, 'shape' | 'affine'>;

export interface MaskRequest {
  readonly path: string;
  /** Of the case. */
  readonly grid: Grid;
  readonly frame: Frame;
}

/** Differences of this share of a voxel edge come from rounding in the header. */
const TOLERANCE = 0.01;

/** Why two grids differ; undefined when they are the same. */
function difference(one: Grid, other: Grid): string | undefined {
  if (one.shape.some((n, axis) => n !== other.shape[axis])) return `shape ${one.shape.join(' × ')} against ${other.shape.join(' × ')}`;
  if (!one.affine || !other.affine) return undefined;
  const distance = gridDistance(one.affine, other.affine, one.shape);
  return distance > TOLERANCE * Math.min(...voxelEdges(other.affine)) ? `an affine that is ${distance.toPrecision(3)} mm off` : undefined;
}

/** All files of a case must lie on one grid; the error names the file that is alone. */
function assertOneGrid(headers: readonly ImageHeader[], caseName: string): void {
  const friends = (one: ImageHeader): number => headers.filter((other) => difference(one, other) === undefined).length;
  const reference = headers.reduce((best, one) => (friends(one) > friends(best) ? one : best));
  // Images and labels of one case may have one name in two folders.
  const short = ({ path }: ImageHeader): string => join(basename(dirname(path)), basename(path));
  for (const header of headers) {
    const what = difference(header, reference);
    if (what === undefined) continue;
    throw new TracinError('ERR_TRACIN_DATA', `${caseName}: ${short(header)} has ${what} of ${short(reference)}: resample them to one grid`);
  }
}

function assertChannels({ path, channels }: ImageHeader, expected: number): void {
  if (channels === expected) return;
  throw new TracinError(
    'ERR_TRACIN_DATA',
    `${path}: has ${channels} channel${channels === 1 ? '' : 's'} where ${expected} ${expected === 1 ? 'is' : 'are'} expected: correct the file or what lists it`,
  );
}

/** The voxels of a file that still has the shape it was surveyed with. */
async function readVoxels(path: string, shape: readonly number[], channels: number, use: 'labels' | 'intensities'): Promise<Voxels> {
  const { header, voxels } = await readImage(path, use);
  assertChannels(header, channels);
  if (header.shape.some((n, axis) => n !== shape[axis])) {
    throw new TracinError(
      'ERR_TRACIN_DATA',
      `${path}: its shape changed from ${shape.join(' × ')} to ${header.shape.join(' × ')} while in use: open the data again`,
    );
  }
  return voxels;
}

async function readLabels(
  { segmentation }: CaseFiles,
  classes: readonly LabelClass[],
  shape: readonly number[],
): Promise<Uint8Array | undefined> {
  if (segmentation === undefined) return undefined;
  return labelsOfValues(await readVoxels(segmentation, shape, 1, 'labels'), classes, segmentation, shape);
}

/** Files of a case, each once, with the channels it must have. */
function filesOf({ images, segmentation }: CaseFiles): Map<string, number> {
  const files = new Map(images.map(({ path, channels }) => [path, channels]));
  return segmentation === undefined ? files : files.set(segmentation, 1);
}

async function survey({ files, classes, countTumour }: SurveyRequest): Promise<Survey> {
  const headers = await Promise.all(
    [...filesOf(files)].map(async ([path, channels]) => {
      const header = await readImageHeader(path);
      assertChannels(header, channels);
      return header;
    }),
  );
  assertOneGrid(headers, files.case);
  const header = headers[0]!;
  const labels = countTumour ? await readLabels(files, classes, header.shape) : undefined;
  return { header, tumour: labels && tumourBySlice(labels, header.shape[2]) };
}

function tumourBySlice(labels: Uint8Array, depth: number): Uint32Array {
  const area = labels.length / depth;
  const counts = new Uint32Array(depth);
  for (let z = 0; z < depth; z++) {
    let count = 0;
    for (let i = z * area; i < (z + 1) * area; i++) if (labels[i] !== 0) count++;
    counts[z] = count;
  }
  return counts;
}

async function decode({ files, classes, shape, slices, frame, normalisation }: DecodeRequest, call: ServedCall): Promise<DecodedCase> {
  const area = frame.size[0] * frame.size[1];
  const count = shape.reduce((product, n) => product * n, 1);
  const modalities = files.images.length;
  const images = new Float32Array(slices.length * modalities * area);
  for (const path of new Set(files.images.map((image) => image.path))) {
    call.throwIfAborted();
    const own = [...files.images.entries()].filter(([, image]) => image.path === path);
    const all = await readVoxels(path, shape, own[0]![1].channels, 'intensities');
    for (const [modality, { channel }] of own) {
      const voxels = all.subarray(channel * count, (channel + 1) * count);
      const normalise = normaliser(normalisation, voxels, path);
      slices.forEach((z, n) => {
        const image = images.subarray((n * modalities + modality) * area, (n * modalities + modality + 1) * area);
        cut(frame, voxels, z, image);
        normalise(image);
      });
    }
  }
  call.throwIfAborted();
  const volume = await readLabels(files, classes, shape);
  const labels = volume && new Uint8Array(slices.length * area);
  if (volume) slices.forEach((z, n) => cut(frame, volume, z, labels!.subarray(n * area, (n + 1) * area)));
  return { images, labels };
}

/** The painted slices of a mask on the grid of a case, within the window. */
async function mask({ path, grid, frame }: MaskRequest): Promise<Map<number, Uint8Array>> {
  const { header, voxels } = await readImage(path, 'labels');
  assertChannels(header, 1);
  const what = difference(header, grid);
  if (what !== undefined) {
    throw new TracinError('ERR_TRACIN_DATA', `${path}: has ${what} of the case: paint the region on an image of the case itself`);
  }
  const painted = new Uint8Array(voxels.length);
  for (let i = 0; i < painted.length; i++) painted[i] = voxels[i] === 0 ? 0 : 1;
  const slices = new Map<number, Uint8Array>();
  for (let z = 0; z < grid.shape[2]; z++) {
    const image = new Uint8Array(frame.size[0] * frame.size[1]);
    cut(frame, painted, z, image);
    if (image.includes(1)) slices.set(z, image);
  }
  return slices;
}

serve(() => ({
  async write({ path, source, frame, images, classes }: WriteRequest) {
    await writeImage(path, source, frame, images, classes);
    return { result: undefined };
  },
  async mask(request: MaskRequest) {
    return { result: await mask(request) };
  },
  async survey(request: SurveyRequest) {
    return { result: await survey(request) };
  },
  async decode(request: DecodeRequest, call: ServedCall) {
    const result = await decode(request, call);
    return { result, transfer: [result.images.buffer as ArrayBuffer, ...(result.labels ? [result.labels.buffer as ArrayBuffer] : [])] };
  },
}));
