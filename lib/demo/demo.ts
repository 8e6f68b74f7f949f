/** Everything once, on synthetic patients: train two networks, predict, compute influence, rank, explain, test, and write a page about it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openDataset, type Dataset } from '../dataset/dataset';
import { writePhantom } from '../dataset/phantom';
import { readSplit, type Split } from '../dataset/split';
import { openEngine, type DeviceName } from '../engine';
import type { Engine } from '../engine/engine';
import { throwIfAborted } from '../errors';
import { replaceFile } from '../files';
import { serialiseOnnx } from '../graph/onnx';
import { predict, type Prediction } from '../inference/predict';
import { openSession } from '../inference/session';
import { computeInfluence } from '../influence/run';
import type { OnProgress } from '../progress';
import { buildReport, renderPage, type Report, type ReportSubject } from '../report';
import { train } from '../training/train';
import { VERSION } from '../version';
import { buildNetwork } from '../../models/registry';
import { claimFolder, demoPaths } from './folder';
import { lookInto } from './look-into';
import { RECIPE, trainingOf, type DemoNetwork, type Recipe } from './recipe';

export interface DemoOptions {
  /** Empty, new, or of an earlier demo, which is gone on with. */
  readonly out: string;
  /** Default auto. */
  readonly device?: DeviceName | undefined;
  /** CPU threads; one for each core when absent. */
  readonly threads?: number | undefined;
  /** In place of {@link RECIPE}. */
  readonly recipe?: Recipe | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Stages are named `NETWORK: stage` where they belong to a network. */
  readonly onProgress?: OnProgress | undefined;
  /** One line each, for people. */
  readonly onNotice?: ((line: string) => void) | undefined;
}

export interface Demo {
  /** The page, absolute. */
  readonly page: string;
  readonly report: Report;
}

/** Training slices, test slices, and whole test volumes. */
interface Slices {
  readonly train: Dataset;
  readonly validation: Dataset;
  readonly test: Dataset;
  readonly volumes: Dataset;
}

/**
 * @throws ERR_TRACIN_USAGE a folder with other things in it; ERR_TRACIN_ENGINE onnxruntime-node is missing (told before the work starts)
 */
export async function runDemo(options: DemoOptions): Promise<Demo> {
  const { recipe = RECIPE, threads, signal, onProgress, onNotice = () => undefined } = options;
  throwIfAborted(signal);
  await assertInference(recipe);
  const { engine, notes } = await openEngine(options.device ?? 'auto', { threads });
  const paths = demoPaths(options.out);
  const state = await claimFolder(paths.dir, { tool: `tracin-seg ${VERSION}`, engine: engine.name, recipe });
  notes.forEach(onNotice);
  if (state === 'resumed') onNotice(`going on with the demo in ${paths.dir}`);
  if (state === 'restarted') onNotice(`${paths.dir} held a demo of another version: starting afresh`);

  const split = await patients(paths.patients, recipe, options);
  const slices = await openSlices(paths.patients, split, recipe, options);
  try {
    const subjects: ReportSubject[] = [];
    for (const network of recipe.networks) subjects.push(await study(network, slices, engine, { ...options, recipe }));
    onNotice('writing the page');
    const report = await buildReport({
      title: 'Which training patients shaped these predictions?',
      patients: 3, // the best, the middle and the worst predicted
      cohort: cohortWords(recipe, split, slices),
      subjects,
      signal,
      onProgress,
    });
    await replaceFile(paths.page, await renderPage(report));
    return { page: paths.page, report };
  } finally {
    for (const source of Object.values(slices) as Dataset[]) await source.close();
  }
}

/** Minutes of training should not end in the news that predictions cannot be made here. */
async function assertInference({ networks }: Recipe): Promise<void> {
  const { network, width, levels } = networks[0]!;
  const graph = buildNetwork({ network, width, levels });
  const session = await openSession({
    source: network,
    model: serialiseOnnx(graph),
    provider: 'cpu',
    threads: 1,
    outputs: graph.outputs.map(({ name }) => name),
  });
  await session.close();
}

async function patients(dir: string, { cases, size, seed }: Recipe, { signal, onProgress, onNotice }: DemoOptions): Promise<Split> {
  // phantom.json is the last file to be written.
  if (!existsSync(join(dir, 'phantom.json'))) {
    onNotice?.(`drawing ${cases} synthetic patients`);
    await writePhantom(dir, { cases, size, seed, signal, onProgress });
  }
  return readSplit(join(dir, 'split.json'));
}

async function openSlices(
  dir: string,
  split: Split,
  { size, trainSlices, testSlices }: Recipe,
  { signal, onProgress }: DemoOptions,
): Promise<Slices> {
  const open = (cases: readonly string[], slices: Recipe['trainSlices']): Promise<Dataset> =>
    openDataset({ dir, cases, size, slices, signal, onProgress });
  return {
    train: await open(split.train, trainSlices),
    validation: await open(split.validation, trainSlices),
    test: await open(split.test, testSlices),
    volumes: await open(split.test, 'all'),
  };
}

async function study(
  network: DemoNetwork,
  slices: Slices,
  engine: Engine,
  options: DemoOptions & { readonly recipe: Recipe },
): Promise<ReportSubject> {
  const { recipe, out, threads, signal, onNotice } = options;
  const { network: name, width, levels, epochs } = network;
  const paths = demoPaths(out).network(name);
  const onProgress: OnProgress = (progress) => options.onProgress?.({ ...progress, stage: `${name}: ${progress.stage}` });
  const common = { signal, onProgress };

  onNotice?.(`${name}: training ${epochs} epochs on ${slices.train.slices.length} slices of ${slices.train.cases.length} patients`);
  const { train: training, validation, test, volumes } = slices;
  const data = { train: training, validation, test: test.cases.map((one) => one.case) };
  await train({ ...trainingOf(network, recipe), data, network: { name, width, levels }, run: paths.run, engine, resume: true, ...common });

  onNotice?.(`${name}: predicting ${volumes.cases.length} unseen patients`);
  const prediction = await predict({ network: { run: paths.run }, data: volumes, out: paths.predicted, threads, ...common });
  onNotice?.(`${name}: Dice ${diceWords(prediction)}`);

  onNotice?.(`${name}: influence of ${training.slices.length} training slices on ${test.slices.length} test slices`);
  const influence = await computeInfluence({
    train: training,
    test,
    networks: { run: paths.run },
    out: paths.study,
    engine,
    resume: true,
    ...common,
  });
  onNotice?.(`${name}: what explains it, and whether to believe it`);
  await lookInto({ study: influence, engine, test, train: training, heldOut: validation, ...common });
  return { name, study: influence, test, train: training, engine, dice: prediction.dice };
}

function diceWords({ classes, mean }: Prediction): string {
  return classes.map((name, k) => `${name} ${mean[k]?.toFixed(3) ?? '-'}`).join(', ');
}

function cohortWords({ cases, size, seed }: Recipe, { train: trained, validation, test }: Split, slices: Slices): string[] {
  return [
    `${cases} synthetic patients (seed ${seed}), ${slices.train.modalities.join(', ')}, ${size} × ${size} pixels a slice, drawn as two imagined scanners would show them.`,
    `${trained.length} to train on (${slices.train.slices.length} slices), ${validation.length} to watch the training, ${test.length} unseen (${slices.test.slices.length} slices asked about).`,
  ];
}
