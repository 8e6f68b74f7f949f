/** Checkpoints kept as PyTorch state dicts in safetensors files: which tensor is which initializer, and a graph with its numbers. */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { TracinError } from '../errors';
import { fileError } from '../files';
import { anyPath, check } from '../kinds';
import { withInitializers } from './checkpoint';
import type { Graph } from './graph';
import type { Lowered } from './lowered';
import { isFloating, openSafetensors, type SafetensorsArray, type SafetensorsFile } from './safetensors';

const MAP_FORMS = 'an object {"initializer": "tensor", …} or a list [["pattern", "replacement"], …]';

/**
 * How initializers are called in the state dict: by name, those left out keeping theirs; or JavaScript patterns and replacements,
 * each applied in turn to the initializer's name.
 */
export const nameMapSchema = z.union([z.record(z.string(), z.string().min(1)), z.array(z.tuple([z.string().min(1), z.string()]))]);
/** How a state dict calls the initializers of the network's file. */
export type NameMap = z.infer<typeof nameMapSchema>;

/** Which tensor of a state dict holds the numbers of an initializer. */
export type TensorNames = (initializer: string) => string;

function usage(message: string, cause?: unknown): TracinError {
  return new TracinError('ERR_TRACIN_USAGE', message, { cause });
}

/** Reads a map of names from a JSON file. @throws ERR_TRACIN_IO, or ERR_TRACIN_USAGE for a file that is not a map */
export async function readNameMap(path: string): Promise<NameMap> {
  check('readNameMap', { path }, { path: anyPath });
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw fileError(error, 'read', path);
  });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw usage(`${path}: is not valid JSON: a map is ${MAP_FORMS}`, cause);
  }
  const map = nameMapSchema.safeParse(json);
  if (!map.success) throw usage(`${path}: a map is ${MAP_FORMS}`);
  return map.data;
}

/**
 * The map as a function.
 * @throws ERR_TRACIN_USAGE for a map of another form, a pattern that is none, and names that are no initializers of the graph
 */
export function tensorNames(map: NameMap | undefined, graph: Graph): TensorNames {
  if (map === undefined) return (name) => name;
  const parsed = nameMapSchema.safeParse(map);
  if (!parsed.success) throw usage(`map: a map is ${MAP_FORMS}`);
  if (Array.isArray(parsed.data)) {
    const rules = parsed.data.map(([pattern, replacement]) => [compiled(pattern), replacement] as const);
    return (name) => rules.reduce((key, [pattern, replacement]) => key.replace(pattern, replacement), name);
  }
  const keys = new Map(Object.entries(parsed.data));
  const unknown = [...keys.keys()].find((name) => !graph.initializers.has(name));
  if (unknown !== undefined) throw usage(`map: ${graph.source} has no initializer '${unknown}': take a name that inspect lists`);
  return (name) => keys.get(name) ?? name;
}

function compiled(pattern: string): RegExp {
  try {
    return new RegExp(pattern, 'gu');
  } catch (cause) {
    throw usage(`map: '${pattern}' is not a regular expression (${(cause as Error).message})`, cause);
  }
}

/** Names of a state dict without a counterpart in the network, and the other way round. */
export interface Unmatched {
  readonly tensors: readonly string[];
  /** Initializers of floating point that are neither parameters nor statistics of the logits: they keep the network's numbers. */
  readonly initializers: readonly string[];
}

/**
 * Reads a state dict as a checkpoint of the network. Tensors are read one at a time and only where an initializer takes them.
 * @param lowered says which initializers must be there: every parameter and running statistic
 * @returns the graph with the state dict's numbers, its source being the file
 * @throws ERR_TRACIN_CHECKPOINT naming the file and what is missing or does not fit; ERR_TRACIN_IO
 */
export async function readStateDict(
  path: string,
  network: Graph,
  lowered: Lowered,
  names: TensorNames,
): Promise<{ graph: Graph; unmatched: Unmatched }> {
  const file = await openSafetensors(path);
  try {
    const keys = match(file, network, names);
    const unmatched = checkMatch(file, network, lowered, names, keys);
    const values = new Map<string, SafetensorsArray>();
    for (const [name, key] of keys) values.set(name, await file.read(key));
    return { graph: { ...withInitializers(network, values), source: path }, unmatched };
  } finally {
    await file.close();
  }
}

const dimsOf = (dims: readonly number[]): string => `[${dims.join(', ')}]`;

/** Tensors by the initializers that take them. */
function match(file: SafetensorsFile, network: Graph, names: TensorNames): Map<string, string> {
  const keys = new Map<string, string>();
  for (const [name, { dims, data }] of network.initializers) {
    const key = names(name);
    const tensor = file.tensors.get(key);
    // Integer initializers are sizes and axes of the network.
    if (!tensor || data instanceof BigInt64Array) continue;
    const what = key === name ? `tensor '${key}'` : `tensor '${key}' (for '${name}')`;
    if (!isFloating(tensor.dtype)) throw refusal(file, `${what} is ${tensor.dtype}: one of F16, BF16, F32, F64 is needed`);
    if (tensor.shape.join() !== dims.join()) {
      const transposed = dims.length === 2 && tensor.shape.toReversed().join() === dims.join();
      const advice = transposed ? ': the exporter has transposed it, export with do_constant_folding=False' : '';
      throw refusal(file, `${what} is ${dimsOf(tensor.shape)}, the initializer in ${network.source} ${dimsOf(dims)}${advice}`);
    }
    keys.set(name, key);
  }
  return keys;
}

function checkMatch(
  file: SafetensorsFile,
  network: Graph,
  lowered: Lowered,
  names: TensorNames,
  keys: ReadonlyMap<string, string>,
): Unmatched {
  const used = new Set(keys.values());
  const tensors = [...file.tensors.keys()].filter((key) => !used.has(key));
  // Statistics that no initializer takes: folded by the exporter into kernels that the file's own would silently replace.
  const folded = tensors.find((key) => /(^|\.)running_var$/.test(key));
  if (folded !== undefined && !lowered.values.some(({ kind }) => kind === 'statistic')) {
    const advice =
      'export it with dynamo=False, training=TrainingMode.PRESERVE, do_constant_folding=False, or take ONNX files as checkpoints';
    throw refusal(file, `has the statistic '${folded}', but ${network.source} has no BatchNormalization, its scales are folded: ${advice}`);
  }
  const needed = new Set(lowered.values.flatMap(({ kind, name }) => (kind === 'parameter' || kind === 'statistic' ? [name] : [])));
  const missing = [...needed].filter((name) => !keys.has(name));
  if (missing.length > 0) {
    const [first] = missing;
    const what = `has no tensor '${names(first!)}' for '${first}'${missing.length > 1 ? ` (and ${missing.length - 1} more)` : ''} of ${network.source}`;
    const left = tensors.length > 0 ? `; without counterpart in the file: ${some(tensors)}` : '';
    throw refusal(file, `${what}: say what it is called with a map (--map)${left}`);
  }
  const initializers = [...network.initializers]
    .filter(([name, { data }]) => !keys.has(name) && !(data instanceof BigInt64Array))
    .map(([name]) => name);
  return { tensors, initializers };
}

function some(names: readonly string[]): string {
  return names.slice(0, 3).join(', ') + (names.length > 3 ? `, … (${names.length})` : '');
}

function refusal({ path }: SafetensorsFile, what: string): TracinError {
  return new TracinError('ERR_TRACIN_CHECKPOINT', `${path}: ${what}`);
}
