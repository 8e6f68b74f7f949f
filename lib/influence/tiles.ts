/**
 * Finished pieces of an influence run, in the study's folder until the study is whole.
 * Of each range of slices: pixels of its regions uint32 [n, K], then its predicted labels uint8 [n, H, W] where there are any.
 * Of each checkpoint × pass × range of training slices: products float32 [rows, n, K], then norms and losses, float32 [n, K] each;
 * of each checkpoint × pass: norms and losses of its test slices.
 * Each file ends with a sha256 of the study it belongs to and of what precedes it, so a tile either is whole or is computed again.
 */
import { createHash } from 'node:crypto';
import { open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TracinError } from '../errors';
import { fileError, replaceFile } from '../files';
import { updateInTurns } from '../hash';
import { cut, type Range, type Role } from './batches';
import type { InfluencePlan } from './plan';
import { shareOf, type Shard } from './shard';

const DIGEST_BYTES = 32;
const FLOAT32 = Float32Array.BYTES_PER_ELEMENT;

export const tileName = {
  regions: (role: Role, { start }: Range): string => `regions-${role}-from-${start}.tile`,
  products: (checkpoint: number, pass: number, { start }: Range): string => `checkpoint-${checkpoint}-pass-${pass}-from-${start}.tile`,
  tests: (checkpoint: number, pass: number): string => `checkpoint-${checkpoint}-pass-${pass}-tests.tile`,
};

/** Ranges of slices whose regions make one tile. */
export function regionRanges(plan: InfluencePlan, role: Role): Range[] {
  return cut({ start: 0, end: role === 'test' ? plan.tests : plan.trainings }, plan.tileSlices);
}

/** Training slices of each tile. */
export function tileRanges(plan: InfluencePlan): Range[] {
  return regionRanges(plan, 'train');
}

/** Test slices of each pass; without test slices one pass, for the norms and losses alone. */
export function passRanges({ tests, capacity }: InfluencePlan): Range[] {
  const all = { start: 0, end: tests };
  return tests === 0 ? [all] : cut(all, capacity);
}

/** How many tiles of a plan, or of a shard of it, are not in a folder yet. */
export async function missingTiles(dir: string, plan: InfluencePlan, shard?: Shard): Promise<{ missing: number; all: number }> {
  const names = regionRanges(plan, 'test').map((range) => tileName.regions('test', range));
  const trainings = shareOf(tileRanges(plan), shard);
  names.push(...trainings.map((range) => tileName.regions('train', range)));
  for (let checkpoint = 0; checkpoint < plan.checkpoints; checkpoint++) {
    for (const pass of passRanges(plan).keys()) {
      names.push(tileName.tests(checkpoint, pass), ...trainings.map((range) => tileName.products(checkpoint, pass, range)));
    }
  }
  const there = new Set(await readdir(dir).catch(() => [])); // not made yet
  return { missing: names.filter((name) => !there.has(name)).length, all: names.length };
}

/** Numbers of a tile: products [rows, n, K], norms and losses [n, K]. */
export function tileLength(rows: number, slices: number, classes: number): number {
  return (rows + 2) * slices * classes;
}

export class TileFolder {
  readonly dir: string;
  readonly #study: string;

  /** @param study what the tiles belong to: those of any other are as good as missing */
  constructor(dir: string, study: string) {
    this.dir = dir;
    this.#study = study;
  }

  /** Whether the tile is there, of this many bytes, and unaltered. */
  async has(name: string, length: number): Promise<boolean> {
    const path = join(this.dir, name);
    let bytes: Buffer;
    try {
      bytes = await readFile(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw fileError(error, 'read', path);
    }
    if (bytes.length !== length + DIGEST_BYTES) return false;
    return (await this.#digest([bytes.subarray(0, length)])).equals(bytes.subarray(length));
  }

  /** As {@link has}, of so many float32 numbers. */
  hasNumbers(name: string, count: number): Promise<boolean> {
    return this.has(name, count * FLOAT32);
  }

  async write(name: string, ...parts: readonly (Float32Array | Uint32Array | Uint8Array)[]): Promise<void> {
    const bytes = parts.map(({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength));
    await replaceFile(join(this.dir, name), [...bytes, await this.#digest(bytes)]);
  }

  /** Fills `target` from byte `position` of a tile that {@link has} found, or that was written since. */
  async read<T extends Float32Array | Uint32Array | Uint8Array>(name: string, position: number, target: T): Promise<T> {
    const path = join(this.dir, name);
    try {
      const file = await open(path, 'r');
      try {
        const { bytesRead } = await file.read(target, 0, target.byteLength, position);
        if (bytesRead < target.byteLength) {
          throw new TracinError('ERR_TRACIN_STUDY', `${path}: was cut short while in use: go on with --resume, which computes it again`);
        }
      } finally {
        await file.close();
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
        const advice = 'another process may have completed the study; if not, go on with --resume, which computes it again';
        throw new TracinError('ERR_TRACIN_STUDY', `${path}: was removed while in use: ${advice}`);
      }
      throw fileError(error, 'read', path);
    }
    return target;
  }

  /** float32 numbers [first, first + count) of a tile. */
  numbers(name: string, first: number, count: number): Promise<Float32Array<ArrayBuffer>> {
    return this.read(name, first * FLOAT32, new Float32Array(count));
  }

  async #digest(parts: readonly Uint8Array[]): Promise<Buffer> {
    const hash = createHash('sha256').update(this.#study);
    for (const part of parts) await updateInTurns(hash, part);
    return hash.digest();
  }
}
