/** What a study's claims are tested with: the run its network came from, and labelled slices that had no part in it. */
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { datasetRecordSchema, openRecorded } from '../dataset/record';
import type { SliceSource } from '../dataset/slices';
import { openedEngine, type Engine } from '../engine/engine';
import { FAULTS } from '../dataset/phantom/faults';
import { TracinError } from '../errors';
import { readJson } from '../json';
import { CALL, optional, whole, type Kinds } from '../kinds';
import { assertThere, MOVED, movedTo, SIDES } from '../influence/reopen';
import { openedStudy, type Study } from '../influence/study';
import type { OnProgress } from '../progress';
import { openRun, readRunFile, type Run } from '../training/run';

/** What every question about a finished study takes. */
export interface SubjectOptions {
  readonly study: Study;
  readonly engine: Engine;
  /** In place of what the study says it was computed from. */
  readonly test?: SliceSource | undefined;
  readonly train?: SliceSource | undefined;
  /** Where the data and the checkpoints lie now, when not where study.json says. */
  readonly data?: string | undefined;
  readonly run?: string | undefined;
  /** Slices computed together; default 8. */
  readonly batch?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** A stage for each part of the work. */
  readonly onProgress?: OnProgress | undefined;
}

export const SUBJECT: Kinds<SubjectOptions> = {
  ...CALL,
  ...SIDES,
  ...MOVED,
  study: openedStudy,
  engine: openedEngine,
  batch: optional(whole(1)),
};

/**
 * The run whose checkpoints a study is about; undefined for networks from elsewhere.
 * @param moved where the run lies now, when not where study.json says
 */
export async function runOf(study: Study, moved?: string): Promise<Run | undefined> {
  const dir = moved ?? dirname(dirname(study.checkpoints[0]!.file));
  const file = await readRunFile(dir);
  return file && openRun(dir);
}

/**
 * Some cases of a run, opened as they were for training; `data`: where they lie now, when not where run.json says.
 * @throws ERR_TRACIN_STUDY for a run that was not trained from a folder
 */
export async function openRunCases(
  run: Run,
  cases: readonly string[],
  { data, signal }: Pick<SubjectOptions, 'data' | 'signal'> = {},
): Promise<SliceSource> {
  const record = datasetRecordSchema.safeParse(run.data.options).data;
  if (!record)
    throw new TracinError('ERR_TRACIN_STUDY', `${run.dir} was not trained from a data folder: give the slices along with the study`);
  const place = data === undefined ? record : movedTo(data, record);
  return openRecorded({ ...place, cases: [...cases] }, { signal });
}

/**
 * @param run the study's, if it is of one
 * @throws ERR_TRACIN_DATA where slices held out have no labels or another size, or are of a patient that the study is about or a case
 *   that the run was trained on
 */
export function checkHeldOut(heldOut: SliceSource, study: Study, run: Run | undefined): void {
  if (!heldOut.labelled) throw new TracinError('ERR_TRACIN_DATA', 'the held-out slices have no labels to take Dice against: add them');
  const { size } = study.record;
  if (heldOut.size.join() !== size.join()) {
    const message = `the held-out slices have size ${heldOut.size.join(', ')}, those of ${study.dir} ${size.join(', ')}: prepare both alike`;
    throw new TracinError('ERR_TRACIN_DATA', message);
  }
  const known = new Set([...study.tests.slices, ...study.trainings.slices].map(({ patient }) => patient));
  const shared = heldOut.slices.find(({ patient }) => known.has(patient));
  if (shared) {
    const message = `patient ${shared.patient} is held out and part of ${study.dir}: features are tested on patients that had no part in selecting them`;
    throw new TracinError('ERR_TRACIN_DATA', message);
  }
  const trained = heldOut.slices.find((slice) => run?.split.train.includes(slice.case));
  if (trained) {
    const message = `case ${trained.case} is held out and ${run!.dir} was trained on it: name cases that had no part in training`;
    throw new TracinError('ERR_TRACIN_DATA', message);
  }
}

const plantedSchema = z.array(z.object({ case: z.string(), fault: z.enum(FAULTS), amount: z.number() }));

/** Training patients whose labels were corrupted on purpose, by planted.json of their data folder; undefined where it has none. */
export async function plantedPatients(study: Study, data?: string): Promise<ReadonlySet<string> | undefined> {
  const { record, trainings } = study;
  const dir = data ?? datasetRecordSchema.safeParse(record.datasets.train.options).data?.dir;
  if (dir === undefined) return undefined;
  assertThere(dir, study.dir);
  const planted = await readJson(join(dir, 'planted.json'), plantedSchema, 1, 'make the phantom again');
  if (!planted) return undefined;
  const faulty = new Set(planted.map((one) => one.case));
  return new Set(trainings.slices.flatMap((slice) => (faulty.has(slice.case) ? [slice.patient] : [])));
}
