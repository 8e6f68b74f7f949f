/** What is taken as logits: before softmax, sigmoid and argmax, of one channel, channels last, of several outputs. */
import type { Graph, Node, Tensor } from '../../lib/graph/graph';
import { lower, sizesOf } from '../../lib/graph/lower';
import { referenceCore } from '../support/core';
import { floats, graphOf, integers, node, product, ramp, runGraph } from './support';

const SIZE = [4, 6];
const kernel = (...dims: number[]): Tensor => floats(dims, ramp(product(dims)));
const image = ramp(2 * product(SIZE));

/** A convolution `c` of 3 channels (or as many as said) before the ending. */
function ending(nodes: Node[], options: { channels?: number; opset?: number; initializers?: Record<string, Tensor> } = {}): Graph {
  const { channels = 3, opset = 13, initializers = {} } = options;
  return graphOf(
    [node('Conv', ['image', 'k'], ['c']), ...nodes],
    { k: kernel(channels, 2, 1, 1), ...initializers },
    { dims: ['N', 2, 'H', 'W'], opset },
  );
}

const logitsOf = (graph: Graph): Float64Array => referenceCore(graph, SIZE).program.forward(image, false).logits;

async function convolved(channels = 3): Promise<Float32Array> {
  const plain = ending([node('Identity', ['c'], ['logits'])], { channels });
  return (await runGraph(plain, image, [1, 2, ...SIZE])).data;
}

const endings: [string, Graph, string[]][] = [
  ['nothing', ending([node('Identity', ['c'], ['logits'])]), []],
  ['Softmax', ending([node('Softmax', ['c'], ['logits'], { axis: 1 })]), ['Softmax']],
  ['LogSoftmax', ending([node('LogSoftmax', ['c'], ['logits'], { axis: -3 })]), ['LogSoftmax']],
  ['Log of Softmax', ending([node('Softmax', ['c'], ['p'], { axis: 1 }), node('Log', ['p'], ['logits'])]), ['Softmax']],
  ['ArgMax', ending([node('ArgMax', ['c'], ['logits'], { axis: 1, keepdims: 0 })]), ['ArgMax']],
  ['ArgMax of Softmax, cast', ending([node('Softmax', ['c'], ['p'], { axis: 1 }), node('ArgMax', ['p'], ['a'], { axis: 1 }), node('Cast', ['a'], ['logits'], { to: 1 })]), ['Softmax']],
  ['Softmax with channels last', ending([node('Transpose', ['c'], ['l'], { perm: [0, 2, 3, 1] }), node('Softmax', ['l'], ['logits'], { axis: 3 })]), ['Softmax']],
  ['Softmax between transposes, opset 11', ending([node('Transpose', ['c'], ['l'], { perm: [0, 2, 3, 1] }), node('Softmax', ['l'], ['p'], { axis: 3 }), node('Transpose', ['p'], ['logits'], { perm: [0, 3, 1, 2] })], { opset: 11 }), ['Softmax']],
  ['Softmax over pixels as one axis', ending([node('Reshape', ['c', 's'], ['l']), node('Softmax', ['l'], ['logits'], { axis: 1 })], { initializers: { s: integers([0, 3, -1]) } }), ['Softmax']],
  ['Softmax written out', ending([node('ReduceMax', ['c'], ['m'], { axes: [1] }), node('Sub', ['c', 'm'], ['d']), node('Exp', ['d'], ['e']), node('ReduceSum', ['e', 'one'], ['s']), node('Div', ['e', 's'], ['logits'])], { initializers: { one: integers([1]) } }), ['Softmax']],
]; // prettier-ignore

test.each(endings)('%s: the logits before it', async (name, graph, named) => {
  const expected = await convolved();
  const found = logitsOf(graph);
  // Softmax does not change when every logit does by as much.
  const shift = (values: ArrayLike<number>, i: number): number => (name === 'Softmax written out' ? values[i % product(SIZE)]! : 0);
  found.forEach((value, i) => expect(value - shift(found, i)).toBeCloseTo(expected[i]! - shift(expected, i), 4));
  expect(lower(graph, SIZE).notes).toEqual(named.map((operator) => `output 'logits' ends in ${operator}: the logits before it are used`));
});

