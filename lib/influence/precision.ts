/** How far a study computed in less than float32 is from float32, measured on a sample of its products. */
import { z } from 'zod';
import type { Program } from '../engine/engine';
import type { Graph } from '../graph/graph';
import { openNpy } from '../npy';
import { spread } from '../spread';
import { mean, spearman } from '../statistics';
import { regionBatch, type Role, type Side } from './batches';
import { regionLoss, type Definition } from './definition';
import type { Networks } from './networks';

/** Slices of the sample, evenly spread over either side: of all so large a part, and no more and no fewer than that. */
const SHARE = 8;
const MOST: Readonly<Record<Role, number>> = { test: 4, train: 24 };
const LEAST: Readonly<Record<Role, number>> = { test: 1, train: 3 };
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
export type PrecisionSample = z.infer<typeof precisionSampleSchema>;

export interface PrecisionOptions {
  /** A program in float32, of the study's parameters. */
  readonly compile: (graph: Graph) => Promise<Program>;
  readonly networks: Pick<Networks, 'checkpoints' | 'read'>;
  readonly sides: Readonly<Record<Role, Side>>;
  readonly definition: Definition;
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
  const { sides, networks, compile } = options;
  const [tests, trainings] = [sample(sides.test), sample(sides.train)];
  const { checkpoint, stored } = await weightiest(options, tests, trainings);
  const program = await compile(await networks.read(networks.checkpoints[checkpoint]!));
  try {
    return { checkpoint, ...compare(await exactRows(program, options, tests, trainings, stored)) };
  } finally {
    program.dispose();
  }
}

/** Slices of a side that are compared, of so many. */
export function comparedSlices(role: Role, slices: number): number {
  return Math.min(slices, Math.max(LEAST[role], Math.min(MOST[role], Math.ceil(slices / SHARE))));
}

function sample({ role, source: { slices } }: Side): number[] {
  return spread(slices.length, comparedSlices(role, slices.length));
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
  { sides, definition, signal }: PrecisionOptions,
  tests: readonly number[],
  trainings: readonly number[],
  stored: Float32Array,
): Promise<Row[]> {
  const classes = sides.train.source.classes.length;
  const loss = regionLoss(definition);
  const one = (side: Side, position: number) => regionBatch(side, definition, { start: position, end: position + 1 }, signal);
  const rows = Array.from({ length: tests.length * classes }, (): Row => ({ exact: [], stored: [] }));
  const present: boolean[] = [];
  const block = await program.resident(tests.length);
  try {
    for (const test of tests) {
      const { norms } = await block.append(await one(sides.test, test), loss, { signal });
      present.push(...Array.from(norms, (norm) => norm > 0));
    }
    for (const [s, train] of trainings.entries()) {
      const { products, norms } = await program.contract(block, await one(sides.train, train), loss, { signal });
      for (const [row, { exact, stored: kept }] of rows.entries()) {
        for (let k = 0; k < classes; k++) {
          if (!(norms[k]! > 0)) continue;
          exact.push(products[row * classes + k]!);
          kept.push(stored[(row * trainings.length + s) * classes + k]!);
        }
      }
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
