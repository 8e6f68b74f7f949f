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
