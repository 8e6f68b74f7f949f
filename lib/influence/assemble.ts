/** From tiles to the study's files, by blocks of rows, so that memory does not grow with the training set. */
import type { SliceSource } from '../dataset/slices';
import { sizeOf } from '../engine/layout';
import { throwIfAborted } from '../errors';
import { replaceFile } from '../files';
import { toJson } from '../json';
import { npyHeader, openNpy, writeNpy, type NpyFile } from '../npy';
import type { Role } from './batches';
import { needsPrediction, type Definition } from './definition';
import { studyPaths } from './folder';
import type { InfluencePlan } from './plan';
import { predictedLabels, regionAxis } from './prepare';
import { passRanges, regionRanges, tileName, tileRanges, type TileFolder } from './tiles';
import { weightedSum } from './weights';

/** Bytes of rows held at once. */
export const BLOCK_BYTES = 16 << 20;
const FLOAT32 = Float32Array.BYTES_PER_ELEMENT;
const ROLES = ['test', 'train'] as const;

export interface AssembleOptions {
  readonly out: string;
  readonly plan: InfluencePlan;
  readonly tiles: TileFolder;
  readonly sources: Readonly<Record<Role, SliceSource>>;
  readonly classes: readonly string[];
  readonly definition: Definition;
  /** η_t */
  readonly learningRates: readonly number[];
  readonly signal?: AbortSignal | undefined;
  readonly onFile: () => void;
}

/** Files {@link assemble} writes, for progress. */
export function fileCount({ checkpoints }: InfluencePlan, definition: Definition): number {
  return checkpoints + 6 + (needsPrediction(definition) ? 2 : 0);
}

/** Writes everything but study.json from complete tiles. */
export async function assemble(options: AssembleOptions): Promise<void> {
  const { out, plan, tiles, sources, classes, definition, onFile } = options;
  const paths = studyPaths(out);
  const axes = {
    test: await regionAxis(tiles, plan, 'test', sources.test, classes),
    train: await regionAxis(tiles, plan, 'train', sources.train, classes),
  };
  await replaceFile(paths.regions, toJson(axes));
  onFile();
  for (const role of needsPrediction(definition) ? ROLES : []) {
    await replaceFile(paths.predicted(role), labelRows(role, options));
    onFile();
  }
  const shape = [plan.tests, plan.classes, plan.trainings, plan.classes];
  for (let checkpoint = 0; checkpoint < plan.checkpoints; checkpoint++) {
    await replaceFile(paths.products(checkpoint), productRows(checkpoint, shape, options));
    onFile();
  }
  await replaceFile(paths.scores, scoreRows(shape, options));
  onFile();
  for (const role of ROLES) {
    const slices = role === 'test' ? plan.tests : plan.trainings;
    for (const [half, path] of [paths.norms(role), paths.losses(role)].entries()) {
      await writeNpy(path, [plan.checkpoints, slices, plan.classes], await regionNumbers(role, half, options));
      onFile();
    }
  }
}

async function* labelRows(role: Role, { plan, tiles, sources, signal }: AssembleOptions): AsyncGenerator<Uint8Array> {
  const { size, slices } = sources[role];
  const read = predictedLabels(tiles, plan, role, sizeOf(size));
  yield npyHeader('u1', [slices.length, ...size]);
  for (const { start, end } of regionRanges(plan, role)) {
    throwIfAborted(signal);
    yield await read(start, end);
  }
}

async function* productRows(
  checkpoint: number,
  shape: readonly number[],
  { plan, tiles, signal }: AssembleOptions,
): AsyncGenerator<Uint8Array> {
  yield npyHeader('f4', shape);
  const { classes, trainings } = plan;
  const blockRows = Math.max(1, Math.floor(BLOCK_BYTES / (trainings * classes * FLOAT32)));
  for (const [pass, { start, end }] of passRanges(plan).entries()) {
    const rows = (end - start) * classes;
    for (let first = 0; first < rows; first += blockRows) {
      throwIfAborted(signal);
      const count = Math.min(blockRows, rows - first);
      const block = new Float32Array(count * trainings * classes);
      for (const range of tileRanges(plan)) {
        const width = (range.end - range.start) * classes;
        const part = await tiles.numbers(tileName.products(checkpoint, pass, range), first * width, count * width);
        for (let row = 0; row < count; row++) {
          block.set(part.subarray(row * width, (row + 1) * width), (row * trainings + range.start) * classes);
        }
      }
      yield new Uint8Array(block.buffer);
    }
  }
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

/** Norms (half 0) or losses (half 1) of one side at every checkpoint, [checkpoints, slices, K]. */
async function regionNumbers(role: Role, half: number, { plan, tiles }: AssembleOptions): Promise<Float32Array<ArrayBuffer>> {
  const { classes, checkpoints } = plan;
  const slices = role === 'test' ? plan.tests : plan.trainings;
  const all = new Float32Array(checkpoints * slices * classes);
  // Every pass finds the same norms of the training slices; the first one's are taken.
  const first = passRanges(plan)[0]!;
  const firstRows = (first.end - first.start) * classes;
  for (let checkpoint = 0; checkpoint < checkpoints; checkpoint++) {
    const parts =
      role === 'test'
        ? passRanges(plan).map((range, pass) => ({ range, name: tileName.tests(checkpoint, pass), before: 0 }))
        : tileRanges(plan).map((range) => ({ range, name: tileName.products(checkpoint, 0, range), before: firstRows }));
    for (const { range, name, before } of parts) {
      const width = (range.end - range.start) * classes;
      all.set(await tiles.numbers(name, (before + half) * width, width), (checkpoint * slices + range.start) * classes);
    }
  }
  return all;
}
