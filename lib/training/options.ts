/** What a training is told, with its defaults: a recipe that learns quickly from few patients. */
import { z } from 'zod';
import { sliceSource, type SliceSource } from '../dataset/slices';
import { openedEngine, type Engine } from '../engine/engine';
import { anyGraph, type Graph } from '../graph/graph';
import {
  CALL,
  anyPath,
  anything,
  callback,
  check,
  either,
  flag,
  has,
  json,
  list,
  optional,
  shape,
  shown,
  text,
  whole,
  type Kinds,
} from '../kinds';
import type { OnProgress } from '../progress';
import type { EpochMetrics } from './metrics';
import { learningRateAt } from './schedule';
import { TracinError } from '../errors';

const positive = z.number().positive();
const count = z.int().min(1);
const share = z.number().min(0).lt(1);

const sgdSchema = z.strictObject({
  kind: z.literal('sgd'),
  learningRate: positive.default(0.01),
  momentum: share.default(0.9),
  weightDecay: z.number().nonnegative().default(0),
});
const adamSchema = z.strictObject({
  kind: z.literal('adam'),
  learningRate: positive.default(3e-3),
  beta1: share.default(0.9),
  beta2: share.default(0.999),
  epsilon: positive.default(1e-8),
  weightDecay: z.number().nonnegative().default(0),
});

/** Everything that, with the data and the network, determines the bytes of the checkpoints. */
export const configurationSchema = z.strictObject({
  /** `dice` is the paper's; see `TrainingLoss` for the formulae. */
  loss: z.enum(['dice', 'cross-entropy', 'dice+ce']).default('dice+ce'),
  /** [C], background first: weights of the cross-entropy; null: all 1. */
  classWeights: z.array(positive).nullable().default(null),
  /** `learningRate` is the base rate that the schedule scales. */
  optimiser: z.discriminatedUnion('kind', [sgdSchema, adamSchema]).prefault({ kind: 'adam' }),
  schedule: z
    .discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('constant') }),
      z.strictObject({ kind: z.literal('step'), every: count.default(10), factor: positive.default(0.1) }),
      z.strictObject({ kind: z.literal('poly'), power: positive.default(0.9) }),
    ])
    .prefault({ kind: 'poly' }),
  epochs: count.default(30),
  /** Slices in one step; the last batch of an epoch may be smaller. */
  batch: count.default(4),
  /** `shift` in pixels along each axis. */
  augmentation: z.strictObject({ flips: z.boolean().default(true), shift: z.int().nonnegative().default(4) }).prefault({}),
  /** A checkpoint after every so many epochs, and always after the last. */
  checkpointEvery: count.default(1),
  /** Of the initial parameters, the order of samples and the augmentation. */
  seed: z.int().min(0).max(0xffffffff).default(1),
});
/** How a network is trained, nothing left open; the form kept in run.json. */
export type Configuration = z.infer<typeof configurationSchema>;

/** A network of the zoo by name; modalities and classes come from the data. */
export interface ZooNetwork {
  readonly name: string;
  /** Channels of the first level. */
  readonly width?: number | undefined;
  readonly levels?: number | undefined;
}

/** The slices a network is trained on and watched with. */
export interface TrainingData {
  readonly train: SliceSource;
  /** Only watched: its Dice goes to metrics.csv. */
  readonly validation?: SliceSource | undefined;
  /** Cases kept for later, recorded in run.json so that predictions and studies of the run know them. */
  readonly test?: readonly string[] | undefined;
  /** How the data was opened (folder, normalisation, crop, slice choice), recorded in run.json as it is; JSON values only. */
  readonly options?: unknown;
}

/** What is trained on which data, into which run folder, and how. */
export interface TrainOptions extends z.input<typeof configurationSchema> {
  readonly data: TrainingData;
  /** A network of the zoo, or any graph with the image input [N, M, …] and logits [N, C, …] whose numbers are the start. */
  readonly network: ZooNetwork | Graph;
  /** The run folder, made when missing. */
  readonly run: string;
  readonly engine: Engine;
  /** Continue the run in the folder (or begin it when the folder holds none). */
  readonly resume?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Stage `train`: steps done, of all steps of all epochs. */
  readonly onProgress?: OnProgress | undefined;
  /** Called after each epoch, once its files are written. */
  readonly onEpoch?: ((metrics: EpochMetrics) => void) | undefined;
  /** One line each, for people. */
  readonly onNotice?: ((line: string) => void) | undefined;
}

/** Of the configuration, whose schema {@link resolveConfiguration} holds them against. */
const keys = Object.keys(configurationSchema.shape) as (keyof Configuration)[];

const OPTIONS: Kinds<TrainOptions> = {
  ...(Object.fromEntries(keys.map((key) => [key, anything])) as Record<keyof Configuration, typeof anything>),
  ...CALL,
  data: shape<TrainingData>({
    train: sliceSource,
    validation: optional(sliceSource),
    test: optional(list(text)),
    options: optional(json),
  }),
  network: either(
    has('nodes'),
    anyGraph,
    shape<ZooNetwork>({ name: text, width: optional(whole(1)), levels: optional(whole(1)) }, '{ name: NETWORK } or a network'),
  ),
  run: anyPath,
  engine: openedEngine,
  resume: optional(flag),
  onEpoch: optional(callback),
  onNotice: optional(callback),
};

/** @throws ERR_TRACIN_USAGE naming the option; of the configuration {@link resolveConfiguration} tells */
export function checkOptions(options: TrainOptions): void {
  check('train', options, OPTIONS);
}

/**
 * The configuration with every default filled in.
 * @throws ERR_TRACIN_USAGE naming the option
 */
export function resolveConfiguration(options: z.input<typeof configurationSchema>, channels: number): Configuration {
  const given = Object.fromEntries(keys.map((key) => [key, options[key]]));
  const parsed = configurationSchema.safeParse(given);
  if (!parsed.success) throw refused(parsed.error.issues[0]!, given);
  const configuration = parsed.data;
  const { classWeights, schedule, optimiser, epochs } = configuration;
  const last = learningRateAt(schedule, optimiser.learningRate, epochs, epochs);
  if (last === 0 || last === Infinity) {
    throw usage('schedule', schedule, `brings the learning rate to ${last} in epoch ${epochs} at the latest: let it change more slowly`);
  }
  if (classWeights && classWeights.length !== channels) {
    throw usage('classWeights', classWeights, `needs ${channels} numbers, background first`);
  }
  if (classWeights && configuration.loss === 'dice') {
    throw usage('classWeights', classWeights, 'only weighs cross-entropy: leave it out or choose loss cross-entropy or dice+ce');
  }
  return configuration;
}

function within(value: unknown, key: PropertyKey): unknown {
  return (value as Record<PropertyKey, unknown> | undefined)?.[key];
}

function refused(issue: z.core.$ZodIssue, given: unknown): TracinError {
  const at = (path: readonly PropertyKey[]): unknown => path.reduce<unknown>(within, given);
  const name = (path: readonly PropertyKey[]): string => path.map(String).join('.');
  if (issue.code !== 'unrecognized_keys') return usage(name(issue.path), at(issue.path), issue.message);
  const path = [...issue.path, issue.keys[0]!];
  const kind = within(at(issue.path), 'kind');
  const remedy = typeof kind === 'string' ? `${kind} has no such setting: leave it out or choose another kind` : 'is unknown: leave it out';
  return usage(name(path), at(path), remedy);
}

function usage(option: string, value: unknown, what: string): TracinError {
  return new TracinError('ERR_TRACIN_USAGE', `training option ${option} ${shown(value)}: ${what}`);
}
