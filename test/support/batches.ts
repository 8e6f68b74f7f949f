/** Seeded batches for a network of `modalities` images and `classes` foreground classes. */
import type { RegionBatch, TrainingBatch } from '../../lib/engine/engine';
import { uniform } from './numbers';

export interface BatchShape {
  readonly slices: number;
  readonly size: readonly number[];
  readonly modalities?: number;
  readonly classes?: number;
}

export function trainingBatch({ slices, size, modalities = 3, classes = 3 }: BatchShape, seed = 1): TrainingBatch {
  const next = uniform(seed);
  const pixels = size.reduce((product, n) => product * n, 1);
  return {
    images: Float32Array.from({ length: slices * modalities * pixels }, () => 1.5 * next()),
    targets: Uint8Array.from({ length: slices * pixels }, () => Math.floor(((next() + 1) / 2) * (classes + 1))),
  };
}

/** About half of the pixels speak for each class; the last class of the first slice is absent. */
export function regionBatch(shape: BatchShape, seed = 1): RegionBatch {
  const { slices, size, classes = 3 } = shape;
  const next = uniform(seed + 1000);
  const pixels = size.reduce((product, n) => product * n, 1);
  const masks = Uint8Array.from({ length: slices * classes * pixels }, () => (next() > 0 ? 1 : 0));
  masks.fill(0, (classes - 1) * pixels, classes * pixels);
  return { ...trainingBatch(shape, seed), masks };
}

/** Each class speaks for one small patch, somewhere else in every slice, now and then for a single pixel or for none. */
export function patchBatch(shape: BatchShape, seed = 1): RegionBatch {
  const { slices, size, classes = 3 } = shape;
  const next = uniform(seed + 2000);
  const below = (n: number): number => Math.floor(((next() + 1) / 2) * n);
  const pixels = size.reduce((product, n) => product * n, 1);
  const masks = new Uint8Array(slices * classes * pixels);
  for (let region = 0; region < slices * classes; region++) {
    const length = [5, 1, 9, 0][region % 4]!;
    const low = size.map((n) => below(n));
    for (let i = 0; i < pixels; i++) {
      let inside = true;
      for (let axis = size.length - 1, rest = i; axis >= 0; rest = Math.floor(rest / size[axis]!), axis--) {
        const at = (rest % size[axis]!) - low[axis]!;
        inside &&= at >= 0 && at < length;
      }
      masks[region * pixels + i] = inside ? 1 : 0;
    }
  }
  return { ...trainingBatch(shape, seed), masks };
}

/** The slices at these positions, in that order. */
export function pick(batch: RegionBatch, slices: number, positions: readonly number[]): RegionBatch {
  const rows = <T extends Float32Array | Uint8Array>(array: T): T => {
    const length = array.length / slices;
    const out = array.slice(0, positions.length * length) as T;
    positions.forEach((p, i) => out.set(array.subarray(p * length, (p + 1) * length), i * length));
    return out;
  };
  return { images: rows(batch.images), targets: rows(batch.targets), masks: rows(batch.masks) };
}
