import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Graph, Tensor } from '../../lib/graph/graph';
import { lower } from '../../lib/graph/lower';
import { readNameMap, readStateDict, tensorNames, type NameMap } from '../../lib/graph/state-dict';
import { GraphBuilder } from '../support/graphs';
import { encodeSafetensors, type StoredTensor } from '../support/safetensors';

let dir: string;
beforeAll(async () => void (dir = await mkdtemp(join(tmpdir(), 'tracin-'))));
afterAll(() => rm(dir, { recursive: true }));

/** A convolution, a normalisation (if asked for), a head; `spare` is read by nothing. */
function network(seed: number, normalised = true): Graph {
  const g = new GraphBuilder({ modalities: 1, seed });
  g.weight('spare', [2]);
  const x = g.conv('image', 'body', 1, 2, [1, 1]);
  const graph = g.build(g.mix(normalised ? g.batchNormalization(x, 'norm', 2) : x, 'head', 2, 4));
  return { ...graph, source: 'net.onnx' };
}

const bytesOf = (data: ArrayBufferView): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
const stored = ({ dims, data }: Tensor, dtype = 'F32'): StoredTensor => {
  if (dtype === 'F64') return { dtype, shape: dims, bytes: bytesOf(Float64Array.from(data, Number)) };
  return { dtype, shape: dims, bytes: bytesOf(data) };
};
const tracked: StoredTensor = { dtype: 'I64', shape: [], bytes: new Uint8Array(8) };

/** The state dict of a network, changed. */
async function save(graph: Graph, change: (tensors: Record<string, StoredTensor>) => void = () => undefined): Promise<string> {
  const tensors = Object.fromEntries([...graph.initializers].map(([name, tensor]) => [name, stored(tensor)]));
  change(tensors);
  const path = join(dir, 'a.safetensors');
  await writeFile(path, encodeSafetensors(tensors));
  return path;
}

const read = (path: string, graph: Graph, map?: NameMap) => readStateDict(path, graph, lower(graph, [4, 4]), tensorNames(map, graph));
const refused = async (promise: Promise<unknown>): Promise<string> => {
  const error = (await promise.catch((cause: unknown) => cause)) as Error;
  expect(error).toMatchObject({ code: 'ERR_TRACIN_CHECKPOINT' });
  expect(error.message).not.toContain('\n');
  return error.message;
};

test('gives the network the numbers of the file, whatever their width, and lists what is left on both sides', async () => {
  const trained = network(2);
  const path = await save(trained, (tensors) => {
    tensors['norm.num_batches_tracked'] = tracked;
    tensors['head.weight'] = stored(trained.initializers.get('head.weight')!, 'F64');
    delete tensors.spare;
  });
  const { graph, unmatched } = await read(path, network(1));
  expect(graph.source).toBe(path);
  for (const [name, { data }] of network(1).initializers) {
    const expected = name === 'spare' ? data : trained.initializers.get(name)!.data;
    expect(graph.initializers.get(name)!.data).toEqual(expected);
  }
  expect(unmatched).toEqual({ tensors: ['norm.num_batches_tracked'], initializers: ['spare'] });
});

test.each<[string, NameMap]>([
  ['names', { 'body.weight': 'model.first.weight', 'body.bias': 'model.first.bias' }],
  [
    'patterns',
    [
      ['^body\\.(.*)$', 'model.second.$1'],
      ['second', 'first'],
    ],
  ],
])('takes a map of %s', async (_, map) => {
  const trained = network(2);
  const path = await save(trained, (tensors) => {
    for (const part of ['weight', 'bias']) {
      tensors[`model.first.${part}`] = tensors[`body.${part}`]!;
      delete tensors[`body.${part}`];
    }
  });
  const file = join(dir, 'map.json');
  await writeFile(file, JSON.stringify(map));
  const { graph, unmatched } = await read(path, network(1), await readNameMap(file));
  expect(graph.initializers.get('body.weight')!.data).toEqual(trained.initializers.get('body.weight')!.data);
  expect(unmatched).toEqual({ tensors: [], initializers: [] });
  expect(await refused(read(path, network(1)))).toMatch(
    /a\.safetensors: has no tensor 'body\.weight' for 'body\.weight' \(and 1 more\) of net\.onnx: .*--map.*: model\.first\.weight, model\.first\.bias$/,
  );
});

test('refuses, by name, what is missing or does not fit', async () => {
  const graph = network(1);
  const head = stored(graph.initializers.get('head.weight')!);
  const without = (name: string) => save(graph, (tensors) => void delete tensors[name]);
  const instead = (name: string, tensor: StoredTensor) => save(graph, (tensors) => void (tensors[name] = tensor));
  expect(await refused(read(await without('norm.variance'), graph))).toContain("no tensor 'norm.variance' for 'norm.variance' of net.onnx");
  expect(await refused(read(await instead('head.weight', { ...head, shape: [2, 4, 1, 1] }), graph))).toContain(
    "tensor 'head.weight' is [2, 4, 1, 1], the initializer in net.onnx [4, 2, 1, 1]",
  );
  const integers: StoredTensor = { dtype: 'I64', shape: head.shape, bytes: new Uint8Array(64) };
  expect(await refused(read(await instead('head.weight', integers), graph))).toContain("tensor 'head.weight' is I64");
});

test('says so when the exporter has transposed a matrix', async () => {
  const builder = new GraphBuilder({ modalities: 1 });
  builder.weight('matrix', [3, 2]);
  const graph = builder.build(builder.mix('image', 'head', 1, 4));
  const path = await save(graph, (tensors) => void (tensors.matrix = { ...tensors.matrix!, shape: [2, 3] }));
  expect(await refused(read(path, graph))).toMatch(/tensor 'matrix' is \[2, 3\], .* \[3, 2\]: the exporter has transposed it/);
});

test('refuses statistics that the exporter has folded into kernels: the kernels of the file are others', async () => {
  const graph = network(1, false);
  const path = await save(graph, (tensors) => void (tensors['norm.running_var'] = tensors['body.bias']!));
  expect(await refused(read(path, graph))).toMatch(/statistic 'norm\.running_var', but net\.onnx has no BatchNormalization/);
});

test.each<[string, string, RegExp]>([
  ['{', 'JSON', /map\.json: is not valid JSON/],
  ['{"a": 1}', 'a number', /map\.json: a map is an object .* or a list/],
  ['[["a"]]', 'half a rule', /map\.json: a map is an object .* or a list/],
])('refuses the map %s (%s)', async (text, _, message) => {
  const file = join(dir, 'map.json');
  await writeFile(file, text);
  await expect(readNameMap(file)).rejects.toMatchObject({ code: 'ERR_TRACIN_USAGE', message: expect.stringMatching(message) as string });
});

test('refuses names and patterns that are none', () => {
  expect(() => tensorNames({ nothing: 'a' }, network(1))).toThrow("net.onnx has no initializer 'nothing'");
  expect(() => tensorNames([['(', 'a']], network(1))).toThrow("'(' is not a regular expression");
});
