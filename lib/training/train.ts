/** The training loop: epochs of steps, and after each epoch its Dice, checkpoint and files. */
import { resolve } from 'node:path';
import type { SliceSource } from '../dataset/slices';
import type { Optimiser, Program } from '../engine/engine';
import { engineRecord } from '../engine/record';
import { TracinError, throwIfAborted } from '../errors';
import { replaceFile } from '../files';
import { withInitializers } from '../graph/checkpoint';
import type { Graph } from '../graph/graph';
import { writeOnnx } from '../graph/onnx';
import { VERSION } from '../version';
import { epochBatches } from './batches';
import { evaluateDice, watchedPositions } from './evaluate';
import { encodeMetrics, type EpochMetrics } from './metrics';
import { keepSlices } from './kept-slices';
import { startingNetwork } from './network';
import { checkOptions, resolveConfiguration, type Configuration, type TrainingData, type TrainOptions } from './options';
import { assertStandsAfter, beginRun } from './resume';
import { FORMAT_VERSION, isCheckpointDue, openRun, runPaths, type Run, type RunFile } from './run';
import { learningRateAt } from './schedule';
import { inOwnPrecision, isFiniteState, takeState, writeState } from './state';

/**
 * Trains a network into a run folder. The defaults (dice+ce, Adam at 3e-3 falling by a poly schedule, batches of 4, flips and small shifts) learn
 * quickly from little data; the paper's loss is `loss: 'dice'`.
 * The same options, data and engine (with as many threads) give the same bytes, also through any number of kills and resumptions.
 * Train Dice is taken over evenly spread training slices, at least 64 and as many as validation has; validation Dice over all of them.
 * @throws ERR_TRACIN_USAGE an option that cannot be meant, a folder that holds another run, a loss that is no longer finite;
 *   ERR_TRACIN_DATA an empty or unlabelled split, a size that does not fit the network, data that change meanwhile;
 *   ERR_TRACIN_STUDY a folder that is damaged, or that another process trains into; ERR_TRACIN_ABORTED the signal.
 *   The checkpoints of finished epochs stay in every case.
 */
export async function train(options: TrainOptions): Promise<Run> {
  checkOptions(options);
  options = { ...options }; // their owner may change them meanwhile
  const { data, engine, signal } = options;
  const run = resolve(options.run); // the process may move on while it trains
  throwIfAborted(signal);
  checkData(data);
  const configuration = resolveConfiguration(options, data.train.classes.length + 1);
  const notKept = keepSlices(data);
  if (notKept !== undefined) options.onNotice?.(notKept);
  const { graph, description } = await startingNetwork(options.network, data.train, configuration.seed);
  const file: RunFile = {
    formatVersion: FORMAT_VERSION,
    tool: `tracin-seg ${VERSION}`,
    engine: engineRecord(engine),
    network: description,
    classes: [...data.train.classes],
    modalities: [...data.train.modalities],
    size: [...data.train.size],
    training: configuration,
    data: {
      train: await describeSource(data.train),
      validation: data.validation ? await describeSource(data.validation) : null,
      options: (data.options ?? null) as RunFile['data']['options'],
    },
    split: { train: casesOf(data.train), validation: data.validation ? casesOf(data.validation) : [], test: [...(data.test ?? [])] },
  };
  const program = await engine.compile(graph, { size: data.train.size });
  try {
    await new Training(run, file, graph, program, options).run();
  } finally {
    program.dispose();
  }
  return openRun(run);
}

class Training {
  readonly #paths: ReturnType<typeof runPaths>;
  readonly #configuration: Configuration;
  readonly #steps: number;

  constructor(
    readonly dir: string,
    readonly file: RunFile,
    readonly graph: Graph,
    readonly program: Program,
    readonly options: TrainOptions,
  ) {
    this.#paths = runPaths(dir);
    this.#configuration = file.training;
    this.#steps = Math.ceil(options.data.train.slices.length / file.training.batch);
  }

  async run(): Promise<void> {
    const { state, metrics } = await beginRun(this.dir, this.file, this.options.resume ?? false);
    await this.program.load(state ? inOwnPrecision(this.graph, state.network) : this.graph);
    if (state) await this.program.restoreOptimiserState(state.optimiser);
    for (let epoch = metrics.length + 1; epoch <= this.#configuration.epochs; epoch++) {
      const trainLoss = await this.#trainEpoch(epoch);
      metrics.push(await this.#evaluate(epoch, trainLoss));
      await this.#write(epoch, metrics);
      this.options.onEpoch?.(metrics.at(-1)!);
    }
  }

  #learningRate(epoch: number): number {
    const { schedule, optimiser, epochs } = this.#configuration;
    return learningRateAt(schedule, optimiser.learningRate, epoch, epochs);
  }

