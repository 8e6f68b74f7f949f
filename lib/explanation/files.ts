/** The files of STUDY/features: names, shapes and what their JSON holds. */
import { join } from 'node:path';
import { z } from 'zod';
import { TracinError } from '../errors';
import { NORMALISATIONS } from '../influence/normalisation';
import { openedStudy, type Study } from '../influence/study';
import { readJson } from '../json';
import { check } from '../kinds';
import { readNpy } from '../npy';
import { SIMILARITIES } from './similarity';

export const FORMAT_VERSION = 1;

const count = z.int().nonnegative();

/** features.json, written last: where it is, the folder is whole. */
export const featuresSchema = z.strictObject({
  formatVersion: z.literal(FORMAT_VERSION),
  tool: z.string(),
  /** What S is. */
  similarity: z.enum(SIMILARITIES),
  /** What training regions are ranked by. */
  normalize: z.enum(NORMALISATIONS),
  /** Of the study that T and T^(k) are weighted with. */
  learningRates: z.array(z.number()),
  /** Shuffles of the ranks, and the seed of them. */
  shuffles: count,
  seed: count,
  /** F, and the kernel of the last convolution, which reads them. */
  features: z.int().positive(),
  kernel: z.string(),
  classes: z.array(
    z.strictObject({
      class: z.string(),
      /** Test regions that something influences, over which FI is a mean, and training regions present. */
      tests: count,
      trainings: count,
      features: z.array(
        z.strictObject({
          feature: count,
          /** Mean FI over the first third of ranks minus that over the middle third; null below three training regions. */
          contrast: z.number().nullable(),
          /** 95th percentile of the contrasts of shuffled ranks. */
          threshold: z.number().nullable(),
          selected: z.boolean(),
        }),
      ),
    }),
  ),
});
/** features.json: what was compared, and which features influence follows. */
export type Features = z.infer<typeof featuresSchema>;
/** What was found of one class, feature by feature. */
export type ClassFeatures = Features['classes'][number];

export function featurePaths(dir: string) {
  const folder = join(dir, 'features');
  return {
    folder,
    features: join(folder, 'features.json'),
    /** float32 [K, F, N]: FI by rank, NaN beyond the last rank of a class. */
    importance: join(folder, 'importance.npy'),
    /** float32 [K, F, N]: T^(k) by rank, mean over test regions. */
    split: join(folder, 'split.npy'),
    /** float32 [M, K, N]: S of same-class regions, mean over features; NaN for absent regions. */
    similarity: join(folder, 'similarity.npy'),
    /** float32 [slices, K, F]: largest of each map inside each region; NaN for absent regions. */
    maxima: (role: 'test' | 'train') => join(folder, `maxima-${role}.npy`),
    /** float32 [Q, slices, K, F, numbers of one feature]: gradients of the head's kernel, feature by feature. */
    gradients: (role: 'test' | 'train') => join(folder, `gradients-${role}.npy`),
    table: join(folder, 'features.parquet'),
  };
}

/**
 * What `explain --features` found for a study.
 * @throws ERR_TRACIN_STUDY when it has not been run, or its files are damaged
 */
export async function readFeatures(study: Study): Promise<Features> {
  check('readFeatures', { study }, { study: openedStudy });
  const { features, folder } = featurePaths(study.dir);
  const found = await readJson(features, featuresSchema, FORMAT_VERSION, 'compute the features again');
  if (found) return found;
  throw new TracinError('ERR_TRACIN_STUDY', `${folder} holds no features: run \`tracin-seg explain ${study.dir} --features\` first`);
}

/** An array of the features, float32. */
export async function readFeatureArray(path: string): Promise<Float32Array> {
  return (await readNpy(path)).data as Float32Array;
}
