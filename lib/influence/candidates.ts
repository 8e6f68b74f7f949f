/** What a ranking puts in order: training regions, or patients. */
import type { Study } from './study';

/** A region, or a patient standing behind its strongest region. */
export interface Candidate {
  readonly row: number;
  readonly k: number;
  readonly score: number;
  readonly regions: number;
}

/** The present training regions of some classes with their influence [K, N, K] on class `testClass`, in the order of the axis. */
export function candidatesOf(
  study: Study,
  influence: Float32Array | Float64Array,
  testClass: number,
  trainClasses: readonly number[],
  by: 'slice' | 'patient',
): Candidate[] {
  const { slices, pixels } = study.trainings;
  const classes = study.classes.length;
  const regions: Candidate[] = [];
  for (let row = 0; row < slices.length; row++) {
    for (const k of trainClasses) {
      if (pixels[row]![k] === 0) continue;
      regions.push({ row, k, score: influence[(testClass * slices.length + row) * classes + k]!, regions: 1 });
    }
  }
  if (by === 'slice') return regions;
  const patients = new Map<string, { strongest: Candidate; sum: number; count: number }>();
  for (const region of regions) {
    const { patient } = slices[region.row]!;
    const known = patients.get(patient);
    if (!known) patients.set(patient, { strongest: region, sum: region.score, count: 1 });
    else {
      known.sum += region.score;
      known.count++;
      if (Math.abs(region.score) > Math.abs(known.strongest.score)) known.strongest = region;
    }
  }
  return [...patients.values()].map(({ strongest, sum, count }) => ({ ...strongest, score: sum, regions: count }));
}

/** Array.prototype.sort is stable, so equal scores keep the order of the axis. */
export function byFalling(candidates: readonly Candidate[]): Candidate[] {
  return candidates.toSorted((a, b) => b.score - a.score);
}

export function byRising(candidates: readonly Candidate[]): Candidate[] {
  return candidates.toSorted((a, b) => a.score - b.score);
}

/** The first `count` of {@link byFalling}, for counts that are small: one look at each of thousands, where sorting takes dozens. */
export function leading(candidates: readonly Candidate[], count: number): Candidate[] {
  const first: Candidate[] = [];
  for (const candidate of candidates) {
    if (first.length === count && !(count > 0 && candidate.score > first[count - 1]!.score)) continue;
    let place = first.length;
    while (place > 0 && candidate.score > first[place - 1]!.score) place--;
    first.splice(place, 0, candidate);
    if (first.length > count) first.pop();
  }
  return first;
}
