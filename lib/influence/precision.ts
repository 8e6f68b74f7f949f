/** How far a study computed in less than float32 is from float32, measured on a sample of its products. */
import { z } from 'zod';
import type { Program, RegionBatch } from '../engine/engine';
import type { Graph } from '../graph/graph';
import { openNpy } from '../npy';
import { readAhead } from '../read-ahead';
import { spread } from '../spread';
import { mean, spearman } from '../statistics';
import { cut, regionBatch, type Role, type Side } from './batches';
import { regionLoss, type Definition } from './definition';
import type { Networks } from './networks';

/** Slices of the sample, evenly spread over either side: of all so large a part, and no more and no fewer than that. */
const SHARE = 8;
const MOST: Readonly<Record<Role, number>> = { test: 4, train: 24 };
/** Of training slices enough that a test region has several regions to rank, in however few classes. */
const least = (role: Role, classes: number): number => (role === 'test' ? 1 : Math.max(2, Math.ceil(3 / classes)));
/** Digits kept, so that the same numbers are found again. */
const DIGITS = 3;

export const precisionSampleSchema = z.strictObject({
  /** Index of the checkpoint whose products were compared; absent in studies that compared T. */
  checkpoint: z.int().nonnegative().optional(),
  /** Pairs of present regions that were compared. */
  pairs: z.int().nonnegative(),
  /** As shares of the largest product of the sample in float32; null where all of them are 0. */
  maxError: z.number().nullable(),
  rmsError: z.number().nullable(),
  /** Spearman correlation with the float32 ranking of the training regions, mean over test regions; null where none has enough to rank. */
  rankCorrelation: z.number().nullable(),
});
/** How far a study of less than float32 is from float32, on a sample. */
export type PrecisionSample = z.infer<typeof precisionSampleSchema>;

