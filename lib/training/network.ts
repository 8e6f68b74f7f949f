/** The network a training begins with, checked against the data. */
import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type { SliceSource } from '../dataset/slices';
import { TracinError } from '../errors';
import type { Graph } from '../graph/graph';
import { lower } from '../graph/lower';
import { serialiseOnnx } from '../graph/onnx';
import { buildNetwork, type NetworkName } from '../../models/registry';
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
  const graph = 'nodes' in network ? network : buildZoo(network, source, seed);
  const lowered = lower(graph, source.size);
  checkChannels(graph, 'image', lowered.values[lowered.input]!.dims[0]!, source.modalities.length, source.modalities);
  checkChannels(graph, 'logits', lowered.values[lowered.logits]!.dims[0]!, source.classes.length + 1, ['background', ...source.classes]);
  const sha256 = await sha256Of(serialiseOnnx(graph));
  if ('nodes' in network) return { graph, description: { name: graph.source, sha256 } };
  const { name, width, levels } = network;
  return { graph, description: { name, ...(width !== undefined && { width }), ...(levels !== undefined && { levels }), sha256 } };
}

function buildZoo({ name, width, levels }: ZooNetwork, source: SliceSource, seed: number): Graph {
  const network = name as NetworkName; // the registry refuses an unknown name
  return buildNetwork({ network, width, levels, modalities: source.modalities.length, classes: source.classes.length + 1, seed });
}

function checkChannels(graph: Graph, what: string, has: number, needs: number, names: readonly string[]): void {
  if (has === needs) return;
  const message = `${graph.source}: ${what} has ${has} channels, the data needs ${needs} (${names.join(', ')})`;
  throw new TracinError('ERR_TRACIN_GRAPH', `${message}: take a network made for this data`);
}

async function sha256Of(bytes: Uint8Array): Promise<string> {
  const hash = createHash('sha256');
  const piece = 2 << 20; // a few milliseconds of hashing between two turns of the event loop
  for (let at = 0; at < bytes.length; at += piece) {
    hash.update(bytes.subarray(at, at + piece));
    await setImmediate();
  }
  return hash.digest('hex');
}
