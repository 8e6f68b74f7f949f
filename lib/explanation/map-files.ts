/** The files of STUDY/maps: names, and what the index holds. */
import { join } from 'node:path';
import { z } from 'zod';
import { openedStudy, type Study } from '../influence/study';
import { readJson } from '../json';
import { check } from '../kinds';

const entrySchema = z.strictObject({
  /** The test region. */
  test: z.strictObject({ case: z.string(), slice: z.int() }),
  class: z.string(),
  /** The training region. */
  train: z.strictObject({ case: z.string(), slice: z.int() }),
  trainClass: z.string(),
  /** The slice whose pixels the map is over. */
  side: z.enum(['train', 'test']),
  /** T of the two regions, as the study has it. */
  score: z.number(),
  /** Of the map's numbers, in float64: T again. */
  sum: z.number(),
  /** float32 [H, W], .npy, in this folder. */
  file: z.string().min(1),
  /** The map in the case's own volume; null where its images are no volumes. */
  volume: z.string().nullable(),
});
/** An influence map [H, W] in the folder of a study: between which regions, over which slice, and its file. */
export type MapEntry = z.infer<typeof entrySchema>;

/** index.json: every map of the folder. */
const indexSchema = z.array(entrySchema);

export function mapPaths(dir: string) {
  const folder = join(dir, 'maps');
  return { folder, index: join(folder, 'index.json'), file: (name: string) => join(folder, name) };
}

/** The maps made so far. @throws ERR_TRACIN_STUDY for an index that is damaged */
export async function readMaps(study: Study): Promise<MapEntry[]> {
  check('readMaps', { study }, { study: openedStudy });
  const { folder, index } = mapPaths(study.dir);
  return (await readJson(index, indexSchema, 1, `delete ${folder} and make the maps again`)) ?? [];
}

/** What tells one map of a study from another. */
export function mapKey({ test, class: name, train, trainClass, side }: Omit<MapEntry, 'score' | 'sum' | 'file' | 'volume'>): string {
  return JSON.stringify([test.case, test.slice, name, train.case, train.slice, trainClass, side]);
}

/** A name for the files of a map, without ending. */
export function mapName({ test, class: name, train, trainClass, side }: Parameters<typeof mapKey>[0]): string {
  const region = (slice: MapEntry['test'], of: string): string => `${slice.case}-${slice.slice}-${of}`;
  // Names come from folders and label tables; encoding keeps different ones different.
  return encodeURIComponent(`${region(test, name)}--${region(train, trainClass)}--${side}`).replaceAll('%', '=');
}