export interface PrecisionOptions {
  /** A program in float32 of the study's parameters, with the numbers of a checkpoint; it is disposed. */
  readonly open: (checkpoint: Graph) => Promise<Program>;
  readonly networks: Pick<Networks, 'checkpoints' | 'read'>;
  readonly sides: Readonly<Record<Role, Side>>;
  readonly definition: Definition;
  /** Slices computed together. */
  readonly batch: number;
  /** The study's file of a checkpoint's products. */
  readonly products: (checkpoint: number) => string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Compares the products of one checkpoint, the one with most weight in T: computing another costs as much again. Errors of T = Σ_t η_t products_t,
 * taken as shares of Σ_t η_t |products_t|, are a mean of the checkpoints' own weighted by what each adds to that sum; where checkpoints of
 * opposite sign cancel each other, T itself is smaller than the sum and its relative error larger.
 */
export async function samplePrecision(options: PrecisionOptions): Promise<PrecisionSample> {
  const { sides, networks, open } = options;
  const [tests, trainings] = [sample(sides.test), sample(sides.train)];
  const { checkpoint, stored } = await weightiest(options, tests, trainings);
  const program = await open(await networks.read(networks.checkpoints[checkpoint]!));
  try {
    return { checkpoint, ...compare(await exactRows(program, options, tests, trainings, stored)) };
  } finally {
    program.dispose();
  }
}

/** Slices of a side that are compared, of so many. */
export function comparedSlices(role: Role, slices: number, classes: number): number {
  return Math.min(slices, Math.max(least(role, classes), Math.min(MOST[role], Math.ceil(slices / SHARE))));
}

function sample({ role, source: { slices, classes } }: Side): number[] {
  return spread(slices.length, comparedSlices(role, slices.length, classes.length));
}

/** The slices of a sample as the engines take them, some at a time. */
function batchesOf(side: Side, positions: readonly number[], { definition, batch, signal }: PrecisionOptions): AsyncGenerator<RegionBatch> {
  const parts = cut({ start: 0, end: positions.length }, batch);
  return readAhead(parts.length, async (part) => {
    const { start, end } = parts[part]!;
    const one = (position: number) => regionBatch(side, definition, { start: position, end: position + 1 }, signal);
    return joined(await Promise.all(positions.slice(start, end).map(one)));
  });
}

function joined(batches: readonly RegionBatch[]): RegionBatch {
  const bytes = (field: 'images' | 'targets' | 'masks'): Uint8Array<ArrayBuffer> => {
    const parts = batches.map(({ [field]: { buffer, byteOffset, byteLength } }) => new Uint8Array(buffer, byteOffset, byteLength));
    const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
    parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
    return all;
  };
  return { images: new Float32Array(bytes('images').buffer), targets: bytes('targets'), masks: bytes('masks') };
}

/** Products as the study has them, [tests · K, trainings · K] of the sample, of the checkpoint where η_t Σ |products| is largest. */
async function weightiest(
  { networks, sides, products }: PrecisionOptions,
  tests: readonly number[],
  trainings: readonly number[],
): Promise<{ readonly checkpoint: number; readonly stored: Float32Array }> {
  const classes = sides.train.source.classes.length;
  const slices = sides.train.source.slices.length;
  let most = { checkpoint: 0, stored: new Float32Array(0), weight: -1 };
  for (const [checkpoint, { learningRate }] of networks.checkpoints.entries()) {
    const stored = new Float32Array(tests.length * classes * trainings.length * classes);
    const file = await openNpy(products(checkpoint));
    try {
      let at = 0;
      for (const test of tests) {
        const row = (await file.read(test, test + 1)) as Float32Array;
        for (let k = 0; k < classes; k++) {
          for (const train of trainings) {
            const from = (k * slices + train) * classes;
            stored.set(row.subarray(from, from + classes), at);
            at += classes;
          }
        }
      }
    } finally {
      await file.close();
    }
    const weight = learningRate * stored.reduce((sum, product) => sum + Math.abs(product), 0);
    if (weight > most.weight) most = { checkpoint, stored, weight };
  }
  return most;
}

/** The products of one test region with the training regions that are present. */
interface Row {
  readonly exact: number[];
  readonly stored: number[];
}

/** A row for every test region that is present. */
async function exactRows(
  program: Program,
  options: PrecisionOptions,
  tests: readonly number[],
  trainings: readonly number[],
  stored: Float32Array,
): Promise<Row[]> {
  const { sides, definition, signal } = options;
  const classes = sides.train.source.classes.length;
  const loss = regionLoss(definition);
  const rows = Array.from({ length: tests.length * classes }, (): Row => ({ exact: [], stored: [] }));
  const present: boolean[] = [];
  const block = await program.resident(tests.length);
  try {
    for await (const batch of batchesOf(sides.test, tests, options)) {
      const { norms } = await block.append(batch, loss, { signal });
      present.push(...Array.from(norms, (norm) => norm > 0));
    }
    let before = 0;
    for await (const batch of batchesOf(sides.train, trainings, options)) {
      const { products, norms } = await program.contract(block, batch, loss, { signal });
      for (const [row, { exact, stored: kept }] of rows.entries()) {
        for (let region = 0; region < norms.length; region++) {
          if (!(norms[region]! > 0)) continue;
          exact.push(products[row * norms.length + region]!);
          kept.push(stored[row * trainings.length * classes + before + region]!);
        }
      }
      before += norms.length;
    }
  } finally {
    block.dispose();
  }
  return rows.filter((_, row) => present[row]);
}

function compare(rows: readonly Row[]): Omit<PrecisionSample, 'checkpoint'> {
  const errors = rows.flatMap(({ exact, stored }) => exact.map((score, i) => stored[i]! - score));
  const largest = rows.reduce((most, { exact }) => exact.reduce((m, score) => Math.max(m, Math.abs(score)), most), 0);
  const correlations = rows.map(({ exact, stored }) => spearman(exact, stored)).filter((value) => !Number.isNaN(value));
  const share = (error: number): number | null => (largest > 0 ? rounded(error / largest) : null);
  return {
    pairs: errors.length,
    maxError: share(errors.reduce((most, error) => Math.max(most, Math.abs(error)), 0)),
    rmsError: share(Math.sqrt(mean(errors.map((error) => error * error)))),
    rankCorrelation: correlations.length > 0 ? Number(mean(correlations).toFixed(DIGITS + 1)) : null,
  };
}

function rounded(value: number): number {
  return Number(value.toPrecision(DIGITS));
}

export function describePrecision(precision: string, { checkpoint, pairs, maxError, rmsError, rankCorrelation }: PrecisionSample): string {
  const percent = (share: number | null): string => (share === null ? 'none' : `${Number((share * 100).toPrecision(2))} %`);
  const ranks = rankCorrelation === null ? '' : `; rank correlation ${rankCorrelation}`;
  const where = checkpoint === undefined ? '' : `, products of checkpoint ${checkpoint}, which weighs most`;
  const what = checkpoint === undefined ? '|T|' : 'product';
  return `${precision} against f32 on ${pairs} pairs${where}: errors ${percent(maxError)} at most, ${percent(rmsError)} rms, of the largest ${what}${ranks}`;
}
