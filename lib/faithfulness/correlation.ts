/** Whether training regions that weighed are also alike: correlation of influence and similarity over training regions. */
import { csvLine } from '../csv';
import { featurePaths, readFeatureArray } from '../explanation/files';
import { influenceOf, type Normalisation } from '../influence/normalisation';
import type { RegionAxis } from '../influence/folder';
import type { Study } from '../influence/study';
import { PairsDrawn, type Correlated } from '../resampled-correlation';
import { bootstraps, type Interval, type Resampling } from '../statistics';
import { groupedMean, type Estimate } from './estimate';

export const COEFFICIENT_NAMES = ['pearson', 'spearman', 'kendall'] as const satisfies readonly (keyof Correlated)[];
/** A coefficient of correlation. */
export type Coefficient = (typeof COEFFICIENT_NAMES)[number];

/** T itself, and with the sizes of the gradients taken out. */
export const INFLUENCES = ['none', 'cosine'] as const satisfies readonly Normalisation[];
/** features: S, mean over features. pooled: cosine of the features' maxima inside the regions. */
export const ALIKE = ['features', 'pooled'] as const;

/** One coefficient for one test region, over the present training regions of its class. */
export interface RegionCorrelation extends Interval {
  readonly test: number;
  readonly k: number;
  readonly influence: (typeof INFLUENCES)[number];
  readonly similarity: (typeof ALIKE)[number];
  readonly coefficient: Coefficient;
  readonly value: number;
  /** Training regions. */
  readonly n: number;
}

/** The mean over test regions of a class. */
export interface ClassCorrelation extends Estimate {
  readonly class: string;
  readonly influence: (typeof INFLUENCES)[number];
  readonly similarity: (typeof ALIKE)[number];
  readonly coefficient: Coefficient;
  /** Test regions; `n` are their patients. */
  readonly regions: number;
}

/** Cosine of two vectors; 0 where one is zero. */
function cosine(a: Float32Array, b: Float32Array): number {
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    ab += a[i]! * b[i]!;
    aa += a[i]! ** 2;
    bb += b[i]! ** 2;
  }
  return aa === 0 || bb === 0 ? 0 : ab / Math.sqrt(aa * bb);
}

/** Where each training region stands for its patient: the resampled units are patients, whose slices resemble one another. */
function byPatient({ slices }: RegionAxis, rows: readonly number[]): Int32Array[] {
  const places = new Map<string, number[]>();
  rows.forEach((row, place) => {
    const { patient } = slices[row]!;
    const known = places.get(patient);
    if (known) known.push(place);
    else places.set(patient, [place]);
  });
  return Array.from(places.values(), (of) => Int32Array.from(of));
}

/** One list after another. */
function joined(lists: readonly Int32Array[]): Int32Array {
  const all = new Int32Array(lists.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const list of lists) {
    all.set(list, at);
    at += list.length;
  }
  return all;
}

/**
 * Correlations of every test region of one slice; the features of the study must have been computed.
 * @param similarity [M, K, N] and maxima [slices, K, F] as in STUDY/features
 */
export async function sliceCorrelations(
  study: Study,
  test: number,
  { similarity, maxima }: FeatureArrays,
  resampling: Resampling,
): Promise<RegionCorrelation[]> {
  const { tests, trainings, classes } = study;
  const [K, N] = [classes.length, trainings.slices.length];
  const features = maxima.train.length / (N * K);
  const pooled = (role: 'test' | 'train', row: number, k: number): Float32Array =>
    maxima[role].subarray((row * K + k) * features, (row * K + k + 1) * features);
  const found: RegionCorrelation[] = [];
  for (const influence of INFLUENCES) {
    const scores = await influenceOf(study, test, influence);
    for (let k = 0; k < K; k++) {
      if (tests.pixels[test]![k] === 0) continue;
      const rows = trainings.pixels.flatMap((counts, row) => (counts[k]! > 0 ? [row] : []));
      const patients = byPatient(trainings, rows);
      const x = Float64Array.from(rows, (row) => scores[(k * N + row) * K + k]!);
      const alike = {
        features: Float64Array.from(rows, (row) => similarity[(test * K + k) * N + row]!),
        pooled: Float64Array.from(rows, (row) => cosine(pooled('test', test, k), pooled('train', row, k))),
      };
      for (const kind of ALIKE) {
        const drawn = new PairsDrawn(x, alike[kind]);
        const coefficients = (places: Int32Array): number[] => {
          const correlated = drawn.of(places);
          return COEFFICIENT_NAMES.map((coefficient) => correlated[coefficient]);
        };
        const values = coefficients(Int32Array.from(rows.keys()));
        const intervals = bootstraps(
          patients.length,
          COEFFICIENT_NAMES.length,
          (sample) => coefficients(joined(Array.from(sample, (patient) => patients[patient]!))),
          resampling,
        );
        for (const [i, coefficient] of COEFFICIENT_NAMES.entries()) {
          const value = values[i]!;
          found.push({ test, k, influence, similarity: kind, coefficient, value, ...intervals[i]!, n: rows.length });
        }
      }
    }
  }
  return found;
}

export interface FeatureArrays {
  readonly similarity: Float32Array;
  readonly maxima: Readonly<Record<'test' | 'train', Float32Array>>;
}

export async function readFeatureArrays(study: Study): Promise<FeatureArrays> {
  const paths = featurePaths(study.dir);
  const [similarity, test, train] = await Promise.all(
    [paths.similarity, paths.maxima('test'), paths.maxima('train')].map((path) => readFeatureArray(path)),
  );
  return { similarity: similarity!, maxima: { test: test!, train: train! } };
}

/** The mean over the test regions of each class, resampled by test patient. */
export function classCorrelations(study: Study, regions: readonly RegionCorrelation[], resampling: Resampling): ClassCorrelation[] {
  return study.classes.flatMap((name, k) =>
    INFLUENCES.flatMap((influence) =>
      ALIKE.flatMap((similarity) =>
        COEFFICIENT_NAMES.map((coefficient): ClassCorrelation => {
          const of = regions.filter(
            (one) =>
              one.k === k &&
              one.influence === influence &&
              one.similarity === similarity &&
              one.coefficient === coefficient &&
              !Number.isNaN(one.value),
          );
          const mean = groupedMean(
            of.map(({ value }) => value),
            of.map(({ test }) => study.tests.slices[test]!.patient),
            resampling,
          );
          return { class: name, influence, similarity, coefficient, ...mean, regions: of.length };
        }),
      ),
    ),
  );
}

/** One row for each coefficient of each test region. */
export function encodeCorrelations(study: Study, regions: readonly RegionCorrelation[]): string {
  const head = ['test_case', 'test_slice', 'class', 'influence', 'similarity', 'coefficient', 'value', 'low', 'high', 'training_regions'];
  const rows = regions.map(({ test, k, influence, similarity, coefficient, value, low, high, n }) => {
    const { case: name, index } = study.tests.slices[test]!;
    const numbers = [value, low, high].map((number) => (Number.isNaN(number) ? null : number));
    return csvLine([name, index, study.classes[k]!, influence, similarity, coefficient, ...numbers, n]);
  });
  return [csvLine(head), ...rows, ''].join('\n');
}
