/** Slices are visited in random order, epoch after epoch: for one that is not kept, the volumes of its whole case are decoded again. */
import { freemem } from 'node:os';
import type { SliceCache, SliceSource } from '../dataset/slices';
import { formatBytes } from '../rounded';
import type { TrainingData } from './options';

/** Of the memory free now; the rest is for the network and other programs. */
const SHARE = 0.6;

/**
 * Has the caches of the sources keep every decoded slice, or as many as memory has room for.
 * @param free bytes
 * @returns a line for people where not all are kept
 */
export function keepSlices({ train, validation }: TrainingData, free = process.availableMemory?.() ?? freemem()): string | undefined {
  const needed = new Map<SliceCache, number>();
  for (const source of validation ? [train, validation] : [train]) {
    if (source.cache?.raise) needed.set(source.cache, (needed.get(source.cache) ?? 0) + bytesOf(source));
  }
  const whole = sum(needed.values());
  const room = Math.min(1, (SHARE * free) / whole);
  const kept = sum(Array.from(needed, ([cache, bytes]) => Math.min(bytes, cache.raise!(Math.floor(room * bytes)))));
  if (kept >= whole) return undefined;
  const words = `decoded slices take ${formatBytes(whole)}, of which ${formatBytes(kept)} fit the memory`;
  return `${words}: cases of the others are decoded again in every epoch; fewer (--spread), or smaller ones (--size), need less`;
}

function bytesOf({ slices, modalities, size }: SliceSource): number {
  return slices.length * size.reduce((product, n) => product * n, modalities.length * Float32Array.BYTES_PER_ELEMENT + 1);
}

function sum(values: Iterable<number>): number {
  return [...values].reduce((total, value) => total + value, 0);
}
