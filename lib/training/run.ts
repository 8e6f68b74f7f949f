/**
 * The run folder.
 *   run.json                     configuration, network, data, split: written once, before the first step
 *   checkpoints/epoch-003.onnx   complete networks
 *   metrics.csv                  one row for each finished epoch
 *   state.safetensors            parameters and optimiser slots after the last finished epoch, for resuming
 * After an epoch they are written in this order, each in one rename, so `metrics.csv` never names a checkpoint that is not there
 * and what lies beyond `state.safetensors` is made again, byte by byte the same, when the run is resumed.
 */
import { access } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { TracinError } from '../errors';
import { engineSchema } from '../engine/record';
import { readJson } from '../json';
import { anyPath, check } from '../kinds';
import { readMetrics, type EpochMetrics } from './metrics';
import { configurationSchema, type Configuration } from './options';

export const FORMAT_VERSION = 1;

const names = z.array(z.string().min(1));
const sourceSchema = z.strictObject({ fingerprint: z.string().min(1), slices: z.int().positive() });

export const runSchema = z.strictObject({
  formatVersion: z.literal(FORMAT_VERSION),
  /** Package that made it, e.g. `tracin-seg 0.1.0`. */
  tool: z.string(),
  engine: engineSchema,
  network: z.strictObject({
    /** Of the zoo, or the file that the graph was read from. */
    name: z.string(),
    width: z.int().positive().optional(),
    levels: z.int().positive().optional(),
    /** Of the network before the first step, as an ONNX file. */
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
  }),
  /** Foreground classes in label order. */
  classes: names.min(1),
  modalities: names.min(1),
  /** [H, W] */
  size: z.array(z.int().positive()).min(1),
  training: configurationSchema,
  data: z.strictObject({
    train: sourceSchema,
    validation: sourceSchema.nullable(),
    /** How the data was opened. */
    options: z.json(),
  }),
  /** Cases. */
  split: z.strictObject({ train: names, validation: names, test: names }),
});
export type RunFile = z.infer<typeof runSchema>;

/** A checkpoint of a run, with the learning rate that influence weighs it by. */
export interface RunCheckpoint {
  readonly epoch: number;
  /** Absolute. */
  readonly file: string;
  /** η in force in that epoch. */
  readonly learningRate: number;
}

/** A run as its folder holds it. */
export interface Run extends RunFile {
  /** Absolute. */
  readonly dir: string;
  /** Of the finished epochs, in order. */
  readonly checkpoints: readonly RunCheckpoint[];
  readonly metrics: readonly EpochMetrics[];
  /** Whether every epoch has been trained. */
  readonly finished: boolean;
}

export function runPaths(dir: string) {
  return {
    run: join(dir, 'run.json'),
    metrics: join(dir, 'metrics.csv'),
    state: join(dir, 'state.safetensors'),
    checkpoints: join(dir, 'checkpoints'),
    checkpoint: (epoch: number) => join(dir, 'checkpoints', `epoch-${String(epoch).padStart(3, '0')}.onnx`),
  };
}

export function isCheckpointDue(epoch: number, { checkpointEvery, epochs }: Configuration): boolean {
  return epoch % checkpointEvery === 0 || epoch === epochs;
}

/** run.json, checked; undefined when the folder has none. */
export async function readRunFile(dir: string): Promise<RunFile | undefined> {
  return readJson(runPaths(dir).run, runSchema, FORMAT_VERSION, 'the run is damaged, train it again');
}

/**
 * Opens a run, finished or not.
 * @throws ERR_TRACIN_STUDY when run.json or metrics.csv is missing or damaged, or a checkpoint file is missing
 */
export async function openRun(dir: string): Promise<Run> {
  check('openRun', { dir }, { dir: anyPath });
  const root = resolve(dir);
  const file = await readRunFile(root);
  const paths = runPaths(root);
  if (!file) throw new TracinError('ERR_TRACIN_STUDY', `${paths.run} does not exist: name a folder that train has written`);
  const metrics = await readMetrics(paths.metrics, file.classes);
  const checkpoints = metrics
    .filter(({ epoch }) => isCheckpointDue(epoch, file.training))
    .map(({ epoch, learningRate }) => ({ epoch, learningRate, file: paths.checkpoint(epoch) }));
  for (const { file: checkpoint } of checkpoints) {
    await access(checkpoint).catch((cause: unknown) => {
      throw new TracinError('ERR_TRACIN_STUDY', `${checkpoint} is missing: put it back or train the run again`, { cause });
    });
  }
  return { ...file, dir: root, checkpoints, metrics, finished: metrics.length === file.training.epochs };
}

/** What a run left in a folder: its run.json, or whether other files of a run lie there without one. */
export async function inspectFolder(dir: string): Promise<{ run: RunFile | undefined; remains: string | undefined }> {
  const run = await readRunFile(dir);
  const paths = runPaths(dir);
  let remains: string | undefined;
  for (const path of [paths.checkpoints, paths.metrics, paths.state]) {
    const found = await access(path).then(
      () => true,
      () => false,
    );
    if (found) remains ??= path;
  }
  return { run, remains };
}
