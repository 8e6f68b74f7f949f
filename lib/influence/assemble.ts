/** From tiles to the study's arrays, by blocks of rows, so that memory does not grow with the training set. */
import { open } from 'node:fs/promises';
import { throwIfAborted } from '../errors';
import { fileError, replaceFile } from '../files';
import { npyHeader, openNpy, writeNpy, type NpyFile } from '../npy';
import { cut, type Range, type Role } from './batches';
import { damaged, studyPaths } from './folder';
import type { InfluencePlan } from './plan';
import { tilePath } from './tiles';
import { weightedSum } from './weights';

/** Bytes of rows held at once. */
const BLOCK_BYTES = 16 << 20;
const FLOAT32 = Float32Array.BYTES_PER_ELEMENT;

export interface AssembleOptions {
  readonly out: string;
  readonly plan: InfluencePlan;
  /** η_t */
  readonly learningRates: readonly number[];
  readonly signal?: AbortSignal | undefined;
  readonly onArray: () => void;
}

/** Arrays {@link assemble} writes, for progress. */
export function arrayCount({ checkpoints }: InfluencePlan): number {
  return checkpoints + 3;
}

/** Writes products/, scores.npy and both norms from complete tiles. */
export async function assemble(options: AssembleOptions): Promise<void> {
  const { out, plan, onArray } = options;
  const paths = studyPaths(out);
  const shape = [plan.tests, plan.classes, plan.trainings, plan.classes];
  for (let checkpoint = 0; checkpoint < plan.checkpoints; checkpoint++) {
    await replaceFile(paths.products(checkpoint), productRows(checkpoint, shape, options));
    onArray();
  }
  await replaceFile(paths.scores, scoreRows(shape, options));
  onArray();
  for (const role of ['test', 'train'] as const) {
    await writeNpy(
      paths.norms(role),
      [plan.checkpoints, role === 'test' ? plan.tests : plan.trainings, plan.classes],
      await norms(role, options),
    );
    onArray();
  }
}

/** Test slices of each pass. */
export function passRanges({ tests, capacity }: InfluencePlan): Range[] {
  return cut({ start: 0, end: tests }, capacity);
}

/** Training slices of each tile. */
export function tileRanges({ trainings, tileSlices }: InfluencePlan): Range[] {
  return cut({ start: 0, end: trainings }, tileSlices);
}

/** Numbers of a tile: products [rows, n, K], then norms [n, K]. */
export function tileLength(rows: number, slices: number, classes: number): number {
  return (rows + 1) * slices * classes;
}

async function* productRows(
  checkpoint: number,
  shape: readonly number[],
  { out, plan, signal }: AssembleOptions,
): AsyncGenerator<Uint8Array> {
  yield npyHeader('f4', shape);
  const { classes, trainings } = plan;
  const dir = studyPaths(out).tiles;
  const blockRows = Math.max(1, Math.floor(BLOCK_BYTES / (trainings * classes * FLOAT32)));
  for (const [pass, { start, end }] of passRanges(plan).entries()) {
    const rows = (end - start) * classes;
    for (let first = 0; first < rows; first += blockRows) {
      throwIfAborted(signal);
      const count = Math.min(blockRows, rows - first);
      const block = new Float32Array(count * trainings * classes);
      for (const range of tileRanges(plan)) {
        const width = (range.end - range.start) * classes;
        const part = await readNumbers(tilePath(dir, { checkpoint, pass, start: range.start }), first * width, count * width);
        for (let row = 0; row < count; row++) {
          block.set(part.subarray(row * width, (row + 1) * width), (row * trainings + range.start) * classes);
        }
      }
      yield new Uint8Array(block.buffer);
    }
  }
}

/** Numbers [first, first + count) of a file of float32; tiles were verified before. */
async function readNumbers(path: string, first: number, count: number): Promise<Float32Array> {
  const numbers = new Float32Array(count);
  try {
    const file = await open(path, 'r');
    try {
      const { bytesRead } = await file.read(numbers, 0, numbers.byteLength, first * FLOAT32);
      if (bytesRead < numbers.byteLength) throw damaged(path, 'ends too early');
    } finally {
      await file.close();
    }
  } catch (error) {
    throw fileError(error, 'read', path);
  }
  return numbers;
}

/** T = Σ_t η_t products_t, summed in float64. */
async function* scoreRows(shape: readonly number[], { out, plan, learningRates, signal }: AssembleOptions): AsyncGenerator<Uint8Array> {
  yield npyHeader('f4', shape);
  const products: NpyFile[] = [];
  try {
    for (let t = 0; t < plan.checkpoints; t++) products.push(await openNpy(studyPaths(out).products(t)));
    for (let test = 0; test < plan.tests; test++) {
      throwIfAborted(signal);
      const rows = await Promise.all(products.map((file) => file.read(test, test + 1) as Promise<Float32Array>));
      const scores = weightedSum(rows, learningRates);
      yield new Uint8Array(scores.buffer);
    }
  } finally {
    for (const file of products) await file.close();
  }
}

async function norms(role: Role, { out, plan }: AssembleOptions): Promise<Float32Array<ArrayBuffer>> {
  const { classes, checkpoints } = plan;
  const dir = studyPaths(out).tiles;
  const slices = role === 'test' ? plan.tests : plan.trainings;
  const all = new Float32Array(checkpoints * slices * classes);
  for (let checkpoint = 0; checkpoint < checkpoints; checkpoint++) {
    if (role === 'train') {
      // Every pass finds the same training norms; the first one's are taken.
      const { start, end } = passRanges(plan)[0]!;
      const rows = (end - start) * classes;
      for (const range of tileRanges(plan)) {
        const width = (range.end - range.start) * classes;
        const path = tilePath(dir, { checkpoint, pass: 0, start: range.start });
        all.set(await readNumbers(path, rows * width, width), (checkpoint * slices + range.start) * classes);
      }
    } else {
      for (const [pass, { start, end }] of passRanges(plan).entries()) {
        const path = tilePath(dir, { checkpoint, pass, start: undefined });
        all.set(await readNumbers(path, 0, (end - start) * classes), (checkpoint * slices + start) * classes);
      }
    }
  }
  return all;
}