  /** @returns mean loss of the epoch's samples */
  async #trainEpoch(epoch: number): Promise<number> {
    const { data, signal, onProgress } = this.options;
    const { loss: kind, classWeights, batch, augmentation, seed, epochs } = this.#configuration;
    const loss = { kind, ...(classWeights && { classWeights }) };
    let step = (epoch - 1) * this.#steps;
    let sum = 0;
    for await (const samples of epochBatches(data.train, { batch, augmentation, seed, epoch, signal })) {
      throwIfAborted(signal);
      step++;
      const value = await this.program.step(samples, loss, this.#optimiser(epoch, step), { signal });
      if (!Number.isFinite(value)) throw this.#diverged(epoch);
      sum += value * samples.positions.length;
      onProgress?.({ stage: 'train', done: step, total: epochs * this.#steps });
    }
    return sum / data.train.slices.length;
  }

  #optimiser(epoch: number, step: number): Optimiser {
    const { optimiser } = this.#configuration;
    const learningRate = this.#learningRate(epoch);
    return optimiser.kind === 'adam' ? { ...optimiser, learningRate, step } : { ...optimiser, learningRate };
  }

  #diverged(epoch: number): TracinError {
    const message = `the loss is no longer finite in epoch ${epoch} at learning rate ${this.#learningRate(epoch)}`;
    return new TracinError('ERR_TRACIN_USAGE', `${message}: lower it (${this.#kept(epoch)})`);
  }

  #kept(epoch: number): string {
    return epoch > 1 ? `what was trained up to epoch ${epoch - 1} is kept in ${this.dir}` : 'no epoch was finished';
  }

  /** @throws ERR_TRACIN_DATA where what the epoch has read need not be what run.json says */
  async #assertSameData(epoch: number): Promise<void> {
    const { data } = this.options;
    for (const part of ['train', 'validation'] as const) {
      if ((await data[part]?.fingerprint()) === this.file.data[part]?.fingerprint) continue;
      const message = `the ${part === 'train' ? 'training' : 'validation'} data changed in epoch ${epoch}`;
      throw new TracinError('ERR_TRACIN_DATA', `${message}: put them back and resume, or train into another folder (${this.#kept(epoch)})`);
    }
  }

  async #evaluate(epoch: number, trainLoss: number): Promise<EpochMetrics> {
    const { data, signal } = this.options;
    const { train, validation } = data;
    const options = { batch: this.#configuration.batch, signal };
    const watched = watchedPositions(train.slices.length, validation?.slices.length ?? 0);
    const trainDice = await evaluateDice(this.program, train, watched, options);
    const validationDice = validation
      ? await evaluateDice(this.program, validation, [...validation.slices.keys()], options)
      : train.classes.map(() => null);
    return { epoch, learningRate: this.#learningRate(epoch), trainLoss, trainDice, validationDice };
  }

  /** In this order, see run.ts. */
  async #write(epoch: number, metrics: readonly EpochMetrics[]): Promise<void> {
    const state = await takeState(this.program, epoch);
    if (!(await isFiniteState(state))) throw this.#diverged(epoch);
    await this.#assertSameData(epoch);
    await assertStandsAfter(this.dir, epoch - 1);
    if (isCheckpointDue(epoch, this.#configuration)) {
      const metadata = new Map([
        ['tracin.epoch', String(epoch)],
        ['tracin.learning_rate', String(this.#learningRate(epoch))],
        ['tracin.network', this.graph.name],
      ]);
      await writeOnnx(this.#paths.checkpoint(epoch), withInitializers(this.graph, state.network, metadata));
    }
    await replaceFile(this.#paths.metrics, encodeMetrics(this.file.classes, metrics));
    await writeState(this.#paths.state, state);
  }
}

/** Cases in the order in which their slices come. */
function casesOf(source: SliceSource): string[] {
  return [...new Set(source.slices.map((slice) => slice.case))];
}

async function describeSource(source: SliceSource): Promise<{ fingerprint: string; slices: number }> {
  return { fingerprint: await source.fingerprint(), slices: source.slices.length };
}

function checkData({ train, validation }: TrainingData): void {
  for (const [split, source] of [
    ['training', train],
    ['validation', validation],
  ] as const) {
    if (!source) continue;
    if (source.slices.length === 0) throw data(`the ${split} split is empty: give it at least one case`);
    if (!source.labelled) throw data(`the ${split} split has no labels: give cases with label files`);
    for (const [what, a, b] of [
      ['classes', train.classes, source.classes],
      ['modalities', train.modalities, source.modalities],
      ['size', train.size, source.size],
    ] as const) {
      if (a.join() !== b.join())
        throw data(`training and validation differ in ${what} (${a.join(', ')} and ${b.join(', ')}): open both alike`);
    }
  }
}

function data(message: string): TracinError {
  return new TracinError('ERR_TRACIN_DATA', message);
}
