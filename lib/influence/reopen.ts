/** What a study was computed from, opened again: its networks and slices, for whatever is asked about it later. */
import { resolve } from 'node:path';
import { openRecorded, sourceRecordSchema } from '../dataset/record';
import type { SliceSource } from '../dataset/slices';
import { chosenSlices, noSlices, withClasses } from '../dataset/views';
import { TracinError } from '../errors';
import { openNpy } from '../npy';
import type { ReadLabels, Role, Side } from './batches';
import { needsPrediction } from './definition';
import { studyPaths, type RegionAxis } from './folder';
import { resolveNetworks, type Networks } from './networks';
import type { Painted } from './regions';
import type { Study } from './study';

export interface ReopenOptions {
  /** In place of what study.json says, e.g. where the study was computed from a source of the caller's own. Stays the caller's to close. */
  readonly test?: SliceSource | undefined;
  readonly train?: SliceSource | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ReopenedSides extends Readonly<Record<Role, Side>> {
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
  const side = async (role: Role): Promise<Side> => {
    const axis = role === 'test' ? study.tests : study.trainings;
    let source = options[role] ?? (axis.slices.length === 0 ? noSlices(study.record) : undefined);
    if (!source) {
      source = await openAgain(study, role, options.signal);
      closing.push(() => source!.close());
    }
    const labels = needsPrediction(study.definition) ? await openNpy(studyPaths(study.dir).predicted(role)) : undefined;
    if (labels) closing.push(() => labels.close());
    const predicted: ReadLabels | undefined = labels && (async (start, end) => (await labels.read(start, end)) as Uint8Array);
    const painted = role === 'test' ? await paintedOf(study) : undefined;
    return { role, source: withClasses(alongAxis(source, axis, study.dir), study.classes), predicted, painted };
  };
  try {
    return { test: await side('test'), train: await side('train'), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * The networks of a study, every checkpoint read and compared again.
 * @throws ERR_TRACIN_CHECKPOINT where a file is not the one the study was computed with; otherwise as {@link resolveNetworks}
 */
export async function reopenNetworks(study: Study, signal?: AbortSignal): Promise<Networks> {
  const { size, output, network, definition } = study.record;
  const recorded = definition.learningRates === 'recorded';
  const source = {
    network: network && resolve(study.dir, network.file),
    map: network?.map,
    checkpoints: study.checkpoints.map(({ file }) => file),
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

async function openAgain({ dir, record }: Study, role: Role, signal: AbortSignal | undefined): Promise<SliceSource> {
  const { options, fingerprint } = record.datasets[role];
  const parsed = sourceRecordSchema.safeParse(options);
  if (!parsed.success) {
    const message = `${dir} does not say how its ${role === 'test' ? 'test' : 'training'} slices are opened: give them along with the study`;
    throw new TracinError('ERR_TRACIN_STUDY', message);
  }
  const source = await openRecorded(parsed.data, { role, signal });
  if ((await source.fingerprint()) !== fingerprint) {
    await source.close();
    const place = parsed.data.layout === 'arrays' ? parsed.data.images : parsed.data.dir;
    throw new TracinError('ERR_TRACIN_DATA', `${place} has changed since ${dir} was computed from it: compute the study again`);
  }
  return source;
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
