/** The checkpoints of a study: θ_1..θ_T with their learning rates η_1..η_T, checked to be one network before work starts. */
import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { extname, resolve } from 'node:path';
import { TracinError, throwIfAborted } from '../errors';
import { fileError } from '../files';
import { assertSameNetwork } from '../graph/checkpoint';
import { assertSameConstants, constantInitializers } from '../graph/constants';
import type { Graph } from '../graph/graph';
import { foldingNotes } from '../graph/inspect';
import { lower } from '../graph/lower';
import type { Lowered } from '../graph/lowered';
import { readHashed } from '../graph/onnx';
import { readStateDict, tensorNames, type NameMap, type Unmatched } from '../graph/state-dict';
import { updateInTurns } from '../hash';
import { openRun } from '../training/run';
import type { Definition } from './definition';

/**
 * A run of ours (all of its checkpoints, or those of some epochs), or any exporter's files with their learning rates: ONNX files,
 * or the ONNX file of the network and PyTorch state dicts in safetensors files.
 */
export type NetworkSource = { readonly run: string; readonly checkpoints?: readonly number[] | undefined } | FileSource;

/** Checkpoints by file, of any exporter, with the learning rates η_t they were trained with. */
export interface FileSource {
  /** ONNX file; needed where a checkpoint is a safetensors file. */
  readonly network?: string | undefined;
  readonly checkpoints: readonly string[];
  readonly learningRates?: readonly number[] | undefined;
  /** How the state dicts call the network's initializers; by the same names when absent. */
  readonly map?: NameMap | undefined;
}

/** A checkpoint that a study was computed from. */
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
  /** The network's file, else the first checkpoint: the graph all others were compared with. */
  readonly graph: Graph;
  readonly lowered: Lowered;
  /** The file that state dicts are read with; undefined where every checkpoint is a whole network. */
  readonly network: { readonly file: string; readonly sha256: string; readonly map: NameMap | undefined } | undefined;
  /** Bytes that reading any one checkpoint takes at most. */
  readonly largestFile: number;
  /** One line each, for people: how the network was taken, what of the files is without counterpart. */
  readonly notices: readonly string[];
  /**
   * The network with the numbers of a checkpoint; besides `graph`, only the one asked for last is kept.
   * @throws ERR_TRACIN_CHECKPOINT for a file that was replaced since
   */
  readonly read: (checkpoint: Pick<StudyCheckpoint, 'file'>) => Promise<Graph>;
}

