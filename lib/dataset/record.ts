/** How slices were opened, as run.json and study.json keep it, so that they can be opened again. */
import { resolve } from 'node:path';
import { z } from 'zod';
import type { OnProgress } from '../progress';
import { openArrays } from './arrays';
import { openDataset, type Dataset, type DatasetOptions } from './dataset';
import { LAYOUTS } from './layouts/layout';
import { NORMALISATIONS } from './normalisation';
import type { SliceSource } from './slices';

const whole = z.int().nonnegative();
const count = z.int().positive();

export const datasetRecordSchema = z.strictObject({
  layout: z.enum(LAYOUTS),
  /** Absolute. */
  dir: z.string().min(1),
  modalities: z.array(z.string().min(1)).min(1).optional(),
  classes: z.record(z.string().min(1), whole).optional(),
  cases: z.array(z.string().min(1)).min(1).optional(),
  size: z.array(count).length(2).optional(),
  normalisation: z.enum(NORMALISATIONS).optional(),
  slices: z
    .union([z.literal('all'), z.strictObject({ first: whole, last: whole }), z.strictObject({ tumour: count, spread: count.optional() })])
    .optional(),
});
export type DatasetRecord = z.infer<typeof datasetRecordSchema>;

/** The options a dataset was opened with, what was found filled in, so that part of its cases are opened alike. */
export function recordOf(options: DatasetOptions, { layout, modalities, size }: Dataset): DatasetRecord {
  const { dir, classes, normalisation, slices } = options;
  return { layout: layout.name, dir: resolve(dir), modalities: [...modalities], classes, size: [...size], normalisation, slices };
}

export const arraysRecordSchema = z.strictObject({
  layout: z.literal('arrays'),
  /** Absolute. */
  images: z.string().min(1),
  labels: z.string().min(1).optional(),
  classes: z.array(z.string().min(1)).min(1).optional(),
});
export type ArraysRecord = z.infer<typeof arraysRecordSchema>;

export const sourceRecordSchema = z.discriminatedUnion('layout', [datasetRecordSchema, arraysRecordSchema]);
export type SourceRecord = z.infer<typeof sourceRecordSchema>;

/** Opens the slices again; errors as of {@link openDataset} and {@link openArrays}. */
export async function openRecorded(
  record: SourceRecord,
  options: {
    /** Said in messages about arrays. */
    readonly role?: 'train' | 'test' | undefined;
    readonly signal?: AbortSignal | undefined;
    readonly onProgress?: OnProgress | undefined;
  } = {},
): Promise<SliceSource> {
  return record.layout === 'arrays' ? openArrays({ ...record, ...options }) : openDataset({ ...record, ...options });
}