const turned: [string, Node[]][] = [
  ['Softmax', [node('Transpose', ['s'], ['logits'], { perm: [0, 3, 2, 1] })]],
  ['Softmax, its logarithm and a whole reversal', [node('Log', ['s'], ['g']), node('Transpose', ['g'], ['t'], { perm: [1, 2, 3, 0] }), node('Transpose', ['t'], ['logits'])]],
  ['ArgMax of Softmax', [node('Transpose', ['s'], ['t'], { perm: [0, 3, 2, 1] }), node('ArgMax', ['t'], ['logits'], { axis: 1, keepdims: 0 })]],
  ['Softmax and its channel axis split', [node('Transpose', ['s'], ['t'], { perm: [0, 3, 2, 1] }), node('Reshape', ['t', 'split'], ['logits'])]],
]; // prettier-ignore

// As torch writes softmax(x, 1) up to opset 12. On square images nothing but the way to the output tells rows from columns.
test.each(turned)('%s between transposes of columns and classes: the logits as they lie at the output', (_, after) => {
  const size = [5, 5];
  const images = ramp(2 * product(size));
  const graph = (nodes: Node[]): Graph => ending(nodes, { opset: 12, initializers: { split: integers([0, 3, 1, 5, 5]) } });
  const before = [node('Transpose', ['c'], ['l'], { perm: [0, 3, 2, 1] }), node('Softmax', ['l'], ['s'], { axis: 3 })];
  const forward = (nodes: Node[]): Float64Array => referenceCore(graph(nodes), size).program.forward(images, false).logits;
  expect(forward([...before, ...after])).toEqual(forward([node('Identity', ['c'], ['logits'])]));
  expect(lower(graph([...before, ...after]), SIZE).notes).toEqual(["output 'logits' ends in Softmax: the logits before it are used"]);
});

test.each([
  ['Softmax', [node('Softmax', ['c'], ['p'], { axis: 1 }), node('Slice', ['p', 'one', 'three', 'one'], ['logits'])]],
  ['ArgMax of a part of Softmax', [node('Softmax', ['c'], ['p'], { axis: 1 }), node('Slice', ['p', 'one', 'three', 'one'], ['s']), node('ArgMax', ['s'], ['logits'], { axis: 1 })]],
])('a part of %s is no logits', (_, nodes) => {
  const graph = ending(nodes, { initializers: { one: integers([1]), three: integers([3]) } });
  expect(() => lower(graph, SIZE)).toThrow(/output 'logits' is a part of what Softmax .* makes/);
}); // prettier-ignore

test('a part of a convolution’s maps is', () => {
  const graph = ending([node('Slice', ['c', 'zero', 'two', 'axis'], ['logits'])], {
    initializers: { zero: integers([0]), two: integers([2]), axis: integers([1]) },
  });
  expect(lower(graph, SIZE).notes).toEqual([]);
});

const single: [string, Graph][] = [
  ['a sigmoid', ending([node('Sigmoid', ['c'], ['logits'])], { channels: 1 })],
  ['logits', ending([node('Identity', ['c'], ['logits'])], { channels: 1 })],
  ['a sigmoid above a threshold', ending([node('Sigmoid', ['c'], ['p']), node('Constant', [], ['half'], { value: floats([], [0.5]) }), node('Greater', ['p', 'half'], ['logits'])], { channels: 1 })],
  ['a sigmoid without a channel axis', ending([node('Squeeze', ['c', 'one'], ['s']), node('Sigmoid', ['s'], ['logits'])], { channels: 1, initializers: { one: integers([1]) } })],
]; // prettier-ignore

test.each(single)('one channel of %s is two classes, the first of logit 0', async (_, graph) => {
  const expected = await convolved(1);
  const found = logitsOf(graph);
  const pixels = product(SIZE);
  expect(found).toHaveLength(2 * pixels);
  expect(found.subarray(0, pixels).every((value) => value === 0)).toBe(true);
  found.subarray(pixels).forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 5));
  expect(lower(graph, SIZE).notes).toContain(
    "output 'logits' has one channel: it is taken as the logit of class 1, the background's being 0",
  );
});

test('a sigmoid of several channels is said to be taken as classes', () => {
  expect(lower(ending([node('Sigmoid', ['c'], ['logits'])]), SIZE).notes).toContainEqual(
    expect.stringContaining('classes that exclude each other'),
  );
});

