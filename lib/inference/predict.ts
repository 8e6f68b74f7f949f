/** Predictions of a trained network as files: label volumes (or an array), and how well they agree with the labels there are. */
import { realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { Dataset } from '../dataset/dataset';
import { writeLabelDescription } from '../dataset/label-description';
import { sliceSource, type SliceSource } from '../dataset/slices';
import { openEngine } from '../engine';
import { TracinError } from '../errors';
import { fileError, makeFolder, removeFile, replaceFile } from '../files';
import { lower } from '../graph/lower';
import type { Lowered } from '../graph/lowered';
import { readOnnx } from '../graph/onnx';
import { isGraphError } from '../graph/view';
import { toJson } from '../json';
import { CALL, anyPath, check, either, has, oneOf, optional, shape, text, whole, type Kinds } from '../kinds';
import { writeNpy } from '../npy';
import { Once } from '../once';
import type { OnProgress } from '../progress';
import { openRun, type Run } from '../training/run';
import { DiceCounts } from './dice';
import { encodeDiceCsv, meanDice, type CaseDice } from './dice-table';
import { openInference } from './inference';
import { predictBatches } from './predict-labels';
import { plainOutput, programPredictor, type Predictor } from './predictor';
import { PROVIDER_CHOICES, type ProviderChoice } from './providers';

/** Which network predicts which data, and where the labels are written. */
export interface PredictOptions {
  /** An ONNX file, or the run folder whose last checkpoint is used. */
  readonly network: { readonly checkpoint: string } | { readonly run: string };
  /** Name of the network's output that is taken as logits; the first one of full size when absent. */
  readonly output?: string | undefined;
  /** A dataset opened with `slices: 'all'`, or arrays. */
  readonly data: SliceSource;
  /** Folder for the files, made when missing; files of an earlier prediction are replaced. */
  readonly out: string;
  /** cpu when absent. */
  readonly provider?: ProviderChoice | undefined;
  readonly threads?: number | undefined;
  /** Slices in one forward pass; 8 when absent. */
  readonly batch?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Stage `predict`: slices done of all. */
  readonly onProgress?: OnProgress | undefined;
}

const OPTIONS: Kinds<PredictOptions> = {
  ...CALL,
  network: either(has('checkpoint'), shape({ checkpoint: anyPath }), shape({ run: anyPath }, '{ checkpoint: FILE } or { run: FOLDER }')),
  output: optional(text),
  data: sliceSource,
  out: anyPath,
  provider: optional(oneOf(PROVIDER_CHOICES)),
  threads: optional(whole(1)),
  batch: optional(whole(1)),
};

/** What was predicted: the files written, and Dice where there are labels. */
export interface Prediction {
  /** Absolute. */
  readonly out: string;
  /** Absolute: one label volume for each case, or the one array. */
  readonly files: readonly string[];
  /** Absolute. */
  readonly checkpoint: string;
  /** Where onnxruntime really ran, or `engine cpu` and the like where no output of the network is plain logits. */
  readonly provider: string;
  /** What a person should know about that. */
  readonly notes: readonly string[];
  readonly classes: readonly string[];
  /** Hard Dice of every labelled case. */
  readonly dice: readonly CaseDice[];
  /** Mean over the cases in which a class is there or predicted, [K]; null where there are none. */
  readonly mean: readonly (number | null)[];
}

/**
 * Predicts every slice and writes
 *  - a dataset: `CASE.nii.gz`, labels 0/1/2/4 as BraTS numbers them with the exact geometry of the case's images, and `labels.txt` for ITK-SNAP
 *  - arrays: `labels.npy`, uint8 [N, H, W] in 0..K
 *  - where there are labels: `dice.json` and `dice.csv`, hard Dice of each case (all its slices together) and class. It counts the
 *    pixels inside the crop: tumour outside of it is neither predicted nor missed.
 * @throws ERR_TRACIN_DATA other classes, modalities or sizes than the network's; ERR_TRACIN_USAGE a dataset without all its slices, or a
 *   folder where a file of the data would be replaced;
 *   ERR_TRACIN_ENGINE onnxruntime-node or the provider is missing; ERR_TRACIN_ABORTED (volumes already written stay)
 */
export async function predict(options: PredictOptions): Promise<Prediction> {
  check('predict', options, OPTIONS);
  options = { ...options }; // their owner may change them meanwhile
  const { data } = options;
  const out = resolve(options.out);
  const checkpoint = await findCheckpoint(options.network, data);
  if (data instanceof Dataset) assertWhole(data);
  const predictor = await openNetwork(checkpoint, options);
  try {
    await makeFolder(out).catch((error: unknown) => {
      throw fileError(error, 'make folder', out);
    });
    const files = labelFiles(data, out);
    await assertApart(files, data);
    // Of a prediction before this one: they must not speak of labels of which some are new.
    const dice = { json: join(out, 'dice.json'), csv: join(out, 'dice.csv') };
    for (const file of Object.values(dice)) await removeFile(file);
    const predicted =
      data instanceof Dataset ? await predictVolumes(predictor, data, files, options) : await predictArray(predictor, data, files, options);
    if (data instanceof Dataset) await writeLabelDescription(out, data.layout.classes);
    const mean = meanDice(predicted.dice, data.classes.length);
    const { notes, provider } = predictor;
    const prediction: Prediction = { out, files, checkpoint, provider, notes, classes: data.classes, mean, ...predicted };
    if (prediction.dice.length > 0) await writeDice(prediction, dice);
    return prediction;
  } finally {
    await predictor.close();
  }
}

async function openNetwork(file: string, options: PredictOptions): Promise<Predictor & { readonly provider: string }> {
  const { data, output, provider, threads } = options;
  const graph = await readOnnx(file);
  const lowered = tryLower(() => lower(graph, data.size, { output }));
  const plain = lowered ? plainOutput(graph, lowered) : output;
  if (!lowered || plain !== undefined) {
    const inference = await openInference(file, { output: plain, provider, threads });
    return {
      ...inference,
      get notes() {
        return [...(lowered?.notes ?? []), ...inference.notes];
      },
    };
  }
  if (provider !== undefined && !provider.split(',').includes('cpu')) {
    const message = `${file}: no output is plain logits, so labels are predicted by an engine and not on ${provider}`;
    throw new TracinError('ERR_TRACIN_ENGINE', `${message}: leave out the provider, or export the network without what follows its logits`);
  }
  const { engine } = await openEngine('auto', { threads });
  const program = await engine.compile(graph, { size: data.size, output });
  const predictor = programPredictor(program, file);
  const notes = [...lowered.notes, ...predictor.notes];
  return { ...predictor, notes, provider: `engine ${engine.name}`, close: async () => program.dispose() };
}

/** undefined for a graph that engines cannot run; onnxruntime may still. */
function tryLower(lowering: () => Lowered): Lowered | undefined {
  try {
    return lowering();
  } catch (error) {
    if (isGraphError(error)) return undefined;
    throw error;
  }
}

async function findCheckpoint(network: PredictOptions['network'], data: SliceSource): Promise<string> {
  if ('checkpoint' in network) return resolve(network.checkpoint);
  const run = await openRun(network.run);
  const last = run.checkpoints.at(-1);
  if (!last) throw new TracinError('ERR_TRACIN_USAGE', `run ${network.run} has no checkpoints yet: train it first`);
  assertSameNames(run, data, 'classes');
  assertSameNames(run, data, 'modalities');
  return last.file;
}

function assertSameNames(run: Run, data: SliceSource, what: 'classes' | 'modalities'): void {
  if (run[what].join() === data[what].join()) return;
  const message = `run ${run.dir} was trained on ${what} ${run[what].join(', ')}, the data has ${data[what].join(', ')}`;
  throw new TracinError('ERR_TRACIN_DATA', `${message}: open data of the same kind`);
}

function assertWhole(data: Dataset): void {
  const counts = new Map<string, number>();
  for (const slice of data.slices) counts.set(slice.case, (counts.get(slice.case) ?? 0) + 1);
  for (const { case: name } of data.cases) {
    const depth = data.geometry(name).shape[2];
    const count = counts.get(name) ?? 0;
    if (count === depth) continue;
    const message = `case ${name}: ${count} of its ${depth} slices are chosen, the label volume would be empty in the others`;
    throw new TracinError('ERR_TRACIN_USAGE', `${message}: open the dataset with slices 'all'`);
  }
}

/** One for each case in their order, or the one array. */
function labelFiles(data: SliceSource, out: string): string[] {
  if (!(data instanceof Dataset)) return [join(out, 'labels.npy')];
  return data.cases.map(({ case: name }) => join(out, `${name}${data.endings(name).labels}`));
}

/** In the folder of the labels predictions may well have their names; nobody wants those replaced. */
async function assertApart(files: readonly string[], data: SliceSource): Promise<void> {
  const folders = new Once<string>();
  const real = async (path: string): Promise<string> => {
    const folder = dirname(path);
    return join(await folders.get(folder, () => realpath(folder).catch(() => folder)), basename(path));
  };
  const own = new Set(await Promise.all((data.files ?? []).map(real)));
  for (const file of files) {
    if (!own.has(await real(file))) continue;
    throw new TracinError('ERR_TRACIN_USAGE', `${file} is part of the data and would be replaced: choose another folder`);
  }
}

type Predicted = Pick<Prediction, 'dice'>;

async function predictVolumes(
  predictor: Predictor,
  data: Dataset,
  volumes: readonly string[],
  options: PredictOptions,
): Promise<Predicted> {
  const { batch, signal, onProgress } = options;
  const pixels = data.size[0] * data.size[1];
  const dice: CaseDice[] = [];
  let done = 0;
  for (const [row, { case: name, patient }] of data.cases.entries()) {
    const source = data.subset([name]);
    try {
      const perSlice = new Map<number, Uint8Array>();
      const counts = new DiceCounts(data.classes.length);
      for await (const { positions, predicted, labels } of predictBatches(predictor, source, { batch, signal })) {
        positions.forEach((position, i) => perSlice.set(source.slices[position]!.index, predicted.subarray(i * pixels, (i + 1) * pixels)));
        if (labels) counts.add(predicted, labels);
        done += positions.length;
        onProgress?.({ stage: 'predict', done, total: data.slices.length });
      }
      await data.writeLabels(name, volumes[row]!, perSlice);
      if (source.labelled) dice.push({ case: name, patient, dice: counts.dice() });
    } finally {
      await source.close();
    }
  }
  return { dice };
}

/** A case of arrays is a row. */
async function predictArray(
  predictor: Predictor,
  data: SliceSource,
  [file]: readonly string[],
  options: PredictOptions,
): Promise<Predicted> {
  const pixels = data.size.reduce((product, n) => product * n, 1);
  const all = new Uint8Array(data.slices.length * pixels);
  const dice: CaseDice[] = [];
  for await (const { positions, predicted, labels } of predictBatches(predictor, data, options)) {
    all.set(predicted, positions[0]! * pixels);
    for (const [i, position] of labels ? positions.entries() : []) {
      const part = (array: Uint8Array): Uint8Array => array.subarray(i * pixels, (i + 1) * pixels);
      const { case: name, patient } = data.slices[position]!;
      dice.push({ case: name, patient, dice: new DiceCounts(data.classes.length).add(part(predicted), part(labels!)).dice() });
    }
  }
  await writeNpy(file!, [data.slices.length, ...data.size], all);
  return { dice };
}

async function writeDice(
  { checkpoint, provider, classes, dice, mean }: Prediction,
  files: { readonly json: string; readonly csv: string },
): Promise<void> {
  const byClass = (values: readonly (number | null)[]): Record<string, number | null> =>
    Object.fromEntries(classes.map((name, k) => [name, values[k]!]));
  const cases = dice.map((row) => ({ case: row.case, patient: row.patient, dice: byClass(row.dice) }));
  await replaceFile(files.json, toJson({ formatVersion: 1, checkpoint, provider, classes, cases, mean: byClass(mean) }));
  await replaceFile(files.csv, encodeDiceCsv(classes, dice));
}
