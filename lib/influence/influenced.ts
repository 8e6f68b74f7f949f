/** Test regions that something influences: those that are there and have a gradient. */
import type { Study } from './study';

/**
 * Whether a test region has pixels and, at a checkpoint whose η is not 0, a gradient, [M][K]. Every training region has a score of 0 on
 * the others: there is nothing to rank.
 */
export async function influencedRegions(study: Study): Promise<boolean[][]> {
  const norms = await study.norms('test');
  const { slices, pixels } = study.tests;
  const K = study.classes.length;
  const hasGradient = (row: number, k: number): boolean =>
    study.learningRates.some((rate, t) => rate * norms[(t * slices.length + row) * K + k]! > 0);
  return pixels.map((counts, row) => counts.map((count, k) => count > 0 && hasGradient(row, k)));
}
