/** The network a training begins with, checked against the data. */
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import type { SliceSource } from '../dataset/slices';
import { TracinError } from '../errors';
import type { Graph } from '../graph/graph';
import { lower } from '../graph/lower';
import { encodeModel } from '../graph/onnx/model';
import { updateInTurns } from '../hash';
import { buildNetworkInTurns, type NetworkName } from '../../models/registry';
import type { ZooNetwork } from './options';
import type { RunFile } from './run';

export interface StartingNetwork {
  readonly graph: Graph;
  readonly description: RunFile['network'];
}

/**
 * Builds (or takes) the network for the classes, modalities and size of the data.
 * @throws ERR_TRACIN_USAGE an unknown name; ERR_TRACIN_GRAPH a graph for other classes, modalities or sizes
 */
export async function startingNetwork(network: ZooNetwork | Graph, source: SliceSource, seed: number): Promise<StartingNetwork> {
  const graph = 'nodes' in network ? network : await buildZoo(network, source, seed);
  const lowered = lower(graph, source.size);
  checkChannels(graph, 'image', lowered.values[lowered.input]!.dims[0]!, source.modalities.length, source.modalities);
  checkChannels(graph, 'logits', lowered.values[lowered.logits]!.dims[0]!, source.classes.length + 1, ['background', ...source.classes]);
  const sha256 = await sha256Of(graph);
  if ('nodes' in network) return { graph, description: { name: sourceOf(graph), sha256 } };
  const { name, width, levels } = network;
  return { graph, description: { name, ...(width !== undefined && { width }), ...(levels !== undefined && { levels }), sha256 } };
}

/** Where a graph is from; a file by its whole path, for a run is gone on with from any folder. */
function sourceOf({ source }: Graph): string {
  return source.endsWith('.onnx') ? resolve(source) : source;
}

function buildZoo({ name, width, levels }: ZooNetwork, source: SliceSource, seed: number): Promise<Graph> {
  const network = name as NetworkName; // the registry refuses an unknown name
  return buildNetworkInTurns({ network, width, levels, modalities: source.modalities.length, classes: source.classes.length + 1, seed });
}

function checkChannels(graph: Graph, what: string, has: number, needs: number, names: readonly string[]): void {
  if (has === needs) return;
  const message = `${graph.source}: ${what} has ${has} channels, the data needs ${needs} (${names.join(', ')})`;
  throw new TracinError('ERR_TRACIN_GRAPH', `${message}: take a network made for this data`);
}

/** Of the bytes of its ONNX file. */
export async function sha256Of(graph: Graph): Promise<string> {
  const hash = createHash('sha256');
  for (const chunk of encodeModel(graph)) await updateInTurns(hash, chunk);
  return hash.digest('hex');
}
