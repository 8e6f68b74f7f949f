/** Flips and shifted crops, the same for the images and the labels of a slice. */
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { generatorAt } from '../random';

export interface Augmentation {
  /** Mirror each spatial axis with probability one half. */
  readonly flips: boolean;
  /** Largest shift of the crop along each spatial axis, in pixels; what comes in from outside is 0 (image) and background (label). */
  readonly shift: number;
}

/** One draw: for each spatial axis whether it is mirrored, then by how many pixels its content moves. */
export interface Transform {
  readonly flips: readonly boolean[];
  readonly shifts: readonly number[];
}

/** Purpose of the stream, see order.ts. */
const AUGMENTATION = 2;

/** The transform of a sample (its position in the training source) in an epoch; depends on nothing else. */
export function drawTransform(augmentation: Augmentation, seed: number, epoch: number, sample: number, axes: number): Transform {
  const random = generatorAt(seed, AUGMENTATION, epoch, sample);
  const flips = Array.from({ length: axes }, () => uniformInt(random, 0, 1) === 1 && augmentation.flips);
  const shifts = Array.from({ length: axes }, () => uniformInt(random, -augmentation.shift, augmentation.shift));
  return { flips, shifts };
}

/**
 * Moves one channel (or label map): target[o] = source[flip(o − shift)], 0 where that lies outside.
 * @param source and `target`: […size], not overlapping; `target` is zero where nothing is copied
 */
export function transformPlane<T extends Float32Array | Uint8Array>(
  source: T,
  target: T,
  size: readonly number[],
  transform: Transform,
): void {
  const axes = size.length;
  const width = size[axes - 1]!;
  const rows = source.length / width;
  for (let row = 0; row < rows; row++) {
    const from = sourceRow(row, size, transform);
    if (from < 0) {
      target.fill(0, row * width, (row + 1) * width);
      continue;
    }
    copyRow(source, from * width, target, row * width, width, transform.flips[axes - 1]!, transform.shifts[axes - 1]!);
  }
}

/** Where the coordinate comes from along one axis, −1 when outside. */
function sourceIndex(index: number, length: number, flip: boolean, shift: number): number {
  const moved = index - shift;
  if (moved < 0 || moved >= length) return -1;
  return flip ? length - 1 - moved : moved;
}

/** Source row of a target row, rows counted over all axes but the last; −1 when outside. */
function sourceRow(row: number, size: readonly number[], { flips, shifts }: Transform): number {
  let from = 0;
  let stride = 1;
  for (let axis = size.length - 2; axis >= 0; axis--) {
    const length = size[axis]!;
    const index = sourceIndex(row % length, length, flips[axis]!, shifts[axis]!);
    if (index < 0) return -1;
    from += index * stride;
    stride *= length;
    row = Math.floor(row / length);
  }
  return from;
}

function copyRow<T extends Float32Array | Uint8Array>(
  source: T,
  from: number,
  target: T,
  to: number,
  width: number,
  flip: boolean,
  shift: number,
): void {
  for (let x = 0; x < width; x++) {
    const index = sourceIndex(x, width, flip, shift);
    target[to + x] = index < 0 ? 0 : source[from + index]!;
  }
}
