/** How suspicious the labels of each training patient are, by every score there is; larger is more suspicious. */
import { setImmediate } from 'node:timers/promises';
import { influencedRegions } from '../influence/influenced';
import { influenceOf, type Normalisation } from '../influence/normalisation';
import type { Study } from '../influence/study';
import { mean } from '../statistics';
import type { LabelQuality } from './label-quality';

/**
 * loss, softMinimum: of the patient's slices, mean. opposition: minus the mean cosine influence of the patient's regions on regions of the
 * same class in slices whose labels are trusted; oppositionRaw: the same of T. selfInfluence: Σ_t η_t ‖∇L‖², mean over the patient's regions;
 * selfInfluenceSized: what of its logarithm the size of the region does not account for.
 */
export const AUDIT_SCORES = ['loss', 'softMinimum', 'opposition', 'oppositionRaw', 'selfInfluence', 'selfInfluenceSized'] as const;
export type AuditScore = (typeof AUDIT_SCORES)[number];

export interface PatientScores {
  readonly patient: string;
  readonly slices: number;
  /** NaN where a patient has no region of a class with trusted counterparts. */
  readonly scores: Readonly<Record<AuditScore, number>>;
  /** [K]; NaN where the patient has no such region. */
  readonly selfInfluenceByClass: readonly number[];
  /** Row on the training axis of its slice of largest loss. */
  readonly worst: number;
}

/** @param trusted test slices whose labels are trusted, by row */
export async function patientScores(study: Study, quality: LabelQuality, trusted: readonly number[]): Promise<PatientScores[]> {
  const { trainings, classes } = study;
  const [opposition, oppositionRaw] = [await oppositionOf(study, trusted, 'cosine'), await oppositionOf(study, trusted, 'none')];
  const own = await selfInfluence(study);
  const sized = withoutSize(study, own);
  const rows = new Map<string, number[]>();
  trainings.slices.forEach(({ patient }, row) => rows.set(patient, [...(rows.get(patient) ?? []), row]));
  return [...rows].map(([patient, mine]): PatientScores => {
    const regions = mine.flatMap((row) => classes.map((_, k) => row * classes.length + k));
    const ofRegions = (values: Float64Array): number => presentMean(regions.map((region) => values[region]!));
    return {
      patient,
      slices: mine.length,
      scores: {
        loss: mean(mine.map((row) => quality.loss[row]!)),
        softMinimum: mean(mine.map((row) => quality.softMinimum[row]!)),
        opposition: ofRegions(opposition),
        oppositionRaw: ofRegions(oppositionRaw),
        selfInfluence: ofRegions(own),
        selfInfluenceSized: ofRegions(sized),
      },
      selfInfluenceByClass: classes.map((_, k) => presentMean(mine.map((row) => own[row * classes.length + k]!))),
      worst: mine.reduce((worst, row) => (quality.loss[row]! > quality.loss[worst]! ? row : worst)),
    };
  });
}

/** Mean of what is there; NaN of nothing. */
function presentMean(values: readonly number[]): number {
  return mean(values.filter((value) => !Number.isNaN(value)));
}

/**
 * Minus the mean influence of each training region on the trusted regions of its class that anything influences, [N · K]; NaN where either is
 * absent.
 */
async function oppositionOf(study: Study, trusted: readonly number[], normalize: Normalisation): Promise<Float64Array> {
  const influenced = await influencedRegions(study);
  const [K, N] = [study.classes.length, study.trainings.slices.length];
  const sums = new Float64Array(N * K);
  const counts = new Float64Array(K);
  for (const test of trusted) {
    const influence = await influenceOf(study, test, normalize);
    for (let k = 0; k < K; k++) {
      if (!influenced[test]![k]) continue;
      counts[k]!++;
      for (let row = 0; row < N; row++) sums[row * K + k]! -= influence[(k * N + row) * K + k]!;
    }
    await setImmediate();
  }
  return sums.map((sum, region) => (isPresent(study, region) ? sum / counts[region % K]! : NaN));
}

/** Σ_t η_t ‖∇L‖², [N · K]; NaN for absent regions. */
async function selfInfluence(study: Study): Promise<Float64Array> {
  const norms = await study.norms('train');
  const regions = study.trainings.slices.length * study.classes.length;
  return Float64Array.from({ length: regions }, (_, region) =>
    isPresent(study, region) ? study.learningRates.reduce((sum, rate, t) => sum + rate * norms[t * regions + region]!, 0) : NaN,
  );
}

function isPresent({ trainings, classes }: Study, region: number): boolean {
  return trainings.pixels[Math.floor(region / classes.length)]![region % classes.length]! > 0;
}

/** What a straight line through log influence over log pixels, class by class, leaves over, [N · K]. */
function withoutSize({ trainings, classes }: Study, own: Float64Array): Float64Array {
  const K = classes.length;
  const rest = new Float64Array(own.length).fill(NaN);
  for (let k = 0; k < K; k++) {
    const regions = [...own.keys()].filter((region) => region % K === k && own[region]! > 0);
    const x = regions.map((region) => Math.log(trainings.pixels[Math.floor(region / K)]![k]!));
    const y = regions.map((region) => Math.log(own[region]!));
    const [meanX, meanY] = [mean(x), mean(y)];
    const spread = x.reduce((sum, value) => sum + (value - meanX) ** 2, 0);
    const slope = spread === 0 ? 0 : x.reduce((sum, value, i) => sum + (value - meanX) * (y[i]! - meanY), 0) / spread;
    regions.forEach((region, i) => (rest[region] = y[i]! - meanY - slope * (x[i]! - meanX)));
  }
  return rest;
}
