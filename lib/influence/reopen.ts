/** What a study was computed from, opened again: its networks and slices, for whatever is asked about it later. */
import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { Dataset } from '../dataset/dataset';
import { openRecorded, sourceRecordSchema, type SourceRecord } from '../dataset/record';
import { sliceSource, type SliceSource } from '../dataset/slices';
import { chosenSlices, noSlices, withClasses } from '../dataset/views';
import { TracinError } from '../errors';
import { anyPath, optional } from '../kinds';
import { openNpy } from '../npy';
import type { ReadLabels, Role, Side } from './batches';
import { needsPrediction } from './definition';
import { studyPaths, type RegionAxis } from './folder';
import { resolveNetworks, type Networks } from './networks';
import type { Painted } from './regions';
import type { Study } from './study';

/** Of the options by which callers say where data and networks are now. */
export const SIDES = { test: optional(sliceSource), train: optional(sliceSource) };
export const MOVED = { data: optional(anyPath), run: optional(anyPath) };

export interface ReopenOptions {
  /** In place of what study.json says, e.g. where the study was computed from a source of the caller's own. Stays the caller's to close. */
  readonly test?: SliceSource | undefined;
  readonly train?: SliceSource | undefined;
  /**
   * Folder in which the data lie now, when not where study.json says: that of the cases, or of the arrays by the names they had. It is taken
   * at its word, since copying changes the times that tell whether data are the same.
   */
  readonly data?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ReopenedSides extends Readonly<Record<Role, Side>> {
  /** Where slices are cut from volumes: their geometry, and a way to write on it. */
  readonly datasets: Readonly<Partial<Record<Role, Dataset>>>;
  close(): Promise<void>;
}

/**
 * Both sides of a study, slice by slice in the order of its axes, with its predicted and painted regions.
 * @throws ERR_TRACIN_STUDY where the study does not say how its data are opened; ERR_TRACIN_DATA where they have changed since, or lack a slice
 */
export async function reopenSides(study: Study, options: ReopenOptions = {}): Promise<ReopenedSides> {
  const closing: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const one of closing.splice(0).reverse()) await one();
  };
  const datasets: Partial<Record<Role, Dataset>> = {};
  const side = async (role: Role): Promise<Side> => {
    const axis = role === 'test' ? study.tests : study.trainings;
    let source = options[role] ?? (axis.slices.length === 0 ? noSlices(study.record) : undefined);
    if (!source) {
      source = await openAgain(study, role, options);
      closing.push(() => source!.close());
    }
    if (source instanceof Dataset) datasets[role] = source;
    const labels = needsPrediction(study.definition) ? await openNpy(studyPaths(study.dir).predicted(role)) : undefined;
    if (labels) closing.push(() => labels.close());
    const predicted: ReadLabels | undefined = labels && (async (start, end) => (await labels.read(start, end)) as Uint8Array);
    const painted = role === 'test' ? await paintedOf(study) : undefined;
    return { role, source: withClasses(alongAxis(source, axis, study.dir), study.classes), predicted, painted };
  };
  try {
    return { test: await side('test'), train: await side('train'), datasets, close };
  } catch (error) {
    await close();
    throw error;
  }
}