describe('of several outputs', () => {
  const graph = ending([
    node('MaxPool', ['c'], ['small'], { kernel_shape: [2, 2], strides: [2, 2] }),
    node('Relu', ['c'], ['other']),
    node('Tanh', ['c'], ['logits']),
  ]);
  const several = { ...graph, outputs: ['small', 'logits', 'other'].map((name) => ({ ...graph.outputs[0]!, name })) };

  test('the first of full size is taken, and said so', () => {
    const lowered = lower(several, SIZE);
    expect(lowered.operations.map(({ type }) => type)).toEqual(['Conv', 'Elementwise']);
    expect(lowered.notes).toEqual(["output 'logits' is taken, the network also has small, other: choose with --output"]);
  });

  test('the one asked for is taken', () => {
    const lowered = lower(several, SIZE, { output: 'other' });
    expect(lowered.operations.map(({ type }) => type)).toEqual(['Conv', 'Relu']);
    expect(lowered.notes).toEqual([]);
    expect(() => lower(several, SIZE, { output: 'small' })).toThrow("output 'small' is [N, 3, 2, 3]");
    expect(() => lower(several, SIZE, { output: 'lost' })).toThrow("has no output 'lost': its outputs are small, logits, other");
    expect(sizesOf(several, { output: 'other' }).stride).toEqual([1, 1]);
  });
});

describe('channels last', () => {
  /** [N, H, W, 2] as tf2onnx writes it: transposed around every operator on maps. */
  const nodes = [
    node('Transpose', ['image', ], ['first'], { perm: [0, 3, 1, 2] }),
    node('Conv', ['first', 'k'], ['a'], { pads: [1, 1, 1, 1] }),
    node('Transpose', ['a'], ['al'], { perm: [0, 2, 3, 1] }),
    node('Add', ['al', 'bias'], ['b']),
    node('Relu', ['b'], ['r']),
    node('Mul', ['r', 'b'], ['g']),
    node('ReduceMean', ['g'], ['mean'], { axes: [1, 2] }),
    node('Mul', ['g', 'mean'], ['s']),
    node('Concat', ['s', 'r'], ['j'], { axis: 3 }),
    node('Pad', ['j', 'pads'], ['p']),
    node('Transpose', ['p'], ['pf'], { perm: [0, 3, 1, 2] }),
    node('Conv', ['pf', 'h'], ['c']),
    node('Transpose', ['c'], ['cl'], { perm: [0, 2, 3, 1] }),
    node('Softmax', ['cl'], ['logits'], { axis: -1 }),
  ]; // prettier-ignore
  const initializers = { k: kernel(4, 2, 3, 3), h: kernel(3, 8, 2, 2), bias: kernel(4), pads: integers([0, 0, 1, 0, 0, 1, 0, 0]) };
  const graph = graphOf(nodes, initializers, { dims: ['N', 'H', 'W', 2] });

  test('transposes cancel, and the numbers are those of onnxruntime', async () => {
    const last = Float32Array.from(image, (_, i) => image[(i % 2) * product(SIZE) + Math.floor(i / 2)]!);
    const ran = await runGraph(
      { ...graph, nodes: nodes.map((each) => (each.operator === 'Softmax' ? node('Identity', ['cl'], ['logits']) : each)) },
      last,
      [1, ...SIZE, 2],
    );
    const lowered = lower(graph, SIZE);
    const maps = lowered.operations.filter(({ type, output }) => type === 'Rearrange' && lowered.values[output]!.kind === 'activation');
    // the one that pads
    expect(maps).toHaveLength(1);
    expect(lowered.values[lowered.input]!.dims).toEqual([2, ...SIZE]);
    const pixels = product(SIZE);
    logitsOf(graph).forEach((value, i) => expect(value).toBeCloseTo(ran.data[(i % pixels) * 3 + Math.floor(i / pixels)]!, 3));
  });

  test.each([
    ['the second axis is free', ['N', 'H', 'W', 2]],
    ['the image is transposed first, all axes fixed', [1, 4, 6, 2]],
  ])('are seen where %s', (_, dims) => {
    expect(lower({ ...graph, inputs: [{ ...graph.inputs[0]!, dims }] }, SIZE).values[0]!.dims).toEqual([2, ...SIZE]);
    expect(sizesOf({ ...graph, inputs: [{ ...graph.inputs[0]!, dims }] }).stride).toEqual(typeof dims[1] === 'number' ? SIZE : [1, 1]);
  });
});
