/** Which test slices a report shows. */
import { TracinError } from '../errors';
import type { RegionAxis } from '../influence/folder';
import type { CaseDice } from '../inference/dice-table';
import { spread } from '../spread';

type Slice = RegionAxis['slices'][number];

/** A case, or one slice of it. */
export interface AskedSlice {
  readonly case: string;
  readonly slice?: number | undefined;
}

/**
 * One slice of each of some patients, from the best predicted to the worst: the slice whose smallest region is largest, of those with most
 * classes.
 */
export function chooseSlices(tests: RegionAxis, dice: readonly CaseDice[] | undefined, patients: number): Slice[] {
  const best = new Map<string, number>();
  tests.slices.forEach(({ patient }, row) => {
    const known = best.get(patient);
    if (isTelling(tests, row) && (known === undefined || tellsMore(tests, row, known))) best.set(patient, row);
  });
  const slices = [...best.values()].map((row) => tests.slices[row]!);
  const quality = new Map(dice?.map((row) => [row.case, mean(row.dice)]));
  slices.sort((a, b) => (quality.get(b.case) ?? 0) - (quality.get(a.case) ?? 0));
  return spread(slices.length, patients).map((i) => slices[i]!);
}

/**
 * The slices asked for; of a case alone, its most telling one.
 * @throws ERR_TRACIN_USAGE for one that the study does not have, listing what there is
 */
export function askedSlices(tests: RegionAxis, asked: readonly AskedSlice[]): Slice[] {
  const rows = asked.map(({ case: name, slice }) => {
    const all = tests.slices.flatMap((one, row) => (one.case === name ? [row] : []));
    if (all.length === 0) {
      throw new TracinError('ERR_TRACIN_USAGE', `unknown test case ${name}: choose from ${some(tests.slices.map((one) => one.case))}`);
    }
    if (slice === undefined) return all.reduce((best, row) => (tellsMore(tests, row, best) ? row : best));
    const row = all.find((candidate) => tests.slices[candidate]!.index === slice);
    if (row !== undefined) return row;
    const there = some(all.map((candidate) => String(tests.slices[candidate]!.index)));
    throw new TracinError('ERR_TRACIN_USAGE', `case ${name} has no test slice ${slice}: choose from ${there}`);
  });
  return [...new Set(rows)].map((row) => tests.slices[row]!);
}

function isTelling({ pixels }: RegionAxis, row: number): boolean {
  return pixels[row]!.some((count) => count > 0);
}

/** More classes, or as many and the smallest of them larger. */
function tellsMore({ pixels }: RegionAxis, row: number, than: number): boolean {
  const [ours, theirs] = [pixels[row]!, pixels[than]!].map((counts) => counts.filter((count) => count > 0));
  return ours!.length > theirs!.length || (ours!.length === theirs!.length && Math.min(...ours!) > Math.min(...theirs!));
}

function some(names: readonly string[]): string {
  const unique = [...new Set(names)];
  return unique.length > 10 ? `${unique.slice(0, 10).join(', ')} and ${unique.length - 10} more` : unique.join(', ');
}

function mean(values: readonly (number | null)[]): number {
  const present = values.filter((value) => value !== null);
  return present.reduce((sum, value) => sum + value, 0) / Math.max(1, present.length);
}
