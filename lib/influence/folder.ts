/** The files of a study folder: names, shapes and what their JSON holds. */
import { join } from 'node:path';
import { z } from 'zod';
import { kernelTableSchema } from '../engine/kernels';
import { engineSchema } from '../engine/record';
import { TracinError } from '../errors';
import { nameMapSchema } from '../graph/state-dict';
import { readJson } from '../json';
import { definitionSchema } from './definition';
import { precisionSampleSchema } from './precision';

export const FORMAT_VERSION = 1;

const REMEDY = 'the study is damaged, compute it again';

const count = z.int().nonnegative();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/** study.json, written last: where it is, the study is complete. */
export const studySchema = z.strictObject({
  formatVersion: z.literal(FORMAT_VERSION),
  /** Package that wrote it, e.g. `tracin-seg 0.1.0`. */
  tool: z.string(),
  engine: engineSchema,
  /** Kernels by what they computed, where the engine chose between several: whoever goes on with the study takes the same. */
  kernels: kernelTableSchema.optional(),
  definition: definitionSchema,
  /** Foreground classes in label order. */
  classes: z.array(z.string().min(1)).min(1),
  checkpoints: z
    .array(
      z.strictObject({
        /** Relative to the study folder. */
        file: z.string().min(1),
        epoch: count.nullable(),
        learningRate: z.number().positive(),
        sha256,
      }),
    )
    .min(1),
  /** The differentiated initializers, in gradient order, and how many numbers they hold together. */
  parameters: z.array(z.string()).min(1),
  parameterCount: count,
  /** [H, W] */
  size: z.array(z.int().positive()).min(1),
  modalities: z.array(z.string()),
  /** The network whose state dicts the checkpoints are, and how they call its initializers. */
  network: z.strictObject({ file: z.string().min(1), sha256, map: nameMapSchema.optional() }).optional(),
  /** The graph output that was asked for as logits. */
  output: z.string().optional(),
  /** Painted regions of the test slices; a class of null means every class. sha256 over the masks of all test slices. */
  regionMask: z.strictObject({ file: z.string().nullable(), class: z.string().nullable(), sha256 }).optional(),
  /** How far T is from float32, where it was computed in less. */
  againstF32: precisionSampleSchema.optional(),
  datasets: z.strictObject({
    test: z.strictObject({ fingerprint: z.string(), options: z.json().optional() }),
    train: z.strictObject({ fingerprint: z.string(), options: z.json().optional() }),
  }),
});
/** study.json: what was computed from what, and how. */
export type StudyFile = z.infer<typeof studySchema>;

const axisSchema = z
  .strictObject({
    slices: z.array(z.strictObject({ case: z.string(), patient: z.string(), index: z.int() })),
    /** [slices][K] pixels of each region's mask. */
    pixels: z.array(z.array(count)),
    /** Regions with an empty mask: row on the slice axis and class name. Their loss, gradient and influence are 0; they are never ranked. */
    absent: z.array(z.tuple([count, z.string()])),
  })
  .refine(({ slices, pixels }) => slices.length === pixels.length, { message: 'has not as many rows as slices', path: ['pixels'] });

/** regions.json: the two slice axes of every array, and how large each region is. */
export const regionsSchema = z.strictObject({ test: axisSchema, train: axisSchema });
export type RegionsFile = z.infer<typeof regionsSchema>;
/** The slices of one side, and how large each of their regions is. */
export type RegionAxis = z.infer<typeof axisSchema>;

export function studyPaths(dir: string) {
  return {
    study: join(dir, 'study.json'),
    regions: join(dir, 'regions.json'),
    scores: join(dir, 'scores.npy'),
    table: join(dir, 'scores.parquet'),
    products: (checkpoint: number) => join(dir, 'products', `checkpoint-${String(checkpoint).padStart(3, '0')}.npy`),
    norms: (role: 'test' | 'train') => join(dir, `norms-${role}.npy`),
    losses: (role: 'test' | 'train') => join(dir, `losses-${role}.npy`),
    /** uint8 [slices, H, W], only where the definition needs predicted labels. */
    predicted: (role: 'test' | 'train') => join(dir, `predicted-${role}.npy`),
    /** uint8 [test slices, H, W], only where regions were painted. */
    painted: join(dir, 'painted-test.npy'),
    /** Unfinished work; gone once the study is complete. */
    tiles: join(dir, 'tiles'),
    plan: join(dir, 'tiles', 'plan.json'),
  };
}

/** A JSON file of a study; undefined when there is none. */
export function readStudyJson<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  return readJson(path, schema, FORMAT_VERSION, REMEDY);
}

/** An error about a file of a study that does not hold what it should. */
export function damaged(path: string, what: string, cause?: unknown): TracinError {
  return new TracinError('ERR_TRACIN_STUDY', `${path}: ${what}: ${REMEDY}`, { cause });
}
