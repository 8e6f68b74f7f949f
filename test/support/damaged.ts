/** Damaged networks and state dicts: read or refused in one line, whatever they say. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Graph } from '../../lib/graph/graph';
import { lower, sizesOf } from '../../lib/graph/lower';
import { parseOnnx, serialiseOnnx } from '../../lib/graph/onnx';
import { openSafetensors, safetensorsChunks, type SafetensorsArray } from '../../lib/graph/safetensors';
import { readStateDict } from '../../lib/graph/state-dict';
import { buildNetwork, type NetworkOptions } from '../../models/registry';
import { fuzz } from './mutate';

type Outcomes = Promise<{ read: number; refused: number }>;

export const zooNetwork = (network: NetworkOptions['network']): Graph =>
  buildNetwork({ network, width: 3, levels: 2, modalities: 1, classes: 2 });

export function damagedNetworks(whole: Uint8Array, size: readonly number[], count: number, seed: number): Outcomes {
  return fuzz(whole, { count, seed, codes: /^ERR_TRACIN_(GRAPH|USAGE)$/ }, (bytes) => {
    const graph = parseOnnx(bytes, 'mutated.onnx');
    lower(graph, size);
    sizesOf(graph);
    serialiseOnnx(graph);
  });
}

/** The header is what can lie: most changes are in it. */
export async function damagedStateDicts(count: number, seed: number): Outcomes {
  const network = zooNetwork('unet');
  const lowered = lower(network, [8, 8]);
  const arrays = [...network.initializers].flatMap(([name, { data }]) =>
    data instanceof BigInt64Array ? [] : [[name, data satisfies SafetensorsArray] as const],
  );
  const whole = withShapes(Buffer.concat(safetensorsChunks(new Map(arrays), { producer: 'test' })), network);
  const reach = Math.ceil((8 + Number(whole.readBigUInt64LE(0))) * 1.1);
  const folder = await mkdtemp(join(tmpdir(), 'tracin-fuzz-'));
  const path = join(folder, 'mutated.safetensors');
  try {
    return await fuzz(whole, { count, seed, reach, codes: /^ERR_TRACIN_CHECKPOINT$/ }, async (bytes) => {
      await writeFile(path, bytes);
      const file = await openSafetensors(path);
      try {
        for (const name of file.tensors.keys()) await file.read(name);
      } finally {
        await file.close();
      }
      await readStateDict(path, network, lowered, (name) => name);
    });
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The same file with the dims that PyTorch would have written. */
function withShapes(file: Buffer, network: Graph): Buffer {
  const end = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, end)) as Record<string, { shape: readonly number[] }>;
  for (const [name, { dims }] of network.initializers) if (header[name]) header[name].shape = dims;
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, file.subarray(end)]);
}
