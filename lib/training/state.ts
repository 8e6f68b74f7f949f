/** What a resumed run needs besides its configuration: the numbers after the last finished epoch. */
import { access } from 'node:fs/promises';
import { TracinError } from '../errors';
import { replaceFile } from '../files';
import { firstNotFinite } from '../finite';
import type { Floats, Program } from '../engine/engine';
import type { Graph, Tensor } from '../graph/graph';
import { openSafetensors, safetensorsChunks, type SafetensorsFile } from '../graph/safetensors';
import { inTurns, type Turns } from '../turns';

export interface TrainingState {
  /** The last finished epoch. */
  readonly epoch: number;
  /** Initializers, in the engine's own precision. */
  readonly network: ReadonlyMap<string, Floats>;
  readonly optimiser: ReadonlyMap<string, Floats>;
}

/** Numbers looked at between two pauses. */
const STRETCH = 1 << 16;
const NETWORK = 'network/';
const OPTIMISER = 'optimiser/';

function prefixed(prefix: string, arrays: ReadonlyMap<string, Floats>): [string, Floats][] {
  return [...arrays].map(([name, data]) => [prefix + name, data]);
}

function unprefixed(prefix: string, arrays: ReadonlyMap<string, Floats>): Map<string, Floats> {
  return new Map([...arrays].filter(([name]) => name.startsWith(prefix)).map(([name, data]) => [name.slice(prefix.length), data]));
}

export async function takeState(program: Program, epoch: number): Promise<TrainingState> {
  return { epoch, network: await program.snapshot(), optimiser: await program.optimiserState() };
}

/** Whether every parameter and statistic is a finite number. */
export function isFiniteState({ network }: TrainingState): Promise<boolean> {
  return inTurns(areFinite(network.values()));
}

function* areFinite(arrays: Iterable<Floats>): Turns<boolean> {
  for (const data of arrays) {
    for (let start = 0; start < data.length; start += STRETCH, yield) {
      if (firstNotFinite(data, start, Math.min(start + STRETCH, data.length)) >= 0) return false;
    }
  }
  return true;
}

export async function writeState(path: string, { epoch, network, optimiser }: TrainingState): Promise<void> {
  const arrays = new Map([...prefixed(NETWORK, network), ...prefixed(OPTIMISER, optimiser)]);
  await replaceFile(path, safetensorsChunks(arrays, { epoch: String(epoch) }));
}

/** undefined when no epoch has been finished. */
export function readState(path: string): Promise<TrainingState | undefined> {
  return opened(path, async (file) => {
    const arrays = new Map<string, Floats>();
    for (const name of file.tensors.keys()) arrays.set(name, await file.read(name));
    return { epoch: epochOf(file, path), network: unprefixed(NETWORK, arrays), optimiser: unprefixed(OPTIMISER, arrays) };
  });
}

/** The last finished epoch, 0 when there is none. */
export async function readEpoch(path: string): Promise<number> {
  return (await opened(path, async (file) => epochOf(file, path))) ?? 0;
}

async function opened<T>(path: string, read: (file: SafetensorsFile) => Promise<T>): Promise<T | undefined> {
  const exists = await access(path).then(
    () => true,
    () => false,
  );
  if (!exists) return undefined;
  const file = await openSafetensors(path);
  try {
    return await read(file);
  } finally {
    await file.close();
  }
}

function epochOf({ metadata }: SafetensorsFile, path: string): number {
  const epoch = Number(metadata.epoch);
  if (Number.isInteger(epoch) && epoch >= 1) return epoch;
  throw new TracinError('ERR_TRACIN_STUDY', `${path}: does not say its epoch: the run is damaged, train it again`);
}

/** The graph with these numbers unrounded: a float64 engine goes on with all of its digits. */
export function inOwnPrecision(graph: Graph, network: ReadonlyMap<string, Floats>): Graph {
  const initializers = new Map<string, Tensor>(graph.initializers);
  for (const [name, data] of network) {
    const dims = initializers.get(name)?.dims ?? [data.length];
    initializers.set(name, { type: data.BYTES_PER_ELEMENT === 8 ? 'float64' : 'float32', dims, data });
  }
  return { ...graph, initializers };
}
