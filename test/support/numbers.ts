/** Random numbers and comparisons for tests of numerical code. */
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

export type Numbers = Float32Array | Float64Array;

/** A source of numbers in [−1, 1). */
export function uniform(seed: number): () => number {
  const generator = xoroshiro128plus(seed);
  return () => 2 * uniformFloat64(generator) - 1;
}

export function largest(values: Numbers): number {
  let most = 0;
  for (const value of values) most = Math.max(most, Math.abs(value));
  return most;
}

/** The largest difference as a share of the largest expected number. */
export function relativeError(actual: Numbers, expected: Numbers): number {
  if (actual.length !== expected.length) throw new Error(`lengths ${actual.length} and ${expected.length} differ`);
  let difference = 0;
  for (let i = 0; i < expected.length; i++) {
    const d = Math.abs(actual[i]! - expected[i]!);
    // NaN compares false with everything; let it show.
    difference = d <= difference ? difference : d;
  }
  return difference === 0 ? 0 : difference / largest(expected);
}
