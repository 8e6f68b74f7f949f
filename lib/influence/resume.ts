/** What an output folder holds already, and whether this run may go on with it. */
import { statfs } from 'node:fs/promises';
import { z } from 'zod';
import { TracinError } from '../errors';
import { createFile, fileError, makeFolder, unmakeFolder } from '../files';
import { toJson } from '../json';
import { formatBytes } from '../rounded';
import { FORMAT_VERSION, readStudyJson, studyPaths, studySchema, type StudyFile } from './folder';
import type { InfluencePlan, Layout } from './plan';
import { TileFolder } from './tiles';

const count = z.int().positive();
/** tiles/plan.json: the study this will be, and how its products are cut. */
const planSchema = z.strictObject({
  formatVersion: z.literal(FORMAT_VERSION),
  record: studySchema,
  layout: z.strictObject({ capacity: z.int().nonnegative(), tileSlices: count, batch: count }),
});

/** What was begun: it stays as it is however often the work is interrupted, and whoever goes on with it. */
export interface Begun {
  readonly record: StudyFile;
  readonly layout: Layout;
}

export type Standing =
  { readonly state: 'new' } | ({ readonly state: 'unfinished' } & Begun) | { readonly state: 'complete'; readonly record: StudyFile };

/**
 * @throws ERR_TRACIN_STUDY when there is a study, finished or not, and the caller does not mean to go on with it
 */
export async function standingOf(out: string, resume: boolean): Promise<Standing> {
  const paths = studyPaths(out);
  const complete = await readStudyJson(paths.study, studySchema);
  const plan = complete ? undefined : await readStudyJson(paths.plan, planSchema);
  if (!resume && complete) throw refuse(`${out} holds a complete study: choose another folder, or delete it first`);
  if (!resume && plan)
    throw refuse(`${out} holds an unfinished study: go on with it (--resume), choose another folder, or delete it first`);
  if (complete) return { state: 'complete', record: complete };
  return plan ? { state: 'unfinished', record: plan.record, layout: plan.layout } : { state: 'new' };
}

/** Makes the folder and records the plan, or leaves nothing; @returns it, or that of another process which came first. */
export async function beginStudy(out: string, record: StudyFile, plan: InfluencePlan): Promise<Begun> {
  const paths = studyPaths(out);
  const made = await makeFolder(paths.tiles).catch((error: unknown) => {
    throw fileError(error, 'create', paths.tiles);
  });
  const { capacity, tileSlices, batch } = plan;
  const begun: Begun = { record, layout: { capacity, tileSlices, batch } };
  try {
    await assertRoom(out, plan.disk);
    if (await createFile(paths.plan, toJson({ formatVersion: FORMAT_VERSION, ...begun }))) return begun;
  } catch (error) {
    await unmakeFolder(paths.tiles, made);
    throw error;
  }
  const { record: theirs, layout } = (await readStudyJson(paths.plan, planSchema))!;
  return { record: theirs, layout };
}

async function assertRoom(out: string, needed: number): Promise<void> {
  const { bavail, bsize } = await statfs(out).catch((error: unknown) => {
    throw fileError(error, 'write', out);
  });
  const free = bavail * bsize;
  if (free >= needed) return;
  const message = `${out}: the study needs ${formatBytes(needed)} of disk but ${formatBytes(free)} are free: choose another folder`;
  throw new TracinError('ERR_TRACIN_IO', message);
}

/** The tiles of what was begun: those of anything else do not count. */
export function tilesOf(out: string, { record, layout: { capacity, tileSlices } }: Begun): TileFolder {
  return new TileFolder(studyPaths(out).tiles, toJson({ record, capacity, tileSlices }));
}

/** @throws ERR_TRACIN_STUDY naming the first thing in which the study begun and the one asked for differ */
export function assertSameStudy(out: string, begun: StudyFile, asked: StudyFile): void {
  const pairs: [what: string, begun: unknown, asked: unknown][] = [
    ...Object.keys(asked.definition).map((key): [string, unknown, unknown] => {
      const name = key as keyof StudyFile['definition'];
      return [`definition.${name}`, begun.definition[name], asked.definition[name]];
    }),
    ['classes', begun.classes, asked.classes],
    ['number of checkpoints', begun.checkpoints.length, asked.checkpoints.length],
    ...asked.checkpoints.flatMap((checkpoint, t): [string, unknown, unknown][] => [
      [`sha256 of checkpoint ${t} (${checkpoint.file})`, begun.checkpoints[t]?.sha256, checkpoint.sha256],
      [`learning rate of checkpoint ${t}`, begun.checkpoints[t]?.learningRate, checkpoint.learningRate],
    ]),
    ['sha256 of the network', begun.network?.sha256, asked.network?.sha256],
    ['map', begun.network?.map, asked.network?.map],
    ['output', begun.output, asked.output],
    ['class of the region mask', begun.regionMask?.class, asked.regionMask?.class],
    ['sha256 of the region mask', begun.regionMask?.sha256, asked.regionMask?.sha256],
    ['size', begun.size, asked.size],
    ['modalities', begun.modalities, asked.modalities],
    ['fingerprint of the test slices', begun.datasets.test.fingerprint, asked.datasets.test.fingerprint],
    ['fingerprint of the training slices', begun.datasets.train.fingerprint, asked.datasets.train.fingerprint],
    ['parameters', begun.parameters, asked.parameters],
    ['engine', begun.engine.name, asked.engine.name],
    ['precision', begun.engine.precision, asked.engine.precision],
    ['tool', begun.tool, asked.tool],
  ];
  for (const [what, was, is] of pairs) {
    if (JSON.stringify(was) === JSON.stringify(is)) continue;
    throw refuse(
      `${out} cannot be resumed, ${what} was ${JSON.stringify(was)} and is ${JSON.stringify(is)}: ask for the same, or choose another folder`,
    );
  }
}

function refuse(message: string): TracinError {
  return new TracinError('ERR_TRACIN_STUDY', message);
}
