/** The thread that compares studies: thousands of rank correlations would hold the caller's thread up. */
import { byFalling, candidatesOf, type Candidate } from '../influence/candidates';
import { influencedRegions } from '../influence/influenced';
import { influenceOf, type Normalisation } from '../influence/normalisation';
import { openStudy, type Study } from '../influence/study';
import { mean, spearman, type Resampling } from '../statistics';
import { serve, type Served, type ServedCall } from '../worker-thread';
import { groupedMean, type Estimate } from './estimate';
import type { RegionStability, Stability } from './stability-file';

export interface CompareOptions {
  readonly normalize: Normalisation;
  readonly by: 'slice' | 'patient';
  readonly top: number;
}

export interface OpenedArgument extends CompareOptions {
  readonly studies: readonly { readonly dir: string; readonly learningRates: readonly number[] }[];
}

export type StabilityFigures = Pick<Stability, 'correlation' | 'lists' | 'regions'>;

/** One test region against the training regions of one class. */
interface Compared {
  readonly patient: string;
  readonly k: number;
  readonly trainK: number;
  readonly correlation: number;
}

serve(() => {
  let studies: Study[];
  /** By study, test slice and class. */
  let influenced: boolean[][][];
  let options: CompareOptions;
  const compared: Compared[] = [];
  const regions: (RegionStability & { readonly patient: string; readonly chance: number })[] = [];
  return {
    async open({ studies: folders, ...rest }: OpenedArgument): Promise<Served> {
      studies = await Promise.all(folders.map(async ({ dir, learningRates }) => (await openStudy(dir)).reweighted(learningRates)));
      influenced = await Promise.all(studies.map(influencedRegions));
      options = rest;
      return { result: undefined };
    },
    /** One slice of the test axis, which all studies share. */
    async compare(test: number, call: ServedCall): Promise<Served> {
      const { slices } = studies[0]!.tests;
      const { case: name, index, patient } = slices[test]!;
      const influences = await Promise.all(studies.map((study) => influenceOf(study, test, options.normalize)));
      for (const [k, className] of studies[0]!.classes.entries()) {
        call.throwIfAborted();
        if (influenced.some((of) => !of[test]![k])) continue;
        const correlations = studies[0]!.classes.map((_, trainK) => correlationOf(studies, influences, k, trainK));
        correlations.forEach((correlation, trainK) => compared.push({ patient, k, trainK, correlation }));
        const own = correlations[k]!;
        const lists = compareLists(studies, influences, k, options);
        if (lists)
          regions.push({ case: name, slice: index, patient, class: className, correlation: Number.isNaN(own) ? null : own, ...lists });
      }
      return { result: undefined };
    },
    result(resampling: Resampling): Served {
      const { classes } = studies[0]!;
      const over = (values: readonly number[], patients: readonly string[]): Estimate & { regions: number } => {
        const known = values.filter((value) => !Number.isNaN(value)).length;
        return { ...groupedMean(values, patients, resampling), regions: known };
      };
      const correlation = (some: readonly Compared[]) => over(some.map((one) => one.correlation), some.map((one) => one.patient)); // prettier-ignore
      const result: StabilityFigures = {
        correlation: {
          overall: correlation(compared),
          classPairs: classes.flatMap((name, k) =>
            classes.map((trainClass, trainK) => ({
              class: name,
              trainClass,
              ...correlation(compared.filter((one) => one.k === k && one.trainK === trainK)),
            })),
          ),
        },
        lists: classes.map((name) => {
          const of = regions.filter((one) => one.class === name);
          const patients = of.map(({ patient }) => patient);
          return {
            class: name,
            overlap: over(of.map(({ overlap }) => overlap), patients), // prettier-ignore
            chance: of.length > 0 ? mean(of.map(({ chance }) => chance)) : null,
            overChance: over(of.map(({ overlap, chance }) => overlap - chance), patients), // prettier-ignore
          };
        }),
        regions: regions.map(({ patient: _, chance: __, ...region }) => region),
      };
      return { result };
    },
  };
});

/** Mean over pairs of studies; NaN where fewer than two training regions are in all of them. */
function correlationOf(studies: readonly Study[], influences: readonly ArrayLike<number>[], k: number, trainK: number): number {
  const [N, K] = [studies[0]!.trainings.slices.length, studies[0]!.classes.length];
  const rows = Array.from({ length: N }, (_, row) => row).filter((row) => isEverywhere(studies, row, trainK));
  const values = influences.map((influence) => rows.map((row) => influence[(k * N + row) * K + trainK]!));
  return meanOverPairs(values, spearman);
}

function isEverywhere(studies: readonly Study[], row: number, k: number): boolean {
  return studies.every(({ trainings }) => trainings.pixels[row]![k]! > 0);
}

function meanOverPairs<T>(values: readonly T[], of: (a: T, b: T) => number): number {
  return mean(values.flatMap((a, i) => values.slice(i + 1).map((b) => of(a, b))));
}

/** The leading proponents of the class, among the regions that all studies have. */
function compareLists(
  studies: readonly Study[],
  influences: readonly (Float32Array | Float64Array)[],
  k: number,
  { by, top }: CompareOptions,
): (Pick<RegionStability, 'overlap' | 'stable' | 'listed'> & { readonly chance: number }) | undefined {
  const { slices } = studies[0]!.trainings;
  const keyOf = ({ row }: Candidate): string => (by === 'patient' ? slices[row]!.patient : String(row));
  // What scores 0 is no proponent, and would stand on every list in the same place.
  const all = studies.map((study, i) => byFalling(candidatesOf(study, influences[i]!, k, [k], by).filter(({ score }) => score !== 0)));
  const keys = all.map((candidates) => new Set(candidates.map(keyOf)));
  const common = all.map((candidates) => candidates.filter((one) => keys.every((known) => known.has(keyOf(one)))));
  const candidates = common[0]!.length;
  if (candidates === 0) return undefined;
  const listed = Math.min(top, candidates);
  const leading = common.map((ranked) => ranked.slice(0, listed));
  const lists = leading.map((ranked) => new Set(ranked.map(keyOf)));
  // Where a list is longer than there are proponents it ends with opponents, which lead nothing.
  const proponents = leading.map((ranked) => new Set(ranked.filter(({ score }) => score > 0).map(keyOf)));
  const stable = leading[0]!.filter((one) => proponents.every((list) => list.has(keyOf(one))));
  return {
    overlap: meanOverPairs(lists, (a, b) => [...a].filter((key) => b.has(key)).length / listed),
    stable: stable.map(({ row }) => ({ case: slices[row]!.case, slice: slices[row]!.index, patient: slices[row]!.patient })),
    listed,
    chance: listed / candidates,
  };
}
