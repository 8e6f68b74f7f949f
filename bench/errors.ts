/** How far scores are from those taken for right. */
import { spearman } from '../lib/statistics';

type Scores = Float32Array | Float64Array;

export interface Errors {
  /** Largest difference over the largest score. */
  readonly error: number;
  /** Rank correlation. */
  readonly rank: number;
}

export function errorsOf(found: Scores, right: Scores): Errors {
  let [difference, largest] = [0, 0];
  for (const [i, x] of right.entries()) {
    difference = Math.max(difference, Math.abs(x - found[i]!));
    largest = Math.max(largest, Math.abs(x));
  }
  return { error: difference / largest, rank: spearman(found, right) };
}

/** Errors of both sides, in a table's columns. */
export interface ErrorsOfBoth {
  readonly ours: Errors;
  readonly peer: Errors;
}
export const ERROR_COLUMNS = ['error (PyTorch’s)', 'rank correlation (PyTorch’s)'] as const;

export function errorCells({ ours, peer }: ErrorsOfBoth): string[] {
  return [`${ours.error.toExponential(1)} (${peer.error.toExponential(1)})`, `${ours.rank.toFixed(5)} (${peer.rank.toFixed(5)})`];
}
