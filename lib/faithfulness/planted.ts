/** Whether audit scores find label errors that are known: AUROC and recall by patient, next to the two baselines. */
import { z } from 'zod';
import { auroc, recallAt, type Resampling } from '../statistics';
import { AUDIT_SCORES, type AuditScore, type PatientScores } from './audit-scores';
import { combinationSchema, combineLeavingOut, fitCombination } from './combination';
import { estimate, estimateSchema, type Estimate } from './estimate';

/** The scores that a network and labels alone give. */
export const BASELINES = ['loss', 'softMinimum'] as const satisfies readonly AuditScore[];

/** `combination`: each patient scored by a fit to all others. */
export const FOUND_BY = [...AUDIT_SCORES, 'combination'] as const;
/** A score that corrupted labels are looked for by. */
export type FoundBy = (typeof FOUND_BY)[number];

const scoreSchema = z.strictObject({
  score: z.enum(FOUND_BY),
  baseline: z.boolean(),
  auroc: estimateSchema,
  /** Share of the faulty patients among the first 10 and 20 % inspected. */
  recall10: estimateSchema,
  recall20: estimateSchema,
  /** AUROC less that of the better baseline, on the same resampled patients; null for the baselines themselves. */
  overBaseline: estimateSchema.nullable(),
});
/** How well one score found the planted faults, and whether better than the baseline. */
export type ScoreResult = z.infer<typeof scoreSchema>;

export const plantedSchema = z.strictObject({
  /** Training patients, and how many of them have planted faults. */
  patients: z.int(),
  faulty: z.int(),
  baseline: z.enum(FOUND_BY),
  /** By falling AUROC. */
  scores: z.array(scoreSchema),
  /** Fitted to all patients, for audits of other studies. */
  combination: combinationSchema,
});
/** How well each score found the planted faults. */
export type PlantedResult = z.infer<typeof plantedSchema>;

/** @param faulty patient by patient */
export function evaluatePlanted(patients: readonly PatientScores[], faulty: readonly boolean[], resampling: Resampling): PlantedResult {
  const values = new Map<FoundBy, number[]>(AUDIT_SCORES.map((score) => [score, patients.map((one) => lowest(one.scores[score]))]));
  values.set('combination', combineLeavingOut(patients, faulty));
  const of = (score: FoundBy, sample: Int32Array, statistic: (scores: number[], positive: boolean[]) => number): number =>
    statistic(Array.from(sample, (i) => values.get(score)![i]!), Array.from(sample, (i) => faulty[i]!)); // prettier-ignore
  const everyone = Int32Array.from(patients.keys());
  const [first, second] = BASELINES;
  const baseline = of(second, everyone, auroc) > of(first, everyone, auroc) ? second : first;
  const over = (statistic: (sample: Int32Array) => number): Estimate => estimate(patients.length, statistic, resampling);
  const scores = [...values.keys()].map((score): ScoreResult => {
    const isBaseline = (BASELINES as readonly FoundBy[]).includes(score);
    return {
      score,
      baseline: isBaseline,
      auroc: over((sample) => of(score, sample, auroc)),
      recall10: over((sample) => of(score, sample, (all, positive) => recallAt(all, positive, 0.1))),
      recall20: over((sample) => of(score, sample, (all, positive) => recallAt(all, positive, 0.2))),
      overBaseline: isBaseline ? null : over((sample) => of(score, sample, auroc) - of(baseline, sample, auroc)),
    };
  });
  scores.sort((a, b) => (b.auroc.value ?? 0) - (a.auroc.value ?? 0));
  const count = faulty.filter(Boolean).length;
  return { patients: patients.length, faulty: count, baseline, scores, combination: fitCombination(patients, faulty) };
}

/** A patient without a score is the last to be suspected. */
function lowest(value: number): number {
  return Number.isNaN(value) ? -Infinity : value;
}
