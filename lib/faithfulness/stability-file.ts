/** STUDY/stability.json: how much of a study stays when its network is trained again from another seed. */
import { join } from 'node:path';
import { z } from 'zod';
import { NORMALISATIONS } from '../influence/normalisation';
import { openedStudy, type Study } from '../influence/study';
import { readJson } from '../json';
import { check } from '../kinds';
import { estimateSchema } from './estimate';

export const FORMAT_VERSION = 1;

const count = z.int().nonnegative();
const region = z.strictObject({ case: z.string(), slice: z.int() });
/** A mean over test regions, resampled by test patient (`n`). */
const overRegions = estimateSchema.extend({ regions: count });

/** `not compared`: no region has a gradient in all of the studies, and training regions to rank. */
export const LEVELS = ['stable', 'partly stable', 'not stable', 'not compared'] as const;

export const stabilitySchema = z.strictObject({
  formatVersion: z.literal(FORMAT_VERSION),
  tool: z.string(),
  /** The studies compared, this one first: folders relative to it, and how many checkpoints each has. */
  studies: z.array(z.strictObject({ dir: z.string(), checkpoints: count })).min(2),
  /** What training regions are ranked by; whether lists are of slices or of patients, and how long they are. */
  normalize: z.enum(NORMALISATIONS),
  by: z.enum(['slice', 'patient']),
  top: z.int().positive(),
  seed: count,
  resamples: count,
  /** Spearman of the influence of the training regions of a class in two studies, mean over pairs of studies and test regions. */
  correlation: z.strictObject({
    /** Over all pairs of classes. */
    overall: overRegions,
    classPairs: z.array(overRegions.extend({ class: z.string(), trainClass: z.string() })),
  }),
  /** Share of the leading proponents of the same class that two studies have in common, mean over pairs of studies. */
  lists: z.array(
    z.strictObject({
      class: z.string(),
      overlap: overRegions,
      /** What two lists drawn at random would share, mean. */
      chance: z.number().nullable(),
      overChance: overRegions,
    }),
  ),
  /** Every test region that all studies have. */
  regions: z.array(
    region.extend({
      class: z.string(),
      /** With training regions of the same class, mean over pairs of studies. */
      correlation: z.number().nullable(),
      overlap: z.number(),
      /** On the list of every study and a proponent in each, by rank in this one; of patients, the strongest region. */
      stable: z.array(region.extend({ patient: z.string() })),
      /** Length of the lists: `top`, or as many as there are. */
      listed: count,
    }),
  ),
  verdict: z.strictObject({
    level: z.enum(LEVELS),
    /** Whether readers of the study should be warned. */
    warning: z.boolean(),
    words: z.string(),
  }),
});
/** stability.json: what the rankings of several trainings have in common. */
export type Stability = z.infer<typeof stabilitySchema>;
/** A test region that all studies have, and what their rankings share. */
export type RegionStability = Stability['regions'][number];

export function stabilityPath(dir: string): string {
  return join(dir, 'stability.json');
}

/**
 * What the last comparison of a study found; undefined where it was never compared.
 * @throws ERR_TRACIN_STUDY for a damaged file
 */
export async function readStability(study: Study): Promise<Stability | undefined> {
  check('readStability', { study }, { study: openedStudy });
  return readJson(stabilityPath(study.dir), stabilitySchema, FORMAT_VERSION, 'compare the studies again');
}
