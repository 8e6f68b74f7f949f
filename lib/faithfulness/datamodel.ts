/**
 * The linear datamodelling score (Park et al. 2023, arXiv 2303.14186): networks are trained on random halves of the patients, and the summed
 * influence of a half is held against the loss it ends with, next to counts that know nothing of gradients.
 */
import { influencedRegions } from '../influence/influenced';
import type { Study } from '../influence/study';
import { generatorAt, shuffledOrder } from '../random';
import { mean, spearman, type Resampling } from '../statistics';
import { estimate, type Estimate } from './estimate';
import type { PatientTable } from './patient-influence';

/**
 * influence: Σ T of the patients in the half. pixels: how many training pixels of the class it has. similarity: Σ S.
 * faulty: minus how many of its patients have planted faults.
 */
export const PREDICTORS = ['influence', 'pixels', 'similarity', 'faulty'] as const;
/** What is summed over a half to predict losses. */
export type Predictor = (typeof PREDICTORS)[number];

/** How well sums over half of the patients predict the losses of networks trained on them. */
export interface DatamodelResult {
  readonly subsets: number;
  readonly seeds: number;
  /** Test regions, over which each score is a mean. */
  readonly regions: number;
  /** Mean Spearman between what is summed and minus the loss, resampled by subset (`n`). */
  readonly scores: readonly (Estimate & { readonly predictor: Predictor; readonly baseline: boolean })[];
}

export interface HalvesOptions {
  readonly study: Study;
  readonly table: PatientTable;
  readonly losses: (without: readonly string[]) => Promise<Float64Array>;
  readonly subsets: number;
  readonly seeds: number;
  /** Patients with planted faults, where they are known. */
  readonly faulty: ReadonlySet<string> | undefined;
  readonly resampling: Resampling;
}

/** Random halves of the patients and the losses of networks trained on them; plain data. */
export interface TrainedHalves extends Pick<HalvesOptions, 'table' | 'seeds' | 'resampling'> {
  /** K */
  readonly classes: number;
  /** Test regions that something influences, as test row · K + class. */
  readonly regions: readonly number[];
  /** Patients of each half, by their place in the table. */
  readonly halves: readonly (readonly number[])[];
  /** Losses of each half, [M · K]. */
  readonly losses: readonly Float64Array[];
  /** By place in the table. */
  readonly faulty: readonly boolean[] | undefined;
}

const HALF = 76;

export async function trainHalves(options: HalvesOptions): Promise<TrainedHalves> {
  const { study, table, subsets, seeds, faulty, resampling } = options;
  const { patients } = table;
  const classes = study.classes.length;
  const halves: number[][] = [];
  const losses: Float64Array[] = [];
  for (let subset = 0; subset < subsets; subset++) {
    const order = shuffledOrder(patients.length, generatorAt(resampling.seed, HALF, subset));
    const half = Math.ceil(patients.length / 2);
    halves.push(order.slice(0, half));
    losses.push(await options.losses(order.slice(half).map((p) => patients[p]!)));
  }
  const regions = (await influencedRegions(study)).flatMap((of, row) =>
    of.flatMap((influenced, k) => (influenced ? [row * classes + k] : [])),
  );
  return { table, seeds, resampling, classes, regions, halves, losses, faulty: faulty && patients.map((patient) => faulty.has(patient)) };
}

/** What each half promises each test region of `regions`, as a function of the half's sample: the mean Spearman with minus the loss. */
export function predictorScore(
  { table, classes, regions, halves, losses, faulty }: TrainedHalves,
  predictor: Predictor,
): (sample: ArrayLike<number>) => number {
  const count = table.patients.length;
  const values: Record<Predictor, (region: number, p: number) => number> = {
    influence: (region, p) => table.influence[region * count + p]!,
    pixels: (region, p) => table.pixels[(region % classes) * count + p]!,
    similarity: (region, p) => table.similarity[region * count + p]!,
    faulty: (_, p) => -Number(faulty?.[p]),
  };
  const value = values[predictor];
  const predicted = regions.map((region) => halves.map((half) => half.reduce((sum, p) => sum + value(region, p), 0)));
  return (sample) => {
    const each = regions.map((region, i) =>
      spearman(
        Array.from(sample, (s) => predicted[i]![s]!),
        Array.from(sample, (s) => -losses[s]![region]!),
      ),
    );
    return mean(each.filter((score) => !Number.isNaN(score)));
  };
}

export function scoreDatamodel(trained: TrainedHalves): DatamodelResult {
  const { seeds, resampling, regions, halves, faulty } = trained;
  const scores = PREDICTORS.filter((predictor) => predictor !== 'faulty' || faulty !== undefined).map((predictor) => ({
    predictor,
    baseline: predictor !== 'influence',
    ...estimate(halves.length, predictorScore(trained, predictor), resampling),
  }));
  return { subsets: halves.length, seeds, regions: regions.length, scores };
}
