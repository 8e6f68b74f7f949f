/** Image files of any format as volumes: a PNG is one slice. The one place that tells the formats apart. */
import { TracinError } from '../errors';
import { replaceFile } from '../files';
import { encodeNpy } from '../npy';
import type { Affine } from './affine';
import { valuesOfLabels } from './label-values';
import type { LabelClass } from './layouts/layout';
import { paste, type Frame } from './frame';
import { readNiftiHeader, readVolume, type Voxels } from './nifti';
import { newVolume, writeVolume } from './nifti-writer';
import { encodeGreyPng, readPng, readPngHeader, type PngHeader } from './png';

export interface ImageHeader {
  readonly path: string;
  readonly format: 'nifti' | 'png';
  /** Voxels along x, y, z. */
  readonly shape: readonly [number, number, number];
  /** Volumes along the fourth axis, or colours. */
  readonly channels: number;
  /** Voxel to RAS millimetres; undefined where the format has none. */
  readonly affine: Affine | undefined;
  /** The NIfTI header as it stands in the file; empty for other formats. */
  readonly bytes: Uint8Array;
}

/** Endings of the files written about a case, by the format of its images. */
export const ENDINGS = {
  nifti: { labels: '.nii.gz', map: '.nii.gz' },
  png: { labels: '.png', map: '.npy' },
} as const;

function isPng(path: string): boolean {
  return path.endsWith('.png');
}

/**
 * Reads and checks a header without reading the voxels. A name in .png is a PNG, any other a NIfTI.
 * @throws ERR_TRACIN_DATA naming file and header field; ERR_TRACIN_IO when the file cannot be read
 */
export async function readImageHeader(path: string): Promise<ImageHeader> {
  return isPng(path) ? headerOf(path, await readPngHeader(path)) : { format: 'nifti', ...(await readNiftiHeader(path)) };
}

function headerOf(path: string, { height, width, channels }: PngHeader): ImageHeader {
  return { path, format: 'png', shape: [height, width, 1], channels, affine: undefined, bytes: new Uint8Array(0) };
}

/**
 * Reads a whole file: channel after channel, each with x fastest, then y, then z. It inflates and converts at once: call it in a worker.
 * @param use `labels` are numbers of classes, `intensities` are not: colours have no number, indices no intensity
 * @throws ERR_TRACIN_DATA naming file and field; ERR_TRACIN_IO when the file cannot be read
 */
export async function readImage(path: string, use: 'labels' | 'intensities'): Promise<{ header: ImageHeader; voxels: Voxels }> {
  if (!isPng(path)) {
    const { header, voxels } = await readVolume(path);
    return { header: { format: 'nifti', ...header }, voxels };
  }
  const { header, pixels } = await readPng(path);
  const refuse = (what: string): TracinError => new TracinError('ERR_TRACIN_DATA', `${path}: ${what}`);
  if (use === 'labels' && header.kind === 'colour')
    throw refuse('the labels are colours: save the numbers of the classes as grey or indexed');
  if (use === 'intensities' && header.kind === 'indexed')
    throw refuse('the image has indexed colours: save it as grey or as red, green, blue');
  return { header: headerOf(path, header), voxels: pixels };
}

/** Images [H, W] by slice index: labels 0..K, or a map. */
export type SliceImages = { readonly labels: ReadonlyMap<number, Uint8Array> } | { readonly map: ReadonlyMap<number, Float32Array> };

/**
 * Writes slices on the grid of a source file, in its format and, for labels, with its numbers; what is not given is 0.
 * NIfTI: uint8 (int16 where a number needs it) or float32. PNG: labels as grey PNG, a map as float32 .npy [H, W].
 */
export async function writeImage(
  path: string,
  source: ImageHeader,
  frame: Frame,
  images: SliceImages,
  classes: readonly LabelClass[],
): Promise<void> {
  if (source.format === 'png') return writePlane(path, source, frame, images, classes);
  if ('labels' in images) {
    const wide = classes.some(({ value }) => value > 255);
    const volume = await newVolume(source.bytes, wide ? 'int16' : 'uint8', 'tracin-seg labels');
    for (const [z, image] of images.labels) paste(frame, valuesOfLabels(image, classes), volume.voxels, z);
    await writeVolume(path, volume);
  } else {
    const volume = await newVolume(source.bytes, 'float32', 'tracin-seg map');
    for (const [z, image] of images.map) paste(frame, image, volume.voxels, z);
    await writeVolume(path, volume);
  }
}

async function writePlane(
  path: string,
  source: ImageHeader,
  frame: Frame,
  images: SliceImages,
  classes: readonly LabelClass[],
): Promise<void> {
  const [height, width] = source.shape;
  if ('labels' in images) {
    const numbers = new Int16Array(height * width);
    for (const [z, image] of images.labels) paste(frame, valuesOfLabels(image, classes), numbers, z);
    await replaceFile(path, await encodeGreyPng(numbers, height, width));
  } else {
    const turned = new Float32Array(height * width);
    for (const [z, image] of images.map) paste(frame, image, turned, z);
    const map = Float32Array.from(turned, (_, i) => turned[(i % width) * height + Math.floor(i / width)]!);
    await replaceFile(path, encodeNpy([height, width], map));
  }
}
