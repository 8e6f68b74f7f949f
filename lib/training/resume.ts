/** Whether a folder may be trained into, and from where. */
import { TracinError } from '../errors';
import { createFile } from '../files';
import { toJson } from '../json';
import { readMetrics, type EpochMetrics } from './metrics';
import { inspectFolder, readRunFile, runPaths, type RunFile } from './run';
import { readEpoch, readState, type TrainingState } from './state';

export interface Beginning {
  /** undefined at the very start. */
  readonly state: TrainingState | undefined;
  /** Of the epochs that `state` has behind it. */
  readonly metrics: EpochMetrics[];
}

/**
 * Takes the folder for a run: writes run.json into a new one, or checks that the one there is the same and reads how far it came.
 * @throws ERR_TRACIN_USAGE the folder holds a run and `resume` is not set, or the configuration differs (naming the field);
 *   ERR_TRACIN_STUDY what is there is damaged
 */
export async function beginRun(dir: string, file: RunFile, resume: boolean): Promise<Beginning> {
  const paths = runPaths(dir);
  const { run, remains } = await inspectFolder(dir);
  if (run && !resume) throw taken(dir);
  if (!run && remains !== undefined) {
    throw new TracinError('ERR_TRACIN_USAGE', `${remains} is left of a run without run.json: move it away or choose another folder`);
  }
  if (!run) {
    if (!(await createFile(paths.run, toJson(file)))) throw taken(dir); // by a process that began at the same time
    return { state: undefined, metrics: [] };
  }
  assertSameRun(run, file, paths.run);
  const state = await readState(paths.state);
  const metrics = await readMetrics(paths.metrics, file.classes);
  const epochs = state?.epoch ?? 0;
  // Metrics are written before the state, so a kill leaves them level or one epoch ahead.
  if (metrics.length !== epochs && metrics.length !== epochs + 1) {
    const message = `${paths.state} stands after epoch ${epochs} but ${paths.metrics} has ${metrics.length}`;
    throw new TracinError('ERR_TRACIN_STUDY', `${message}: put the missing file back, or train again into another folder`);
  }
  return { state, metrics: metrics.slice(0, epochs) };
}

function taken(dir: string): TracinError {
  return new TracinError('ERR_TRACIN_USAGE', `${dir} already holds a run: continue it with resume (--resume) or choose another folder`);
}

/**
 * What an epoch left is written where the one before it left off.
 * @throws ERR_TRACIN_STUDY for a folder that stands elsewhere: it was removed, or another process trains into it
 */
export async function assertStandsAfter(dir: string, epochs: number): Promise<void> {
  const paths = runPaths(dir);
  const run = await readRunFile(dir);
  const stands = await readEpoch(paths.state);
  if (run && stands === epochs) return;
  const found = run ? `${paths.state} stands after epoch ${stands}` : `${paths.run} is gone`;
  const advice =
    'another process trains into the folder, or has removed it: leave it to that one, or go on with --resume when it has ended';
  throw new TracinError('ERR_TRACIN_STUDY', `${found}, while epoch ${epochs + 1} was trained: ${advice}`);
}

/** Whatever decides the bytes must be the same; the version, the words about the engine and where the data and the network lie may differ. */
function assertSameRun(before: RunFile, now: RunFile, path: string): void {
  const sameNetwork = before.network.sha256 === now.network.sha256;
  // The training before the network, whose numbers follow from its seed.
  const deciding = ({ engine, network, classes, modalities, size, training, data, split }: RunFile): unknown => {
    const options = isObject(data.options) ? { ...data.options, dir: undefined } : data.options;
    const { name, precision } = engine;
    return JSON.parse(
      JSON.stringify({
        engine: name,
        precision,
        training,
        network: sameNetwork ? undefined : network,
        classes,
        modalities,
        size,
        data: { ...data, options },
        split,
      }),
    );
  };
  const difference = firstDifference(deciding(before), deciding(now), '');
  if (!difference) return;
  const { field, was, is } = difference;
  const message = `${field} is ${JSON.stringify(is)} now but ${JSON.stringify(was)} in ${path}`;
  throw new TracinError('ERR_TRACIN_USAGE', `cannot resume: ${message}: give the same or train into another folder`);
}

/** The first field, by its path, in which two JSON values differ. */
function firstDifference(was: unknown, is: unknown, field: string): { field: string; was: unknown; is: unknown } | undefined {
  if (!isObject(was) || !isObject(is)) return Object.is(was, is) ? undefined : { field, was, is };
  for (const key of new Set([...Object.keys(was), ...Object.keys(is)])) {
    const found = firstDifference(was[key], is[key], field ? `${field}.${key}` : key);
    if (found) return found;
  }
  return undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
