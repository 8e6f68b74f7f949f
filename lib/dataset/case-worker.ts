/**
 * Runs in a worker thread: surveys a case (headers, and tumour voxels where slices are chosen by them), decodes the slices of
 * one of its files, writes labels and maps on its grid, reads a painted mask.
 */
import { basename, dirname, join } from 'node:path';
import { TracinError } from '../errors';
import { serve } from '../worker-thread';
import { gridDistance, voxelEdges } from './affine';
import { cut, type Frame } from './frame';
import { readImage, readImageHeader, writeImage, type ImageHeader, type SliceImages } from './image-file';
import { labelsOfValues } from './label-values';
import type { CaseFiles, LabelClass } from './layouts/layout';
import type { Voxels } from './nifti';
import { scalingOf, type Normalisation } from './normalisation';

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

/** Which slices of a file. */
export interface SlicesRequest {
  readonly path: string;
  /** Of the volume, as surveyed. */
  readonly shape: readonly number[];
  readonly slices: readonly number[];
  readonly frame: Frame;
}

export interface ImagesRequest extends SlicesRequest {
  /** In the file. */
  readonly channels: number;
  /** Those asked for. */
  readonly wanted: readonly number[];
  readonly normalisation: Normalisation;
}

export interface LabelsRequest extends SlicesRequest {
  readonly classes: readonly LabelClass[];
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

async function readLabels(path: string, classes: readonly LabelClass[], shape: readonly number[]): Promise<Uint8Array> {
  return labelsOfValues(await readVoxels(path, shape, 1, 'labels'), classes, path, shape);
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
  if (!countTumour || files.segmentation === undefined) return { header, tumour: undefined };
  return { header, tumour: tumourBySlice(await readLabels(files.segmentation, classes, header.shape), header.shape[2]) };
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

/** Normalised slices [slices, H, W] of each channel that is wanted. */
async function images({ path, channels, wanted, shape, slices, frame, normalisation }: ImagesRequest): Promise<Float32Array[]> {
  const area = frame.size[0] * frame.size[1];
  const count = shape.reduce((product, n) => product * n, 1);
  const all = await readVoxels(path, shape, channels, 'intensities');
  return wanted.map((channel) => {
    const voxels = all.subarray(channel * count, (channel + 1) * count);
    const scaling = scalingOf(normalisation, voxels, path);
    const cuts = new Float32Array(slices.length * area);
    slices.forEach((z, n) => cut(frame, voxels, z, cuts.subarray(n * area, (n + 1) * area), scaling));
    return cuts;
  });
}

/** Labels [slices, H, W] in 0..K. */
async function labels({ path, classes, shape, slices, frame }: LabelsRequest): Promise<Uint8Array> {
  const area = frame.size[0] * frame.size[1];
  const volume = await readLabels(path, classes, shape);
  const cuts = new Uint8Array(slices.length * area);
  slices.forEach((z, n) => cut(frame, volume, z, cuts.subarray(n * area, (n + 1) * area)));
  return cuts;
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
  async images(request: ImagesRequest) {
    const result = await images(request);
    return { result, transfer: result.map(({ buffer }) => buffer as ArrayBuffer) };
  },
  async labels(request: LabelsRequest) {
    const result = await labels(request);
    return { result: [result], transfer: [result.buffer as ArrayBuffer] };
  },
}));
