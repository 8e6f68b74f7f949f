/** Statistics that several parts need, each tested against stored scipy values. */
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { erf } from './engine/reference/erf';
import { generatorAt } from './random';

export function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return sum / values.length;
}

/** The quantile at `share` of values in any order, linear between neighbours (numpy's default); NaN of no values. */
export function quantile(values: ArrayLike<number>, share: number): number {
  const sorted = Float64Array.from(values).sort();
  const at = share * (sorted.length - 1);
  const low = Math.floor(at);
  const [below, above] = [sorted[low] ?? NaN, sorted[Math.ceil(at)] ?? NaN];
  return below + (at - low) * (above - below);
}

/** Ranks from 1, equal values sharing the mean of theirs. */
export function ranks(values: ArrayLike<number>): Float64Array {
  const order = Uint32Array.from({ length: values.length }, (_, i) => i).sort((a, b) => values[a]! - values[b]!);
  const found = new Float64Array(values.length);
  for (let from = 0; from < order.length;) {
    let to = from + 1;
    while (to < order.length && values[order[to]!] === values[order[from]!]) to++;
    for (let i = from; i < to; i++) found[order[i]!] = (from + 1 + to) / 2;
    from = to;
  }
  return found;
}

/** Pearson's r; NaN where either side is constant. */
export function pearson(x: ArrayLike<number>, y: ArrayLike<number>): number {
  if (isConstant(x) || isConstant(y)) return NaN;
  const [meanX, meanY] = [mean(x), mean(y)];
  let [xy, xx, yy] = [0, 0, 0];
  for (let i = 0; i < x.length; i++) {
    const [dx, dy] = [x[i]! - meanX, y[i]! - meanY];
    xy += dx * dy;
    xx += dx * dx;
    yy += dy * dy;
  }
  return xx === 0 || yy === 0 ? NaN : Math.max(-1, Math.min(1, xy / Math.sqrt(xx * yy)));
}

/** Told from the numbers themselves: the mean of equal ones may differ from them in its last digit. */
function isConstant(values: ArrayLike<number>): boolean {
  for (let i = 1; i < values.length; i++) if (values[i] !== values[0]) return false;
  return true;
}

/** Spearman's ρ; NaN where either side is constant. */
export function spearman(x: ArrayLike<number>, y: ArrayLike<number>): number {
  return pearson(ranks(x), ranks(y));
}

export interface MannWhitney {
  /** Pairs (x, y) with x above y, ties counting half. */
  readonly u: number;
  /** Two-sided, by the normal approximation with corrections for ties and continuity. */
  readonly p: number;
  /** Rank-biserial correlation 2U / (n m) − 1: −1 where every x lies below every y, 1 above. */
  readonly effect: number;
}

/** Mann and Whitney's test of two samples; NaN where one is empty or holds NaN. */
export function mannWhitney(x: ArrayLike<number>, y: ArrayLike<number>): MannWhitney {
  const [n, m] = [x.length, y.length];
  const values = [...Array.from(x), ...Array.from(y)];
  if (n === 0 || m === 0 || values.some(Number.isNaN)) return { u: NaN, p: NaN, effect: NaN };
  const all = ranks(values);
  const u = all.subarray(0, n).reduce((sum, rank) => sum + rank, 0) - (n * (n + 1)) / 2;
  const times = new Map<number, number>();
  for (const rank of all) times.set(rank, (times.get(rank) ?? 0) + 1);
  const ties = [...times.values()].reduce((sum, count) => sum + count ** 3 - count, 0);
  const deviation = Math.sqrt(((n * m) / 12) * (n + m + 1 - ties / ((n + m) * (n + m - 1))));
  const distance = Math.max(0, Math.abs(u - (n * m) / 2) - 0.5);
  return { u, p: deviation === 0 ? 1 : Math.min(1, 2 * normalTail(distance / deviation)), effect: (2 * u) / (n * m) - 1 };
}

/** P(Z > z) of a standard normal Z, z at least 0. */
function normalTail(z: number): number {
  return (1 - erf(z / Math.SQRT2)) / 2;
}

/** The chance that a positive scores above a negative, ties counting half; NaN where either are none. */
export function auroc(scores: readonly number[], positive: readonly boolean[]): number {
  const of = (wanted: boolean): number[] => scores.filter((_, i) => positive[i] === wanted);
  const [x, y] = [of(true), of(false)];
  return mannWhitney(x, y).u / (x.length * y.length);
}

/**
 * Share of the positives among the first `share` of all by falling score (at least one); ties are taken as if in the worst order.
 * NaN where there are no positives.
 */
export function recallAt(scores: readonly number[], positive: readonly boolean[], share: number): number {
  const order = scores.map((_, i) => i).sort((a, b) => scores[b]! - scores[a]! || Number(positive[a]) - Number(positive[b]));
  const inspected = Math.max(1, Math.round(share * scores.length));
  return order.slice(0, inspected).filter((i) => positive[i]).length / positive.filter(Boolean).length;
}

export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** Purpose of the stream of random numbers. */
const BOOTSTRAP = 72;

/**
 * The 95 % percentile interval of a statistic over resampled units (patients, regions, pairs).
 * @param statistic of units drawn with replacement; samples without a value (NaN) are left out. NaN where none has one.
 */
export function bootstrap(units: number, statistic: (sample: Int32Array) => number, resampling: Resampling): Interval {
  return bootstraps(units, 1, (sample) => [statistic(sample)], resampling)[0]!;
}

export interface Resampling {
  readonly resamples: number;
  readonly seed: number;
}

/** As {@link bootstrap}, of several statistics of the same samples. */
export function bootstraps(
  units: number,
  count: number,
  statistics: (sample: Int32Array) => readonly number[],
  { resamples, seed }: Resampling,
): Interval[] {
  const random = generatorAt(seed, BOOTSTRAP);
  const sample = new Int32Array(units);
  const found = Array.from({ length: count }, (): number[] => []);
  for (let i = 0; i < resamples && units > 0; i++) {
    for (let unit = 0; unit < units; unit++) sample[unit] = uniformInt(random, 0, units - 1);
    for (const [which, value] of statistics(sample).entries()) if (!Number.isNaN(value)) found[which]!.push(value);
  }
  return found.map((values) => ({ low: quantile(values, 0.025), high: quantile(values, 0.975) }));
}