export interface ResolveOptions {
  /** Spatial size of the images. */
  readonly size: readonly number[];
  /** Name of the graph output that is taken as logits. */
  readonly output?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

type Unchecked = Omit<StudyCheckpoint, 'sha256'>;

/** What torch.save writes. */
const PICKLES = new Set(['.pt', '.pth', '.ckpt', '.bin', '.pkl']);

/**
 * Finds the checkpoints, reads every one and compares it with the first.
 * @throws ERR_TRACIN_USAGE no checkpoints, an epoch the run does not have, one named twice, learning rates missing, of another
 *   number than the checkpoints, or not above zero, state dicts without their network; ERR_TRACIN_CHECKPOINT a checkpoint of another
 *   network; ERR_TRACIN_GRAPH a network that cannot be run at this size
 */
export async function resolveNetworks(
  source: NetworkSource,
  learningRates: Definition['learningRates'],
  options: ResolveOptions,
): Promise<Networks> {
  const found = 'run' in source ? await fromRun(source.run, source.checkpoints, learningRates) : fromFiles(source, learningRates);
  const file = 'run' in source ? found[0]!.file : networkFile(source);
  const hash = createHash('sha256');
  const graph = await readHashed(file, hash);
  const sha256 = await digestOf(hash, file, graph);
  const lowered = lower(graph, options.size, { output: options.output });
  const map = 'map' in source ? source.map : undefined;
  const names = tensorNames(map, graph);
  const constants = constantInitializers(graph, lowered);
  const load = async (path: string): Promise<{ graph: Graph; sha256: string; unmatched?: Unmatched }> => {
    if (path === file) return { graph, sha256 };
    const own = createHash('sha256');
    if (isStateDict(path)) {
      const dict = await readStateDict(path, graph, lowered, names);
      assertSameConstants(graph, dict.graph, constants);
      return { ...dict, sha256: await digestOfFile(own, path) };
    }
    const other = await readHashed(path, own);
    assertSameNetwork(graph, other);
    assertSameConstants(graph, other, constants);
    return { graph: other, sha256: await digestOf(own, path, other) };
  };
  const checkpoints: StudyCheckpoint[] = [];
  const again = async (path: string): Promise<Graph> => {
    const now = await load(path);
    if (now.sha256 === checkpoints.find((checkpoint) => checkpoint.file === path)?.sha256) return now.graph;
    throw new TracinError('ERR_TRACIN_CHECKPOINT', `${path} was replaced while in use: put back the file that was there, and run again`);
  };
  let last: { readonly file: string; readonly graph: Promise<Graph> } | undefined;
  const read: Networks['read'] = ({ file: path }) => {
    if (path === file) return Promise.resolve(graph);
    if (last?.file !== path) last = { file: path, graph: again(path) };
    return last.graph;
  };
  const unmatched: [file: string, Unmatched][] = [];
  let largestFile = await bytesRead(file, graph);
  for (const checkpoint of found) {
    throwIfAborted(options.signal);
    last = undefined; // before another is read
    const own = await load(checkpoint.file);
    if (own.unmatched) unmatched.push([checkpoint.file, own.unmatched]);
    last = { file: checkpoint.file, graph: Promise.resolve(own.graph) };
    largestFile = Math.max(largestFile, await bytesRead(checkpoint.file, own.graph));
    checkpoints.push({ ...checkpoint, sha256: own.sha256 });
  }
  const notices = [...lowered.notes, ...foldingNotes(graph.nodes), ...unmatchedNotices(unmatched, graph)];
  const network = unmatched.length > 0 ? { file, sha256, map } : undefined;
  return { checkpoints, graph, lowered, network, largestFile, notices, read };
}

/**
 * The ONNX file that says what the network is: the one named, else the first checkpoint. Absolute.
 * @throws ERR_TRACIN_USAGE no checkpoints, pickles, state dicts without their network, a map without state dicts
 */
export function networkFile({ network, checkpoints, map }: FileSource): string {
  if (checkpoints.length === 0) throw usage('no checkpoints: name at least one ONNX or safetensors file');
  const pickle = checkpoints.find((file) => PICKLES.has(extname(file).toLowerCase()));
  if (pickle !== undefined) throw usage(`checkpoint ${pickle} is a pickle: save its state dict with safetensors.torch.save_file`);
  const dict = checkpoints.find(isStateDict);
  if (dict !== undefined && network === undefined) {
    throw usage(`checkpoint ${dict} holds numbers alone: name the ONNX file of its network (--network)`);
  }
  if (dict === undefined && map) throw usage('a map is for .safetensors checkpoints and there are none: leave it out');
  return resolve(network ?? checkpoints[0]!);
}

function isStateDict(file: string): boolean {
  return extname(file).toLowerCase() === '.safetensors';
}

/** Names without counterpart, one line for all files that agree. */
function unmatchedNotices(unmatched: readonly (readonly [file: string, Unmatched])[], graph: Graph): string[] {
  const files = new Map<string, string[]>();
  const say = (line: string, file: string): void => void files.set(line, [...(files.get(line) ?? []), file]);
  for (const [file, { tensors, initializers }] of unmatched) {
    if (tensors.length > 0) say(`${tensors.length} tensors without counterpart in ${graph.source}, left out: ${tensors.join(', ')}`, file);
    if (initializers.length > 0) {
      say(
        `no tensors for ${initializers.length} other initializers of ${graph.source}, which keep its numbers: ${initializers.join(', ')}`,
        file,
      );
    }
  }
  return [...files].map(([line, [first, ...more]]) => `${first}${more.length > 0 ? ` and ${more.length} more` : ''}: ${line}`);
}

function fromFiles(source: FileSource, rule: Definition['learningRates']): Unchecked[] {
  const files = source.checkpoints.map((file) => resolve(file));
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

/** sha256 of a file whose bytes the hash has been given; where its tensors lie in files beside it, of the file and then the tensors. */
async function digestOf(hash: Hash, file: string, graph: Graph): Promise<string> {
  const outside = tensorBytes(graph) > (await sizeOfFile(file));
  if (outside) for (const { data } of graph.initializers.values()) await updateInTurns(hash, data);
  return hash.digest('hex');
}

/** Of a file as it is read: its tensors may lie in files beside it, or be of half the size in it. */
async function bytesRead(file: string, graph: Graph): Promise<number> {
  return Math.max(await sizeOfFile(file), tensorBytes(graph));
}

function tensorBytes({ initializers }: Graph): number {
  return [...initializers.values()].reduce((sum, { data }) => sum + data.byteLength, 0);
}

async function sizeOfFile(file: string): Promise<number> {
  const { size } = await stat(file).catch((error: unknown) => {
    throw fileError(error, 'read', file);
  });
  return size;
}

async function digestOfFile(hash: Hash, file: string): Promise<string> {
  try {
    for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  } catch (error) {
    throw fileError(error, 'read', file);
  }
  return hash.digest('hex');
}

function usage(message: string): TracinError {
  return new TracinError('ERR_TRACIN_USAGE', message);
}
