/** Regions that a person has painted: "explain this spot". */
import { TracinError } from '../errors';
import { anyPath, check, text } from '../kinds';
import { openArrayFile } from '../npz';
import { WorkerThread } from '../worker-thread';
import type { MaskRequest } from './case-worker';
import { Dataset, type Geometry } from './dataset';
import { cut } from './frame';
import { sliceSource, type SliceSource } from './slices';

/** A region painted by hand, as it lies on the slices of its case. */
export interface RegionMask {
  /** Slices of the case with a painted pixel in the window, rising; undefined for one image that stands for whichever slice is asked for. */
  readonly slices: readonly number[] | undefined;
  /**
   * [H, W] of a slice, as the network sees it: 1 inside the region, 0 outside.
   * @throws ERR_TRACIN_DATA when nothing is painted there
   */
  at(slice: number): Uint8Array;
}

/**
 * Reads a painted region of one case; whatever is not 0 is inside.
 * @param path `.nii.gz`, `.nii` or `.png` on the grid of the case; or `.npy` (`.npz`), [H, W] as the network sees slices or [X, Y] of the whole
 *   slice: a single image, for whichever slice is asked for
 * @param source a dataset, or arrays (`.npy` [H, W] only)
 * @throws ERR_TRACIN_DATA naming the file: another shape or affine than the case's, nothing painted inside the window
 */
export async function readRegionMask(path: string, source: SliceSource, caseName: string): Promise<RegionMask> {
  check('readRegionMask', { path, source, caseName }, { path: anyPath, source: sliceSource, caseName: text });
  const geometry = source instanceof Dataset ? source.geometry(caseName) : undefined;
  if (/\.np[yz](#.+)?$/.test(path)) {
    const image = await paintedImage(path, source, geometry);
    if (!image.includes(1)) throw nothing(path, 'the image', geometry);
    return { slices: undefined, at: () => image };
  }
  const painted = await paintedVolume(path, caseName, geometry);
  if (painted.size === 0) throw nothing(path, caseName, geometry);
  const slices = [...painted.keys()].sort((a, b) => a - b);
  return {
    slices,
    at(slice) {
      const mask = painted.get(slice);
      if (mask) return mask;
      const range = slices.length === 1 ? `slice ${slices[0]}` : `slices ${slices[0]} to ${slices.at(-1)}`;
      throw new TracinError(
        'ERR_TRACIN_DATA',
        `${path}: nothing is painted on slice ${slice} of ${caseName}: ask for ${range}, or paint there`,
      );
    },
  };
}

function nothing(path: string, where: string, geometry: Geometry | undefined): TracinError {
  const window = geometry ? ` inside the window of ${geometry.frame.size.join(' × ')} pixels at ${geometry.frame.offset.join(', ')}` : '';
  return new TracinError('ERR_TRACIN_DATA', `${path}: nothing is painted on ${where}${window}: paint the region there`);
}

async function paintedVolume(path: string, caseName: string, geometry: Geometry | undefined): Promise<ReadonlyMap<number, Uint8Array>> {
  if (!geometry)
    throw new TracinError(
      'ERR_TRACIN_DATA',
      `${path}: case ${caseName} is a row of arrays and has no grid: give the region as .npy [H, W]`,
    );
  const worker = new WorkerThread('dataset/case-worker');
  try {
    const request: MaskRequest = { path, grid: { shape: geometry.shape, affine: geometry.affine }, frame: geometry.frame };
    return await worker.call<ReadonlyMap<number, Uint8Array>>('mask', request);
  } finally {
    await worker.close();
  }
}

async function paintedImage(path: string, source: SliceSource, geometry: Geometry | undefined): Promise<Uint8Array> {
  const file = await openArrayFile(path, 'mask');
  try {
    const { shape } = file;
    const is = (other: readonly number[]): boolean => other.length === shape.length && other.every((n, axis) => n === shape[axis]);
    const frame = geometry?.frame;
    if (!is(source.size) && !(frame && is(frame.full))) {
      const whole = frame ? ` nor [${frame.full.join(', ')}]` : '';
      throw new TracinError(
        'ERR_TRACIN_DATA',
        `${file.path}: shape [${shape.join(', ')}] is not [${source.size.join(', ')}]${whole}: paint the region on the slice itself`,
      );
    }
    const values = await file.read(0, shape[0]!);
    const painted = new Uint8Array(values.length);
    for (let i = 0; i < painted.length; i++) painted[i] = Number(values[i]) === 0 ? 0 : 1;
    if (is(source.size) || !frame) return painted;
    const [nx, ny] = frame.full;
    // Volumes in here have x fastest.
    const turned = painted.map((_, i) => painted[(i % nx) * ny + Math.floor(i / nx)]!);
    const image = new Uint8Array(frame.size[0] * frame.size[1]);
    cut(frame, turned, 0, image);
    return image;
  } finally {
    await file.close();
  }
}