export interface ReopenNetworksOptions {
  /** Run, or folder, in which the checkpoints lie now under the names they had, when not where study.json says. */
  readonly run?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The networks of a study, every checkpoint read and compared again.
 * @throws ERR_TRACIN_CHECKPOINT where a file is not there, or a file is not the one the study was computed with; otherwise as {@link resolveNetworks}
 */
export async function reopenNetworks(study: Study, { run, signal }: ReopenNetworksOptions = {}): Promise<Networks> {
  const { size, output, network, definition } = study.record;
  const recorded = definition.learningRates === 'recorded';
  const place = (file: string): string => placeOf(file, study, run);
  const source = {
    network: network && place(resolve(study.dir, network.file)),
    map: network?.map,
    checkpoints: study.checkpoints.map(({ file }) => place(file)),
    learningRates: recorded ? study.checkpoints.map(({ learningRate }) => learningRate) : undefined,
  };
  const networks = await resolveNetworks(source, definition.learningRates, { size, output, signal });
  const changed = networks.checkpoints.find(({ sha256 }, t) => sha256 !== study.checkpoints[t]!.sha256);
  if (changed) {
    const message = `${changed.file} is not the file that ${study.dir} was computed with: put that one back, or compute the study again`;
    throw new TracinError('ERR_TRACIN_CHECKPOINT', message);
  }
  return networks;
}

function placeOf(file: string, { dir }: Study, run: string | undefined): string {
  const name = basename(file);
  const places = run === undefined ? [file] : [join(run, 'checkpoints', name), join(run, name)];
  const found = places.find((path) => existsSync(path));
  if (found !== undefined) return resolve(found);
  const message = `${places[0]!}, which ${dir} was computed with, is not there: say in which run it is now (--run)`;
  throw new TracinError('ERR_TRACIN_CHECKPOINT', message);
}

async function openAgain({ dir, record }: Study, role: Role, { data, signal }: ReopenOptions): Promise<SliceSource> {
  const { options, fingerprint } = record.datasets[role];
  const parsed = sourceRecordSchema.safeParse(options);
  if (!parsed.success) {
    const message = `${dir} does not say how its ${role === 'test' ? 'test' : 'training'} slices are opened: give them along with the study`;
    throw new TracinError('ERR_TRACIN_STUDY', message);
  }
  if (data !== undefined) return openRecorded(movedTo(data, parsed.data), { role, signal });
  const place = dataPlace(parsed.data);
  assertThere(place, dir);
  const source = await openRecorded(parsed.data, { role, signal });
  if ((await source.fingerprint()) !== fingerprint) {
    await source.close();
    throw new TracinError('ERR_TRACIN_DATA', `${place} has changed since ${dir} was computed from it: compute the study again`);
  }
  return source;
}

/** @throws ERR_TRACIN_DATA where the data of the study in `dir` lie elsewhere by now */
export function assertThere(place: string, dir: string): void {
  if (existsSync(place)) return;
  throw new TracinError('ERR_TRACIN_DATA', `${place}, which ${dir} was computed from, is not there: say where it is now (--data)`);
}

const dataPlace = (record: SourceRecord): string => (record.layout === 'arrays' ? record.images : record.dir);

/** Whether what a study was computed from is where study.json says: its checkpoints, and its data, undefined where it does not say. */
export function isInPlace({ record, tests, checkpoints }: Study): { readonly checkpoints: boolean; readonly data: boolean | undefined } {
  const { test, train } = record.datasets;
  const sources = tests.slices.length === 0 ? [train] : [test, train];
  const records = sources.map(({ options }) => sourceRecordSchema.safeParse(options).data);
  return {
    checkpoints: checkpoints.every(({ file }) => existsSync(file)),
    data: records.includes(undefined) ? undefined : records.every((one) => existsSync(dataPlace(one!))),
  };
}

/** The same data in another folder. */
export function movedTo<R extends SourceRecord>(folder: string, record: R): R {
  const within = (path: string): string => resolve(folder, basename(path));
  if (record.layout !== 'arrays') return { ...record, dir: resolve(folder) };
  return { ...record, images: within(record.images), labels: record.labels && within(record.labels) };
}

function alongAxis(source: SliceSource, { slices }: RegionAxis, dir: string): SliceSource {
  const positions = new Map(source.slices.map((slice, position) => [`${slice.index} ${slice.case}`, position]));
  return chosenSlices(
    source,
    slices.map(({ case: name, index }) => {
      const position = positions.get(`${index} ${name}`);
      if (position !== undefined) return position;
      throw new TracinError('ERR_TRACIN_DATA', `case ${name}, slice ${index} of ${dir} is not in the data: open what it was computed from`);
    }),
  );
}

async function paintedOf(study: Study): Promise<Painted[] | undefined> {
  const mask = study.record.regionMask;
  if (!mask) return undefined;
  const k = mask.class === null ? undefined : study.classes.indexOf(mask.class);
  const painted: Painted[] = [];
  for (const row of study.tests.slices.keys()) painted.push({ mask: (await study.painted(row))!, class: k });
  return painted;
}
