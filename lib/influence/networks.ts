/** The checkpoints of a study: θ_1..θ_T with their learning rates η_1..η_T, checked to be one network before work starts. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { TracinError, throwIfAborted } from '../errors';
import { fileError } from '../files';
import { assertSameNetwork } from '../graph/checkpoint';
import type { Graph, Tensor } from '../graph/graph';
import { readOnnx } from '../graph/onnx';
import { openRun } from '../training/run';
import type { Definition } from './definition';

/** A run of ours (all of its checkpoints, or those of some epochs), or any exporter's files with their learning rates. */
export type NetworkSource =
  | { readonly run: string; readonly checkpoints?: readonly number[] | undefined }
  | { readonly checkpoints: readonly string[]; readonly learningRates?: readonly number[] | undefined };

export interface StudyCheckpoint {
  /** Absolute. */
  readonly file: string;
  /** null for a file that is not of a run. */
  readonly epoch: number | null;
  /** η_t; 1 where the definition says so. */
  readonly learningRate: number;
  /** Of the file; where its tensors lie in files beside it, of the file and then the tensors. */
  readonly sha256: string;
}

export interface Networks {
  readonly checkpoints: readonly StudyCheckpoint[];
  /** The first checkpoint, as the network all others were compared with. */
  readonly graph: Graph;
  /** Bytes of the largest checkpoint file. */
  readonly largestFile: number;
}

type Unchecked = Omit<StudyCheckpoint, 'sha256'>;

/**
 * Finds the checkpoints, reads every one and compares it with the first.
 * @throws ERR_TRACIN_USAGE no checkpoints, an epoch the run does not have, one named twice, learning rates missing, of another
 *   number than the checkpoints, or not above zero; ERR_TRACIN_CHECKPOINT a checkpoint of another network
 */
export async function resolveNetworks(
  source: NetworkSource,
  learningRates: Definition['learningRates'],
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<Networks> {
  const found = 'run' in source ? await fromRun(source.run, source.checkpoints, learningRates) : fromFiles(source, learningRates);
  let graph: Graph | undefined;
  let largestFile = 0;
  const checkpoints: StudyCheckpoint[] = [];
  for (const checkpoint of found) {
    throwIfAborted(options.signal);
    const read = await readOnnx(checkpoint.file);
    if (graph) assertSameNetwork(graph, read);
    else graph = read;
    const { size } = await stat(checkpoint.file);
    largestFile = Math.max(largestFile, size);
    checkpoints.push({ ...checkpoint, sha256: await sha256Of(checkpoint.file, externalData(read, size)) });
  }
  return { checkpoints, graph: graph!, largestFile };
}

function fromFiles(
  source: { readonly checkpoints: readonly string[]; readonly learningRates?: readonly number[] | undefined },
  rule: Definition['learningRates'],
): Unchecked[] {
  const files = source.checkpoints.map((file) => resolve(file));
  if (files.length === 0) throw usage('no checkpoints: name at least one ONNX file');
  const twice = files.find((file, i) => files.indexOf(file) !== i);
  if (twice !== undefined) throw usage(`checkpoint ${twice} is named twice: name each once`);
  if (rule === 'one') {
    if (source.learningRates) throw usage('learning rates were given, but the definition takes 1 for all: leave them out');
    return files.map((file) => ({ file, epoch: null, learningRate: 1 }));
  }
  const rates = source.learningRates;
  if (!rates) throw usage(`no learning rates for ${files.length} checkpoints: give one for each (--learning-rates)`);
  if (rates.length !== files.length) {
    throw usage(`${rates.length} learning rates for ${files.length} checkpoints: give one for each, in the same order`);
  }
  return files.map((file, i) => ({ file, epoch: null, learningRate: checkedRate(rates[i]!, file) }));
}

async function fromRun(dir: string, epochs: readonly number[] | undefined, rule: Definition['learningRates']): Promise<Unchecked[]> {
  const run = await openRun(dir);
  const have = run.checkpoints.map(({ epoch }) => epoch);
  if (have.length === 0) throw usage(`run ${dir} has no checkpoints yet: train it first`);
  if (epochs) {
    if (epochs.length === 0) throw usage(`no epochs chosen of run ${dir}: choose from ${have.join(', ')}`);
    const unknown = epochs.find((epoch) => !have.includes(epoch));
    if (unknown !== undefined) throw usage(`run ${dir} has no checkpoint of epoch ${unknown}: choose from ${have.join(', ')}`);
    const twice = epochs.find((epoch, i) => epochs.indexOf(epoch) !== i);
    if (twice !== undefined) throw usage(`epoch ${twice} is named twice: name each once`);
  }
  return run.checkpoints
    .filter(({ epoch }) => !epochs || epochs.includes(epoch))
    .sort((a, b) => a.epoch - b.epoch)
    .map(({ file, epoch, learningRate }) => ({ file, epoch, learningRate: rule === 'one' ? 1 : checkedRate(learningRate, file) }));
}

function checkedRate(rate: number, file: string): number {
  if (Number.isFinite(rate) && rate > 0) return rate;
  throw usage(`learning rate ${rate} of checkpoint ${file} must be a number above zero`);
}

/** The initializers of a network that its file alone is too small to hold; none otherwise. */
function externalData(graph: Graph, fileSize: number): Tensor['data'][] {
  const data = [...graph.initializers.values()].map((tensor) => tensor.data);
  return data.reduce((sum, { byteLength }) => sum + byteLength, 0) > fileSize ? data : [];
}

async function sha256Of(file: string, more: readonly Tensor['data'][]): Promise<string> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  } catch (error) {
    throw fileError(error, 'read', file);
  }
  for (const data of more) {
    hash.update(data);
    await setImmediate();
  }
  return hash.digest('hex');
}

function usage(message: string): TracinError {
  return new TracinError('ERR_TRACIN_USAGE', message);
}
