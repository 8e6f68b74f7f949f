import { resolve } from 'node:path';
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { CaseInfo } from '../../dataset/dataset';
import { recordOf } from '../../dataset/record';
import { assertSplit, splitByPatient, type Split } from '../../dataset/split';
import { openEngine } from '../../engine';
import { TracinError } from '../../errors';
import { readOnnx } from '../../graph/onnx';
import type { EpochMetrics } from '../../training/metrics';
import { configurationSchema, type Configuration, type TrainOptions } from '../../training/options';
import { readRunFile, type RunFile } from '../../training/run';
import { train } from '../../training/train';
import { NETWORKS } from '../../../models/registry';
import { decimal, listOf, words, wholeNumber } from '../arguments';
import { example, type Context } from '../context';
import { addDatasetFlags, folderOptions, openFolder, recordedIn, type DatasetFlags } from '../dataset-options';
import { addEngineFlags, addPrecisionFlag, type EngineFlags, type PrecisionFlags } from '../engine-options';
import { addSplitFlags, chosenSplit, NO_SPLIT, type SplitFlags } from '../split-options';
import { usage } from '../usage';

type Flags = DatasetFlags &
  SplitFlags &
  EngineFlags &
  PrecisionFlags & {
    readonly run: string;
    readonly resume?: true;
    readonly network?: string;
    readonly width?: number;
    readonly levels?: number;
    readonly shares: number[];
    readonly loss?: Configuration['loss'];
    readonly classWeights?: number[];
    readonly optimiser?: Configuration['optimiser']['kind'];
    readonly learningRate?: number;
    readonly momentum?: number;
    readonly weightDecay?: number;
    readonly schedule?: Configuration['schedule']['kind'];
    readonly stepEvery?: number;
    readonly stepFactor?: number;
    readonly polyPower?: number;
    readonly epochs?: number;
    readonly batch?: number;
    readonly flips: boolean;
    readonly shift?: number;
    readonly checkpointEvery?: number;
    readonly seed?: number;
  };

/** What --network takes. */
const CHOICE = `${NETWORKS.join(', ')}, or name an ONNX file (.onnx)`;
const DEFAULTS = configurationSchema.parse({});
const count = wholeNumber({ least: 1 });
const rate = decimal({ least: 0, above: true });

export function addTrain(program: Command, context: Context): void {
  const command = program
    .command('train')
    .summary('train a network into a run folder')
    .description('Trains a network; writes run.json, a checkpoint of each epoch and metrics.csv into the run folder.')
    .requiredOption('--run <dir>', 'run folder to write')
    .option('--network <name>', `${NETWORKS.join(', ')}, or an ONNX file to start from`)
    .option('--width <channels>', "channels of the first level (default: the paper's)", count)
    .option('--levels <n>', "resolutions (default: the paper's)", count);
  addSplitFlags(addDatasetFlags(command))
    .option('--validation <cases>', 'cases whose Dice is watched, separated by commas', words)
    .addOption(
      new Option('--shares <a,b,c>', 'without named cases: shares of patients for training, validation and test')
        .argParser(shares)
        .default([0.7, 0.1, 0.2], '0.7,0.1,0.2'),
    )
    .addOption(new Option('--loss <loss>', `what is minimised (default: ${DEFAULTS.loss})`).choices(['dice', 'cross-entropy', 'dice+ce']))
    .option('--class-weights <w,…>', 'of the cross-entropy, background first (default: all 1)', listOf(rate))
    .addOption(new Option('--optimiser <name>', `how (default: ${DEFAULTS.optimiser.kind})`).choices(['sgd', 'adam']))
    .option('--learning-rate <η>', 'base rate (default: 0.003 for adam, 0.01 for sgd)', rate)
    .option('--momentum <μ>', 'of sgd (default: 0.9)', decimal({ least: 0, most: 1 }))
    .option('--weight-decay <λ>', 'of kernels (default: 0)', decimal({ least: 0 }))
    .addOption(
      new Option('--schedule <name>', `how the learning rate falls (default: ${DEFAULTS.schedule.kind})`).choices([
        'constant',
        'step',
        'poly',
      ]),
    )
    .option('--step-every <epochs>', 'with --schedule step (default: 10)', count)
    .option('--step-factor <f>', 'with --schedule step (default: 0.1)', rate)
    .option('--poly-power <p>', 'with --schedule poly (default: 0.9)', rate)
    .option('--epochs <n>', `times through the training slices (default: ${DEFAULTS.epochs})`, count)
    .option('--batch <slices>', `slices in one step (default: ${DEFAULTS.batch})`, count)
    .option('--no-flips', 'do not flip slices at random')
    .option('--shift <pixels>', `shift slices at random by up to so many pixels (default: ${DEFAULTS.augmentation.shift})`, wholeNumber())
    .option(
      '--checkpoint-every <epochs>',
      `write one every so many epochs, and after the last (default: ${DEFAULTS.checkpointEvery})`,
      count,
    )
    .option('--seed <n>', `of parameters, order, augmentation and the dealt split (default: ${DEFAULTS.seed})`, wholeNumber())
    .option('--resume', 'go on with the run in the folder; what it was told then need not be told again');
  addPrecisionFlag(addEngineFlags(command))
    .addHelpText(
      'after',
      example('tracin-seg train --data BraTS --network attention-unet --run run', 'tracin-seg train --run run --resume'),
    )
    .action((flags: Flags) => runTraining(flags, context));
}

