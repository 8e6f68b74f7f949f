/** A combination of audit scores, fitted where the faults are known: a ridge logistic regression on standardised scores. */
import { z } from 'zod';
import { mean } from '../statistics';
import type { AuditScore, PatientScores } from './audit-scores';

/** What is combined: the two baselines, and what influence may add to them. */
export const COMBINED = ['loss', 'softMinimum', 'opposition', 'selfInfluence'] as const satisfies readonly AuditScore[];

export const combinationSchema = z.strictObject({
  /** Of the scores standardised over the patients of a study. */
  weights: z.strictObject({ loss: z.number(), softMinimum: z.number(), opposition: z.number(), selfInfluence: z.number() }),
});
export type Combination = z.infer<typeof combinationSchema>;

const RIDGE = 1;
const STEPS = 50;

/** Scores over patients, each of mean 0 and deviation 1; missing and constant ones are 0. [patients][COMBINED] */
export function standardised(patients: readonly PatientScores[]): number[][] {
  const columns = COMBINED.map((score) => {
    const values = patients.map(({ scores }) => scores[score]);
    const known = values.filter((value) => !Number.isNaN(value));
    const centre = mean(known);
    const deviation = Math.sqrt(mean(known.map((value) => (value - centre) ** 2)));
    return values.map((value) => (Number.isNaN(value) || !(deviation > 0) ? 0 : (value - centre) / deviation));
  });
  return patients.map((_, i) => columns.map((column) => column[i]!));
}

/** Weights [intercept, …] that minimise the logistic loss plus λ/2 |w|², the intercept left free; Newton's steps from 0. */
export function fitLogistic(rows: readonly (readonly number[])[], positive: readonly boolean[]): number[] {
  const width = (rows[0]?.length ?? 0) + 1;
  const inputs = rows.map((row) => [1, ...row]);
  let weights = new Array<number>(width).fill(0);
  for (let step = 0; step < STEPS; step++) {
    const gradient = weights.map((weight, i) => (i === 0 ? 0 : RIDGE * weight));
    const hessian = weights.map((_, i) => weights.map((__, j) => (i === j ? (i === 0 ? 1e-9 : RIDGE) : 0)));
    for (const [n, input] of inputs.entries()) {
      const p = 1 / (1 + Math.exp(-dot(weights, input)));
      for (let i = 0; i < width; i++) {
        gradient[i]! += (p - Number(positive[n])) * input[i]!;
        for (let j = 0; j < width; j++) hessian[i]![j]! += p * (1 - p) * input[i]! * input[j]!;
      }
    }
    const change = solve(hessian, gradient);
    weights = weights.map((weight, i) => weight - change[i]!);
    if (Math.max(...change.map(Math.abs)) < 1e-10) break;
  }
  return weights;
}

/** Fitted to all patients. */
export function fitCombination(patients: readonly PatientScores[], faulty: readonly boolean[]): Combination {
  const [, ...weights] = fitLogistic(standardised(patients), faulty);
  return { weights: Object.fromEntries(COMBINED.map((score, i) => [score, weights[i]!])) as Combination['weights'] };
}

/** The combined score of each patient. */
export function combine(patients: readonly PatientScores[], { weights }: Combination): number[] {
  return standardised(patients).map((row) => row.reduce((sum, value, i) => sum + weights[COMBINED[i]!] * value, 0));
}

/**
 * The combined score of each patient by a fit to all others. Without the intercept, as {@link combine} has none: it is lower where a faulty
 * patient is left out than where a sound one is, and would tell them apart the wrong way round.
 */
export function combineLeavingOut(patients: readonly PatientScores[], faulty: readonly boolean[]): number[] {
  const rows = standardised(patients);
  return rows.map((row, out) => {
    const others = <T>(values: readonly T[]): T[] => values.filter((_, i) => i !== out);
    const [, ...weights] = fitLogistic(others(rows), others(faulty));
    return dot(weights, row);
  });
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}

/** Gaussian elimination with partial pivoting. */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const rows = matrix.map((row, i) => [...row, right[i]!]);
  const n = rows.length;
  for (let column = 0; column < n; column++) {
    let pivot = column;
    for (let i = column + 1; i < n; i++) if (Math.abs(rows[i]![column]!) > Math.abs(rows[pivot]![column]!)) pivot = i;
    [rows[column], rows[pivot]] = [rows[pivot]!, rows[column]!];
    for (let i = column + 1; i < n; i++) {
      const factor = rows[i]![column]! / rows[column]![column]!;
      for (let j = column; j <= n; j++) rows[i]![j]! -= factor * rows[column]![j]!;
    }
  }
  const solution = new Array<number>(n).fill(0);
  for (let i = n - 1; i >= 0; i--) {
    const known = rows[i]!.slice(i + 1, n).reduce((sum, value, j) => sum + value * solution[i + 1 + j]!, 0);
    solution[i] = (rows[i]![n]! - known) / rows[i]![i]!;
  }
  return solution;
}
