/** What a study's tests found, read back for people to see. */
import { z } from 'zod';
import { INFLUENCES, ALIKE, COEFFICIENT_NAMES } from './correlation';
import { PREDICTORS } from './datamodel';
import { estimateSchema } from './estimate';
import { faithfulnessPaths, FORMAT_VERSION, PARTS } from './files';
import { plantedSchema } from './planted';
import { readJson } from '../json';
import { anyPath, check } from '../kinds';

const figure = z.number().nullable();
const skipped = z.object({ skipped: z.string() });

const correlation = estimateSchema.extend({
  class: z.string(),
  influence: z.enum(INFLUENCES),
  similarity: z.enum(ALIKE),
  coefficient: z.enum(COEFFICIENT_NAMES),
  regions: z.int(),
});

const ablation = z.object({
  patients: z.int(),
  slices: z.int(),
  classes: z.array(
    z.object({
      class: z.string(),
      dice: figure,
      drops: z.array(figure),
      selected: z.array(z.int()),
      selectedDrop: figure,
      unselectedDrop: figure,
      difference: estimateSchema,
      test: z.object({ u: figure, p: figure, effect: figure }),
      random: z.object({ draws: z.int(), quantiles: z.array(figure), beaten: figure }),
      together: z.object({ drop: figure, draws: z.int(), beaten: figure }),
    }),
  ),
});

const retraining = z.object({
  removal: z.object({
    removed: z.int(),
    patients: z.int(),
    draws: z.int(),
    seeds: z.int(),
    subjects: z.array(z.object({ class: z.string(), proponents: figure, random: figure, neighbours: figure })),
    overRandom: estimateSchema,
    overNeighbours: estimateSchema,
  }),
  datamodel: z.object({
    subsets: z.int(),
    seeds: z.int(),
    regions: z.int(),
    scores: z.array(estimateSchema.extend({ predictor: z.enum(PREDICTORS), baseline: z.boolean() })),
  }),
});

/** faithfulness.json as far as a reader needs it; what else it holds is left alone. */
export const findingsSchema = z.object({
  mode: z.enum(['quick', 'full']),
  seed: z.int(),
  resamples: z.int(),
  correlation: z.array(correlation).optional(),
  ablation: z.union([ablation, skipped]).optional(),
  faults: z.union([plantedSchema, skipped]).optional(),
  retraining: z.union([retraining, skipped]).optional(),
  verdict: z.array(z.object({ part: z.enum(PARTS), shown: z.boolean(), words: z.string() })),
});
/** What the tests of faithfulness found, as far as a reader needs it. */
export type Findings = z.infer<typeof findingsSchema>;
/** What silencing the selected features did, class by class. */
export type AblationFindings = z.infer<typeof ablation>;

/** Undefined where the study has not been tested. @throws ERR_TRACIN_STUDY for a file that is damaged */
export async function readFindings(dir: string): Promise<Findings | undefined> {
  check('readFindings', { dir }, { dir: anyPath });
  return readJson(faithfulnessPaths(dir).result, findingsSchema, FORMAT_VERSION, 'test the study again');
}
