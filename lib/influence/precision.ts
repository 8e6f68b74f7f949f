/** How far a study computed in less than float32 is from float32, measured on a sample of its pairs. */
import { z } from 'zod';
import type { Program } from '../engine/engine';
import { openNpy, type NpyFile } from '../npy';
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
  /** Pairs of present regions that were compared. */
  pairs: z.int().nonnegative(),
  /** Of T, as shares of the largest |T| of the sample in float32; null where all of them are 0. */
  maxError: z.number().nullable(),
  rmsError: z.number().nullable(),
  /** Spearman correlation with the float32 ranking of the training regions, mean over test regions; null where none has enough to rank. */
  rankCorrelation: z.number().nullable(),
});
export type PrecisionSample = z.infer<typeof precisionSampleSchema>;

export interface PrecisionOptions {
  /** In float32, of the study's parameters. */
  readonly program: Program;
  readonly networks: Pick<Networks, 'checkpoints' | 'read'>;
  readonly sides: Readonly<Record<Role, Side>>;
  readonly definition: Definition;
  /** scores.npy of the study. */
  readonly scores: string;
  readonly signal?: AbortSignal | undefined;
}

export async function samplePrecision(options: PrecisionOptions): Promise<PrecisionSample> {
  const { sides, scores } = options;
  const [tests, trainings] = [sample(sides.test), sample(sides.train)];
  const exact = await exactScores(options, tests, trainings);
  const file = await openNpy(scores);
  try {
    return compare(await Promise.all(exact.map((row) => rowPairs(row, file))));
  } finally {
    await file.close();
  }
}

function sample({ role, source: { slices } }: Side): number[] {
  return spread(slices.length, Math.max(LEAST[role], Math.min(MOST[role], Math.ceil(slices.length / SHARE))));
}

/** T of one test region with some training regions, in float32; `train` counts along the axes [trainings, K] of the scores. */
interface ExactRow {
  readonly test: number;
  readonly k: number;
  readonly pairs: readonly { readonly train: number; readonly score: number }[];
}

async function exactScores(options: PrecisionOptions, tests: readonly number[], trainings: readonly number[]): Promise<ExactRow[]> {
  const { program, networks, sides, definition, signal } = options;
  const classes = sides.train.source.classes.length;
  const loss = regionLoss(definition);
  const one = (side: Side, position: number) => regionBatch(side, definition, { start: position, end: position + 1 }, signal);
  const columns = trainings.length * classes;
  const sums = new Float64Array(tests.length * classes * columns);
  const present: Record<Role, boolean[]> = { test: [], train: [] };
  const block = await program.resident(tests.length);
  try {
    for (const [t, checkpoint] of networks.checkpoints.entries()) {
      await program.load(await networks.read(checkpoint));
      block.clear();
      for (const test of tests) {
        const { norms } = await block.append(await one(sides.test, test), loss, { signal });
        if (t === 0) present.test.push(...Array.from(norms, (norm) => norm > 0));
      }
      for (const [s, train] of trainings.entries()) {
        const { products, norms } = await program.contract(block, await one(sides.train, train), loss, { signal });
        if (t === 0) present.train.push(...Array.from(norms, (norm) => norm > 0));
        for (let i = 0; i < products.length; i++) {
          sums[Math.floor(i / classes) * columns + s * classes + (i % classes)]! += checkpoint.learningRate * products[i]!;
        }
      }
    }
  } finally {
    block.dispose();
  }
  return tests.flatMap((test, r) =>
    Array.from({ length: classes }, (_, k) => k)
      .filter((k) => present.test[r * classes + k])
      .map((k): ExactRow => {
        const row = (r * classes + k) * columns;
        const all = Array.from({ length: columns }, (_, column) => column).filter((column) => present.train[column]);
        const pairs = all.map((column) => ({
          train: trainings[Math.floor(column / classes)]! * classes + (column % classes),
          score: sums[row + column]!,
        }));
        return { test, k, pairs };
      }),
  );
}

/** What stands in the study for each pair of a row, beside the exact value. */
async function rowPairs({ test, k, pairs }: ExactRow, file: NpyFile): Promise<{ exact: number[]; stored: number[] }> {
  const [, , slices, classes] = file.shape as [number, number, number, number];
  const row = (await file.read(test, test + 1)) as Float32Array;
  return { exact: pairs.map(({ score }) => score), stored: pairs.map(({ train }) => row[k * slices * classes + train]!) };
}

function compare(rows: readonly { readonly exact: readonly number[]; readonly stored: readonly number[] }[]): PrecisionSample {
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

export function describePrecision(precision: string, { pairs, maxError, rmsError, rankCorrelation }: PrecisionSample): string {
  const percent = (share: number | null): string => (share === null ? 'none' : `${Number((share * 100).toPrecision(2))} %`);
  const ranks = rankCorrelation === null ? '' : `; rank correlation ${rankCorrelation}`;
  return `${precision} against f32 on ${pairs} pairs: errors of T ${percent(maxError)} at most, ${percent(rmsError)} rms, of the largest |T|${ranks}`;
}