function shares(text: string): number[] {
  const values = listOf(decimal({ least: 0, most: 1 }))(text);
  if (values.length !== 3 || Math.abs(values.reduce((a, b) => a + b) - 1) > 1e-9) {
    throw new InvalidArgumentError('Expected three shares that sum to 1, such as 0.7,0.1,0.2.');
  }
  return values;
}

async function runTraining(flags: Flags, { signal, reporter }: Context): Promise<void> {
  const { onProgress } = reporter;
  const before = flags.resume ? await readRunFile(flags.run) : undefined;
  if (flags.resume && !before && flags.data === undefined) {
    throw usage(`${resolve(flags.run)} holds no run to go on with: name the folder of one, or begin it with --data and --network`);
  }
  const options = folderOptions(flags, recordedIn(before));
  const network = await networkOf(flags, before);
  const { engine, notes } = await openEngine(flags.device ?? (before?.engine.name as Flags['device']) ?? 'auto', {
    threads: flags.threads,
    precision: flags.precision ?? before?.engine.precision,
  });
  notes.forEach((line) => reporter.note(line));
  const dataset = await openFolder(options, { signal, reporter });
  try {
    const split = await splitOf(flags, dataset.cases, before);
    if (split.train.length === 0) throw new TracinError('ERR_TRACIN_DATA', 'no training cases: name them with --train or --split');
    const run = await train({
      ...configurationOf(flags, before),
      data: {
        train: dataset.subset(split.train),
        validation: split.validation.length > 0 ? dataset.subset(split.validation) : undefined,
        test: split.test,
        options: recordOf(options, dataset),
      },
      network,
      run: flags.run,
      engine,
      resume: flags.resume,
      signal,
      onProgress,
      onNotice: (line) => reporter.note(line),
      onEpoch: (metrics) => reporter.note(epochLine(metrics, dataset.classes)),
    });
    reporter.note(`${run.checkpoints.length} checkpoints in ${run.dir}`);
  } finally {
    await dataset.close();
  }
}

async function networkOf(flags: Flags, before: RunFile | undefined): Promise<TrainOptions['network']> {
  const name = flags.network ?? before?.network.name;
  if (name === undefined) throw usage(`no network: choose one with --network from ${CHOICE}`);
  if (!name.endsWith('.onnx')) {
    if (!NETWORKS.some((one) => one === name)) throw usage(`unknown network ${name}: choose from ${CHOICE}`);
    return { name, width: flags.width ?? before?.network.width, levels: flags.levels ?? before?.network.levels };
  }
  if (flags.width ?? flags.levels) throw usage(`--width and --levels have no meaning for ${name}: leave them out`);
  return readOnnx(name);
}

async function splitOf(flags: Flags, cases: readonly CaseInfo[], before: RunFile | undefined): Promise<Split> {
  const named = flags.split ?? flags.train ?? flags.validation ?? flags.test;
  const split = await chosenSplit(flags, cases, before?.split ?? (named ? NO_SPLIT : dealt(cases, flags)));
  assertSplit(split, 'the split', cases);
  return split;
}

/** Labelled cases by patient. */
function dealt(cases: readonly CaseInfo[], { shares: [train, validation, test], seed = DEFAULTS.seed }: Flags): Split {
  const labelled = cases.filter((one) => one.labelled);
  return splitByPatient(labelled, { train: train!, validation: validation!, test: test!, seed });
}

/** As `train` takes them; it checks every value. */
type Settings = Pick<TrainOptions, keyof Configuration>;

/** What the flags leave open is as the run began, or the default. */
function configurationOf(flags: Flags, before: RunFile | undefined): Settings {
  const { loss, classWeights, epochs, batch, checkpointEvery, seed } = flags;
  const { learningRate, momentum, weightDecay, stepEvery: every, stepFactor: factor, polyPower: power } = flags;
  const present = before?.training ?? DEFAULTS;
  const told = {
    loss,
    classWeights,
    optimiser: choice(flags.optimiser, { learningRate, momentum, weightDecay }, present.optimiser),
    schedule: choice(flags.schedule, { every, factor, power }, present.schedule),
    epochs,
    batch,
    augmentation: { ...present.augmentation, ...given({ flips: flags.flips ? undefined : false, shift: flags.shift }) },
    checkpointEvery,
    seed,
  };
  return { ...before?.training, ...given(told) };
}

/** One of several kinds with its own settings; settings alone change the kind there is. */
function choice<T extends { readonly kind: string }>(kind: T['kind'] | undefined, settings: object, present: T): unknown {
  const told = given(settings);
  if (kind === undefined && Object.keys(told).length === 0) return undefined;
  return kind === undefined || kind === present.kind ? { ...present, ...told } : { kind, ...told };
}

function given(values: object): object {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

function epochLine({ epoch, trainLoss, trainDice, validationDice }: EpochMetrics, classes: readonly string[]): string {
  const dice = validationDice.some((value) => value !== null) ? validationDice : trainDice;
  const words = classes.map((name, k) => `${name} ${dice[k]?.toFixed(3) ?? '-'}`).join(', ');
  return `epoch ${epoch}: loss ${trainLoss.toFixed(4)}, ${dice === validationDice ? 'validation' : 'train'} Dice ${words}`;
}
