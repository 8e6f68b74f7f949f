/**
 * Finished pieces of an influence run. A tile is one checkpoint × one pass × one range of training slices:
 * products float32 [rows, n, K], then the training norms float32 [n, K]; test norms of a pass are a tile of their own.
 * Each file ends with the sha256 of what precedes it, so a tile either is whole or is computed again.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError, replaceFile } from '../files';

const DIGEST_BYTES = 32;

export interface Tile {
  readonly checkpoint: number;
  readonly pass: number;
  /** First training slice; undefined for the test norms [tests of the pass, K] of the pass. */
  readonly start: number | undefined;
}

export function tilePath(dir: string, { checkpoint, pass, start }: Tile): string {
  return join(dir, `checkpoint-${checkpoint}-pass-${pass}-${start === undefined ? 'norms' : `from-${start}`}.tile`);
}

export async function writeTile(path: string, numbers: Float32Array): Promise<void> {
  const bytes = new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
  await replaceFile(path, [bytes, createHash('sha256').update(bytes).digest()]);
}

/** The tile's numbers, or undefined when it is missing, cut short, altered, or not of this length. */
export async function readTile(path: string, length: number): Promise<Float32Array | undefined> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw fileError(error, 'read', path);
  }
  if (bytes.length !== length * Float32Array.BYTES_PER_ELEMENT + DIGEST_BYTES) return undefined;
  const content = bytes.subarray(0, -DIGEST_BYTES);
  if (!createHash('sha256').update(content).digest().equals(bytes.subarray(-DIGEST_BYTES))) return undefined;
  return new Float32Array(new Uint8Array(content).buffer);
}
