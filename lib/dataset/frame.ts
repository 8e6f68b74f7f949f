/**
 * The in-plane window of a volume that networks see. Slices are axial, along the volume's third array axis as stored;
 * an image's rows (H) run along the first array axis (x), its columns (W) along the second (y): pixel [h, w] of slice z is
 * voxel (offset[0] + h, offset[1] + w, z). Pixels outside the volume are zero (background).
 */
import { TracinError } from '../errors';
import type { Voxels } from './nifti';
import { AS_STORED, type Scaling } from './normalisation';

/** Which window of a slice the networks see. */
export interface Frame {
  /** Voxel (x, y) of pixel [0, 0]; negative where the image is padded. */
  readonly offset: readonly [number, number];
  /** [H, W] of the image. */
  readonly size: readonly [number, number];
  /** Voxels along x and y of the volume. */
  readonly full: readonly [number, number];
}

/** Torda et al. 2025 cut voxels 27 to 218 out of 240, three off the centre; so do we for 192 of 240. */
const PAPER = { full: 240, size: 192, offset: 27 };

function offsetAlong(full: number, size: number): number {
  return full === PAPER.full && size === PAPER.size ? PAPER.offset : Math.floor((full - size) / 2);
}

/**
 * A window of `size` pixels in a volume of `shape` voxels: centred (192 of 240: voxels 27 to 218) unless an offset is given.
 * @throws ERR_TRACIN_USAGE when the offset is not whole or the window misses the volume
 */
export function frameOf(shape: readonly number[], size: readonly [number, number], offset?: readonly [number, number]): Frame {
  const full = [shape[0]!, shape[1]!] as const;
  const chosen = offset ?? ([offsetAlong(full[0], size[0]), offsetAlong(full[1], size[1])] as const);
  if (!chosen.every((at, axis) => Number.isInteger(at) && at < full[axis]! && at + size[axis]! > 0)) {
    throw new TracinError(
      'ERR_TRACIN_USAGE',
      `offset ${chosen.join(', ')} leaves no voxel of ${full.join(' × ')} in the window: choose whole numbers within it`,
    );
  }
  return { full, size, offset: chosen };
}

/**
 * @param divisor what each side must be divisible by: the network's stride
 * @throws ERR_TRACIN_USAGE naming the nearest sizes that fit
 */
export function assertDivisible(size: readonly number[], divisor: readonly number[]): void {
  size.forEach((side, axis) => {
    const stride = divisor[axis] ?? divisor[0] ?? 1;
    if (side % stride === 0) return;
    const below = Math.floor(side / stride) * stride;
    const nearest = below > 0 ? `${below} and ${below + stride}` : `${below + stride}`;
    throw new TracinError(
      'ERR_TRACIN_USAGE',
      `size ${side} is not divisible by the network's stride ${stride}: the nearest that fit are ${nearest}`,
    );
  });
}

type Image = Float32Array | Uint8Array | Int16Array;

/** The part of the frame that lies in the volume: rows [h0, h1) and columns [w0, w1) of the image. */
function inside({ offset, size, full }: Frame): { h0: number; h1: number; w0: number; w1: number } {
  const [h0, w0] = [Math.max(0, -offset[0]), Math.max(0, -offset[1])];
  return { h0, w0, h1: Math.min(size[0], full[0] - offset[0]), w1: Math.min(size[1], full[1] - offset[1]) };
}

/**
 * Copies slice z of a volume (x fastest), scaled, into an image [H, W] that is zero beforehand. One loop does both: a case has 36 million
 * voxels, and each further pass over them costs as much as inflating the files.
 */
export function cut(frame: Frame, volume: Voxels, z: number, image: Image, { scale, shift, zero }: Scaling = AS_STORED): void {
  const { h0, h1, w0, w1 } = inside(frame);
  const [nx, ny] = frame.full;
  if (zero !== 0) image.fill(zero);
  for (let h = h0; h < h1; h++) {
    let voxel = nx * (ny * z + frame.offset[1] + w0) + frame.offset[0] + h;
    for (let at = h * frame.size[1] + w0, end = h * frame.size[1] + w1; at < end; at++, voxel += nx) {
      const value = volume[voxel]!;
      image[at] = value === 0 ? zero : value * scale + shift;
    }
  }
}

/** The inverse of {@link cut}: puts an image [H, W] back into slice z; what lies outside the volume is dropped. */
export function paste(frame: Frame, image: Image, volume: Image, z: number): void {
  const { h0, h1, w0, w1 } = inside(frame);
  const [nx, ny] = frame.full;
  for (let h = h0; h < h1; h++) {
    let voxel = nx * (ny * z + frame.offset[1] + w0) + frame.offset[0] + h;
    for (let at = h * frame.size[1] + w0, end = h * frame.size[1] + w1; at < end; at++, voxel += nx) volume[voxel] = image[at]!;
  }
}

/** Voxel (x, y, z) of a pixel of slice z; it may lie outside the volume where the image is padded. */
export function voxelOf(frame: Frame, pixel: readonly [number, number], z: number): [number, number, number] {
  return [frame.offset[0] + pixel[0], frame.offset[1] + pixel[1], z];
}
