import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openArrays } from '../../lib/dataset/arrays';
import type { Graph, Node } from '../../lib/graph/graph';
import { lower } from '../../lib/graph/lower';
import { readOnnx, writeOnnx } from '../../lib/graph/onnx';
import { openInference } from '../../lib/inference/inference';
import { argmaxLabels } from '../../lib/inference/labels';
import { predict } from '../../lib/inference/predict';
import { plainOutput, programPredictor } from '../../lib/inference/predictor';
import { readNpy, writeNpy } from '../../lib/npy';
import { node } from '../graph/support';
import { ENGINES } from '../support/engines';
import { GraphBuilder } from '../support/graphs';
import { uniform } from '../support/numbers';

const SIZE = [8, 6];
const PIXELS = 48;
const IMAGES = Float32Array.from({ length: 3 * 3 * PIXELS }, uniform(3));

let dir: string;
beforeAll(async () => void (dir = await mkdtemp(join(tmpdir(), 'tracin-'))));
afterAll(() => rm(dir, { recursive: true }));

/** A network of `classes` logits called `logits`, and what follows them, ending in `outputs`. */
function network(classes: number, after: Node[] = [], outputs: Graph['outputs'] = []): Graph {
  const g = new GraphBuilder();
  const graph = g.build(g.mix(g.node('Relu', [g.conv('image', 'body', 3, 5, [3, 3], { pads: [1, 1, 1, 1] })]), 'head', 5, classes));
  const logits = { name: 'logits', type: 'float32' as const, dims: ['N', classes, 'H', 'W'] };
  return { ...graph, nodes: [...graph.nodes, ...after], outputs: outputs.length > 0 ? outputs : [logits] };
}

const output = (name: string, dims: Graph['outputs'][number]['dims'], type: 'float32' | 'int64' = 'float32') => ({ name, type, dims });

test('an output that is the logits is found, one that is made from them is none', () => {
  const plain = network(4);
  expect(plainOutput(plain, lower(plain, SIZE))).toBe('logits');
  const lowered = lower(plain, SIZE);
  const probabilities = { ...network(4, [node('Softmax', ['logits'], ['p'], { axis: 1 })]), outputs: [output('p', ['N', 4, 'H', 'W'])] };
  expect(plainOutput(probabilities, lowered)).toBeUndefined();
  const both = { ...probabilities, outputs: [...probabilities.outputs, output('logits', ['N', 4, 'H', 'W'])] };
  expect(plainOutput(both, lowered)).toBe('logits');
  const one = { ...plain, outputs: [output('logits', [1, 4, 'H', 'W'])] };
  expect(plainOutput(one, lowered)).toBeUndefined();
  const unsure = { ...plain, outputs: [output('logits', ['N', 'C', 'H', 'W'])] };
  expect(plainOutput(unsure, lowered)).toBeUndefined();
});

test('an engine predicts the labels that onnxruntime does', async () => {
  const file = join(dir, 'plain.onnx');
  await writeOnnx(file, network(4));
  const inference = await openInference(file);
  const expected = await inference.labels(IMAGES, [3, 3, ...SIZE]);
  await inference.close();
  expect(new Set(expected).size).toBeGreaterThan(1);
  for (const engine of ENGINES) {
    const program = await engine.compile(await readOnnx(file), { size: SIZE });
    const predictor = programPredictor(program, file);
    expect(await predictor.labels(IMAGES, [3, 3, ...SIZE])).toEqual(expected);
    expect(predictor.channels).toBe(4);
    await predictor.close();
    program.dispose();
  }
});

const FOUR = ['N', 4, 'H', 'W'];
test.each<[string, number, Node[], Graph['outputs'][number]]>([
  ['Softmax', 4, [node('Softmax', ['logits'], ['y'], { axis: 1 })], output('y', FOUR)],
  ['LogSoftmax', 4, [node('LogSoftmax', ['logits'], ['y'], { axis: 1 })], output('y', FOUR)],
  ['ArgMax', 4, [node('ArgMax', ['logits'], ['y'], { axis: 1, keepdims: 1 })], output('y', ['N', 1, 'H', 'W'], 'int64')],
  ['a Sigmoid of one channel', 1, [node('Sigmoid', ['logits'], ['y'])], output('y', ['N', 1, 'H', 'W'])],
])('a network that ends in %s is predicted by its logits', async (_, classes, after, made) => {
  const [ends, plain] = [join(dir, 'ends.onnx'), join(dir, 'logits.onnx')];
  await writeOnnx(ends, network(classes, after, [made]));
  await writeOnnx(plain, network(classes));
  const inference = await openInference(plain);
  const logits = await inference.logits(IMAGES, [3, 3, ...SIZE]);
  await inference.close();
  const expected = classes === 1 ? Uint8Array.from(logits, (x) => (x > 0 ? 1 : 0)) : argmaxLabels(logits, classes, PIXELS);
  const images = join(dir, 'images.npy');
  await writeNpy(images, [3, 3, ...SIZE], IMAGES);
  const data = await openArrays({ images, classes: classes === 1 ? ['lesion'] : ['a', 'b', 'c'] });
  const { files } = await predict({ network: { checkpoint: ends }, data, out: join(dir, 'out') });
  await data.close();
  expect(new Set(expected).size).toBeGreaterThan(1);
  expect((await readNpy(files[0]!)).data).toEqual(expected);
});
