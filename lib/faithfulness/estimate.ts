/** A figure as faithfulness.json keeps it: with its interval and what it was taken over. */
import { z } from 'zod';
import { bootstrap, mean, type Resampling } from '../statistics';

const figure = z.number().nullable();

export const estimateSchema = z.strictObject({
  value: figure,
  /** 95 % percentile bootstrap. */
  low: figure,
  high: figure,
  /** Units resampled. */
  n: z.int().nonnegative(),
});
/** A number with its bootstrap interval; null where it could not be computed. */
export type Estimate = z.infer<typeof estimateSchema>;

/** JSON has no NaN. */
export function orNull(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

/** A statistic of units by their indices, with its interval. */
export function estimate(n: number, statistic: (sample: Int32Array) => number, resampling: Resampling): Estimate {
  const { low, high } = bootstrap(n, statistic, resampling);
  const value = n > 0 ? statistic(Int32Array.from({ length: n }, (_, i) => i)) : NaN;
  return { value: orNull(value), low: orNull(low), high: orNull(high), n };
}

/** The mean of values, NaN left out, resampled by groups (patients) that belong together. */
export function groupedMean(values: readonly number[], groups: readonly string[], resampling: Resampling): Estimate {
  const names = [...new Set(groups)];
  const members = names.map((name) => values.filter((value, i) => groups[i] === name && !Number.isNaN(value)));
  const filled = members.filter((group) => group.length > 0);
  return estimate(filled.length, (sample) => mean(Array.from(sample).flatMap((i) => filled[i]!)), resampling);
}
