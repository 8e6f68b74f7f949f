/** Lowering: what the logits need, parameters by their use, shapes, strides, refusals. */
import fc from 'fast-check';
import type { Graph, Node, Tensor } from '../../lib/graph/graph';
import { lower, sizesOf } from '../../lib/graph/lower';
import { readOnnx } from '../../lib/graph/onnx';
import { inputBox } from '../../lib/graph/boxes';
import { referenceCore } from '../support/core';
import { CHECKPOINTS, describeOracle } from '../support/oracle';
import { floats, graphOf, integers, node, product, ramp, runGraph } from './support';

const kernel = (...dims: number[]): Tensor => floats(dims, ramp(product(dims)));

/** `nodes` make `x` of `channels` channels from the image; a 1×1 head follows. */
function withHead(nodes: Node[], initializers: Record<string, Tensor> = {}, channels = 1, dims?: (number | string)[]): Graph {
  const rank = (dims?.length ?? 4) - 2;
  return graphOf(
    [...nodes, node('Conv', ['x', 'head'], ['logits'])],
    { head: kernel(3, channels, ...new Array<number>(rank).fill(1)), ...initializers },
    dims ? { dims } : {},
  );
}

const message = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    expect(error).toMatchObject({ code: 'ERR_TRACIN_GRAPH' });
    expect((error as Error).message).not.toContain('\n');
    return (error as Error).message;
  }
  throw new Error('was not refused');
};

test('what the logits do not need is dropped, and Identity, Dropout and Constant vanish', () => {
  const graph = withHead(
    [
      node('Constant', [], ['ratio'], { value: floats([], [0.5]) }),
      node('Dropout', ['image', 'ratio'], ['d', 'mask']),
      node('Identity', ['d'], ['x']),
      node('MysteryOperator', ['image'], ['unused']),
    ],
    { spare: floats([2], [1, 2]) },
  );
  const lowered = lower(graph, [6, 5]);
  expect(lowered.operations.map(({ type, inputs }) => [type, inputs])).toEqual([['Conv', [0, 1]]]);
  expect(lowered.values).toEqual([
    { kind: 'activation', name: 'image', dims: [1, 6, 5] },
    { kind: 'parameter', name: 'head', dims: [3, 1, 1, 1], role: 'kernel' },
    { kind: 'activation', name: 'logits', dims: [3, 6, 5] },
  ]);
  expect(lowered).toMatchObject({ input: 0, logits: 2, head: 0 });
});

test.each([0, 1, 2, 3, 4, 5])('a constant named %i, as torch counts its values, is no other one', (name) => {
  const graph = withHead([
    node('Softsign', ['image'], ['s']), // with a 1 of its own
    node('Constant', [], [String(name)], { value: floats([], [3]) }),
    node('Add', ['s', String(name)], ['t']),
    node('Softsign', ['t'], ['x']),
  ]);
  const numbers = lower(graph, [4, 4]).values.flatMap((value) => (value.kind === 'constant' ? [value.data[0]] : []));
  expect(numbers).toEqual([1, 3, 1]);
});

test('parameters are found by their use, in the order of it; names mean nothing', () => {
  const graph = withHead(
    [
      node('Conv', ['image', 'mean', 'variance'], ['a'], { pads: [1, 1, 1, 1] }),
      node('BatchNormalization', ['a', 'bias', 'kernel', 'weight', 'alpha'], ['b']),
      node('Add', ['b', 'scale'], ['c']),
      node('Mul', ['c', 'one'], ['d']),
      node('Constant', [], ['fixed'], { value: kernel(1, 2, 1, 1) }),
      node('Mul', ['d', 'fixed'], ['x']),
    ],
    {
      mean: kernel(2, 1, 3, 3),
      variance: kernel(2),
      bias: kernel(2),
      kernel: kernel(2),
      weight: kernel(2),
      alpha: kernel(2),
      scale: kernel(1, 2, 1, 1),
      one: kernel(1),
    },
    2,
  );
  const { parameters, values, notes } = lower(graph, [4, 4]);
  expect(parameters.map(({ name, role, size }) => [name, role, size])).toEqual([
    ['mean', 'kernel', 18],
    ['variance', 'bias', 2],
    ['bias', 'scale', 2],
    ['kernel', 'shift', 2],
    ['scale', 'bias', 2],
    ['head', 'kernel', 6],
  ]);
  expect(notes).toEqual(["'one' is one number of the arithmetic, not counted as a parameter"]);
  expect(values.filter(({ kind }) => kind === 'statistic').map(({ name }) => name)).toEqual(['weight', 'alpha']);
  expect(values.filter(({ kind }) => kind === 'constant')).toEqual([
    { kind: 'constant', name: 'one', dims: [1], data: Float64Array.from(kernel(1).data, Number) },
    { kind: 'constant', name: 'fixed', dims: [2, 1, 1], data: Float64Array.from(kernel(2).data, Number) },
  ]);
});

test('a normalisation exported in training is taken as in use', () => {
  const graph = withHead(
    [node('BatchNormalization', ['image', 's', 'b', 'm', 'v'], ['x', 'mean', 'variance'], { training_mode: 1, epsilon: 1e-3 })],
    {
      s: kernel(1),
      b: kernel(1),
      m: kernel(1),
      v: kernel(1),
    },
  );
  expect(lower(graph, [4, 4]).operations[0]).toMatchObject({ type: 'BatchNormalization', attributes: { epsilon: 1e-3, momentum: 0.9 } });
});

test('an initializer used twice is one parameter', () => {
  const graph = withHead([node('Conv', ['image', 'w'], ['a']), node('Identity', ['w'], ['same']), node('Conv', ['a', 'same'], ['x'])], {
    w: kernel(1, 1, 1, 1),
  });
  const { parameters, operations } = lower(graph, [4, 4]);
  expect(parameters.map(({ name }) => name)).toEqual(['w', 'head']);
  expect(operations[0]!.inputs[1]).toBe(operations[1]!.inputs[1]);
});

test('the head is the last convolution on the way to the logits', () => {
  const graph = graphOf([node('Conv', ['image', 'k'], ['c']), node('Tanh', ['c'], ['logits']), node('Conv', ['image', 'k'], ['late'])], {
    k: kernel(2, 1, 1, 1),
  });
  const { operations, head } = lower(graph, [3, 3]);
  expect(operations.map(({ name }) => name)).toEqual(['Conv of c', 'Tanh of logits']);
  expect(head).toBe(0);
});

test('of several outputs the first that fits is taken', () => {
  const nodes = [
    node('MaxPool', ['image'], ['p'], { kernel_shape: [2, 2], strides: [2, 2] }),
    node('Conv', ['p', 'k'], ['deep']),
    node('Conv', ['image', 'k'], ['logits']),
  ];
  const graph = graphOf(nodes, { k: kernel(2, 1, 1, 1) });
  const two = { ...graph, outputs: [{ ...graph.outputs[0]!, name: 'deep' }, ...graph.outputs] };
  const lowered = lower(two, [4, 4]);
  expect(lowered.values[lowered.logits]!.name).toBe('logits');
});

test('numpy broadcasting of activations and constants has the numbers of onnxruntime', async () => {
  const dims = fc.constantFrom([], [1], [5], [4, 1], [1, 5], [3, 1, 1], [1, 4, 5], [1, 3, 4, 1], [2], [7, 4, 5]);
  await fc.assert(
    fc.asyncProperty(dims, fc.constantFrom('Add', 'Sub', 'Mul', 'Div', 'Max'), fc.boolean(), async (shape, operator, swapped) => {
      const graph = withHead(
        [node('Constant', [], ['c'], { value: kernel(...shape) }), node(operator, swapped ? ['c', 'image'] : ['image', 'c'], ['x'])],
        { head: kernel(2, 3, 1, 1) },
        3,
        [1, 3, 4, 5],
      );
      const ran = await runGraph(graph, ramp(60), [1, 3, 4, 5]).catch(() => undefined);
      if (!ran) return expect(() => lower(graph, [4, 5])).toThrow('do not fit');
      const { logits } = referenceCore(graph, [4, 5]).program.forward(ramp(60), false);
      logits.forEach((value, i) => expect(value).toBeCloseTo(ran.data[i]!, 4));
    }),
    { numRuns: 60, seed: 9 },
  );
});

test.each([
  ['1-D', ['N', 2, 'L'], [8], [1, 1]],
  ['3-D', ['N', 2, 'D', 'H', 'W'], [4, 6, 8], [1, 1, 1, 1, 1, 1]],
])('%s networks are lowered by the same code', (_, dims, size, pads) => {
  const rank = size.length;
  const twos = new Array<number>(rank).fill(2);
  const threes = new Array<number>(rank).fill(3);
  const graph = withHead(
    [
      node('Conv', ['image', 'k'], ['a'], { pads }),
      node('MaxPool', ['a'], ['b'], { kernel_shape: twos, strides: twos }),
      node('Resize', ['b', '', 'scales'], ['c'], { mode: 'linear' }),
      node('Concat', ['a', 'c'], ['x'], { axis: 1 }),
    ],
    { k: kernel(2, 2, ...threes), scales: floats([rank + 2], [1, 1, ...twos]) },
    4,
    dims,
  );
  const lowered = lower(graph, size);
  expect(lowered.values[lowered.logits]!.dims).toEqual([3, ...size]);
  expect(sizesOf(graph).stride).toEqual(twos);
  const box = inputBox(lowered.operations[0]!, size.map((): [number, number] => [1, 2]), size); // prettier-ignore
  expect(box).toEqual(size.map(() => [0, 3]));
});

test('sizes computed by shape arithmetic are folded', () => {
  const graph = withHead(
    [
      node('MaxPool', ['image'], ['p'], { kernel_shape: [2, 2], strides: [2, 2] }),
      node('Shape', ['image'], ['s']),
      node('Gather', ['s', 'two'], ['h']),
      node('Unsqueeze', ['h', 'zero'], ['hs']),
      node('Slice', ['s', 'three', 'end'], ['ws']),
      node('Concat', ['hs', 'ws'], ['hw'], { axis: 0 }),
      node('Cast', ['hw'], ['cast'], { to: 7 }),
      node('Shape', ['p'], ['front'], { start: 0, end: 2 }),
      node('Concat', ['front', 'cast'], ['sizes'], { axis: 0 }),
      node('Resize', ['p', '', '', 'sizes'], ['x'], { mode: 'nearest' }),
    ],
    {
      two: { type: 'int64', dims: [], data: BigInt64Array.of(2n) },
      zero: integers([0]),
      three: integers([3]),
      end: { type: 'int64', dims: [1], data: BigInt64Array.of(2n ** 63n - 1n) },
    },
  );
  const lowered = lower(graph, [7, 9]);
  expect(lowered.values[lowered.logits]!.dims).toEqual([3, 7, 9]);
});

describe('sizesOf', () => {
  const pool = (from: string, to: string, size: number[]): Node => node('MaxPool', [from], [to], { kernel_shape: size, strides: size });
  const up = (from: string, to: string): Node =>
    node('Resize', [from, '', 'scales'], [to], { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' });

  test('is what the sizes must be divisible by on each axis, and the message of other sizes names it', () => {
    const graph = withHead([pool('image', 'p', [2, 6]), up('p', 'x')], { scales: floats([4], [1, 1, 2, 6]) });
    expect(sizesOf(graph).stride).toEqual([2, 6]);
    expect(lower(graph, [4, 12]).operations).toHaveLength(3);
    expect(message(() => lower(graph, [4, 10]))).toBe(
      'test.onnx: image size [4, 10] does not fit the network: sizes must be divisible by [2, 6]',
    );
  });

  test('does not count maps of fixed size', () => {
    const graph = withHead([node('GlobalAveragePool', ['image'], ['g']), node('Mul', ['image', 'g'], ['x'])]);
    expect(sizesOf(graph).stride).toEqual([1, 1]);
  });

  test('of a graph of fixed size is that size', () => {
    const graph = withHead([node('Relu', ['image'], ['x'])], {}, 1, ['N', 1, 24, 20]);
    expect(sizesOf(graph)).toEqual({ stride: [24, 20], only: true });
    expect(message(() => lower(graph, [12, 20]))).toMatch(
      /^test\.onnx: was exported for images of 24 × 20 alone, not 12 × 20: export it with free axes .*, or crop or pad the images/,
    );
    expect(message(() => lower(graph, [48, 40]))).toContain('of 24 × 20 alone, not 48 × 40');
  });

  test('of a graph into which one size was written on export, its axes free by name, is that size', () => {
    const sizes = { sizes: integers([1, 1, 96, 96]) };
    const graph = withHead([pool('image', 'p', [2, 2]), node('Resize', ['p', '', '', 'sizes'], ['x'], { mode: 'nearest' })], sizes);
    expect(sizesOf(graph)).toEqual({ stride: [96, 96], only: true });
    expect(lower(graph, [96, 96]).operations).toHaveLength(3);
    expect(message(() => lower(graph, [192, 192]))).toContain('was exported for images of 96 × 96 alone, not 192 × 192');
  });

  test('of a graph no size fits says why', () => {
    const graph = withHead([pool('image', 'x', [2, 2])]);
    expect(message(() => sizesOf(graph))).toContain('logits');
  });
});

describe('refuses, naming file and node,', () => {
  const cases: [string, Graph, string][] = [
    ['an unknown operator', withHead([node('GridSample', ['image'], ['x'])]), "test.onnx: operator GridSample (node 'GridSample of x') is not supported"],
    ['a custom domain', withHead([{ ...node('Relu', ['image'], ['x']), domain: 'com.example' }]), "operator Relu (node 'Relu of x') is not supported: operators of the domain 'com.example'"],
    ['control flow', withHead([node('If', ['image'], ['x'])]), 'control flow'],
    ['a quantised network', withHead([node('QLinearConv', ['image'], ['x'])]), 'quantised'],
    ['labels inside a network', withHead([node('ArgMax', ['image'], ['x'], { axis: 1 })]), 'no derivative'],
    ['whole numbers of the image', withHead([node('Cast', ['image'], ['x'], { to: 7 })]), 'no derivative'],
    ['rounding', withHead([node('Floor', ['image'], ['x'])]), 'depends on the image'],
    ['a map of windows', withHead([node('Reshape', ['image', 'four'], ['w']), node('Conv', ['w', 'k'], ['x'])], { four: integers([4, 1, 16, 16]), k: kernel(1, 1, 1, 1) }), 'windows folded into the batch axis'],
    ['a reshape to another size', withHead([node('Reshape', ['image', 'four'], ['x'])], { four: integers([1, 1, 5, 5]) }), 'has another size'],
    ['a reshape without a whole rest', withHead([node('Reshape', ['image', 'four'], ['x'])], { four: integers([1, 3, -1, 5]) }), 'has another size'],
    ['an index outside', withHead([node('Gather', ['image', 'one'], ['x'], { axis: 1 })], { one: integers([1]) }), 'index 1 is outside of 1'],
    ['matrices that do not fit', withHead([node('MatMul', ['image', 'm'], ['x'])], { m: kernel(5, 5) }), 'multiplies [1, 1, 32, 32] and [5, 5]'],
    ['a sum that is no product', withHead([node('Einsum', ['image', 'image', 'image'], ['x'], { equation: 'abcd,abcd,abcd->abcd' })]), 'not a product of two matrices'],
    ['a tensor too large for any memory', withHead([node('Expand', ['image', 'huge'], ['x'])], { huge: integers([1, 2 ** 30, 32, 32]) }), 'too large'],
    ['a softmax over rows', graphOf([node('Conv', ['image', 'k'], ['c']), node('Softmax', ['c'], ['logits'], { axis: 3 })], { k: kernel(2, 1, 1, 1) }), 'not that of the classes'],
    ['two inputs', { ...withHead([node('Relu', ['image'], ['x'])]), inputs: [...graphOf([], {}).inputs, { ...graphOf([], {}).inputs[0]!, name: 'second' }] }, "2 inputs ('image', 'second')"],
    ['an integer image', { ...withHead([node('Relu', ['image'], ['x'])]), inputs: [{ name: 'image', type: 'int64', dims: ['N', 1, 'H', 'W'] }] }, "'image' is int64"],
    ['unknown modalities', withHead([node('Relu', ['image'], ['x'])], {}, 1, ['N', 'C', 'H', 'W']), 'modalities'],
    ['images without pixels', withHead([node('Relu', ['image'], ['x'])], {}, 1, ['N', 1, 0, 'W']), 'without pixels'],
    ['a classifier', graphOf([node('GlobalAveragePool', ['image'], ['g']), node('Conv', ['g', 'k'], ['logits'])], { k: kernel(2, 1, 1, 1) }), 'is [N, 2, 1, 1] where logits [N, C, 32, 32] are needed'],
    ['no convolution', graphOf([node('Concat', ['image', 'image'], ['logits'], { axis: 1 })], {}), 'it has no head'],
    ['an output of constants', graphOf([node('Identity', ['k'], ['logits'])], { k: kernel(2) }), 'does not depend on the image'],
    ['a kernel of other channels', withHead([node('Conv', ['image', 'k'], ['x'])], { k: kernel(1, 5, 1, 1) }), 'does not fit 1 input channels'],
    ['a bias of other channels', withHead([node('Conv', ['image', 'k', 'b'], ['x'])], { k: kernel(1, 1, 1, 1), b: kernel(4) }), 'bias [4]'],
    ['a computed kernel', withHead([node('Constant', [], ['k'], { value: kernel(1, 1, 1, 1) }), node('Conv', ['image', 'k'], ['x'])]), "kernel from 'k', which is a constant"],
    ['a kernel made from the image', withHead([node('Conv', ['image', 'image'], ['x'])]), 'from the image'],
    ['a parameter that is also a statistic', withHead([node('BatchNormalization', ['image', 'v', 'v', 'v', 'v'], ['x'])], { v: kernel(1) }), "uses 'v' as a statistic, but another node uses it as a parameter"],
    ['a normalisation of other channels', withHead([node('BatchNormalization', ['image', 'v', 'v', 'm', 'm'], ['x'])], { v: kernel(3), m: kernel(3) }), 'does not fit 1 channels'],
    ['a missing input', withHead([node('Conv', ['image'], ['x'])]), 'lacks an input'],
    ['too many inputs', withHead([node('Relu', ['image', 'image'], ['x'])]), 'too many inputs'],
    ['integer weights', withHead([node('Conv', ['image', 'k'], ['x'])], { k: { type: 'int8', dims: [1, 1, 1, 1], data: BigInt64Array.of(1n) } }), 'which is of whole numbers'],
    ['an attribute of the wrong kind', withHead([node('LeakyRelu', ['image'], ['x'], { alpha: 'much' })]), "'alpha' that is not a finite number"],
    ['pads of the wrong length', withHead([node('Conv', ['image', 'k'], ['x'], { pads: [1] })], { k: kernel(1, 1, 1, 1) }), 'pads [1]'],
    ['a stride of 0', withHead([node('Conv', ['image', 'k'], ['x'], { strides: [0, 1] })], { k: kernel(1, 1, 1, 1) }), 'strides [0, 1]'],
    ['an unknown auto_pad', withHead([node('Conv', ['image', 'k'], ['x'], { auto_pad: 'FULL' })], { k: kernel(1, 1, 1, 1) }), "auto_pad 'FULL'"],
    ['a window larger than the map', withHead([node('Conv', ['image', 'k'], ['x'])], { k: kernel(1, 1, 99, 99) }), 'does not fit an input of 32'],
    ['depth that blocks do not divide', graphOf([node('Conv', ['image', 'k'], ['c']), node('DepthToSpace', ['c'], ['d'], { blocksize: 2 }), node('AveragePool', ['d'], ['logits'], { kernel_shape: [2, 2], strides: [2, 2] })], { k: kernel(6, 1, 1, 1) }), 'blocks of 2 for [1, 6, 32, 32]'],
    ['images joined along the batch axis', withHead([node('Concat', ['image', 'image'], ['x'], { axis: 0 })]), 'batch axis'],
    ['an axis out of range', withHead([node('Softmax', ['image'], ['x'], { axis: 4 })]), 'axis 4'],
    ['a size from the numbers of an image', withHead([node('Resize', ['image', '', 'image'], ['x'])]), 'depends on the image'],
    ['indices of a pool', withHead([node('MaxPool', ['image'], ['p', 'x'], { kernel_shape: [1, 1] })]), "reads 'x', output 1 of MaxPool 'MaxPool of p', which is not supported"],
  ]; // prettier-ignore
  test.each(cases)('%s', (_, graph, expected) => {
    const text = message(() => lower(graph, [32, 32]));
    expect(text).toMatch(/^test\.onnx: /);
    expect(text).toContain(expected);
  });

  test('a size of the wrong rank or an impossible one', () => {
    const graph = withHead([node('Relu', ['image'], ['x'])]);
    expect(message(() => lower(graph, [32]))).toContain('2 spatial axes');
    expect(() => lower(graph, [0, 4])).toThrow('not possible');
  });
});

describe('a value of one slice', () => {
  test.each([
    ['the image', withHead([node('Relu', ['image'], ['x'])]), [65536, 32768], "input 'image' needs a tensor of 2147483648 numbers, [1, 65536, 32768]"],
    ['a map', withHead([node('Conv', ['image', 'k'], ['x'])], { k: kernel(8, 1, 1, 1) }, 8), [16384, 16384], "Conv 'Conv of x' needs a tensor of 2147483648 numbers"],
  ])('%s: of more than 31 bits count is refused', (_, graph, size, expected) => {
    const text = message(() => lower(graph, size));
    expect(text).toContain(expected);
    expect(text).toContain('engines take up to 2147483647: use a smaller image size');
  }); // prettier-ignore

  test('of all that they count is taken, whatever makes it', () => {
    const made = [node('Conv', ['image', 'k'], ['c']), node('Relu', ['c'], ['r']), node('Add', ['c', 'r'], ['s'])];
    const graph = withHead([...made, node('Concat', ['c', 's'], ['x'], { axis: 1 })], { k: kernel(64, 1, 1, 1) }, 128);
    const { values } = lower(graph, [4000, 4000]);
    expect(Math.max(...values.map(({ dims }) => product(dims)))).toBe(128 * 4000 ** 2);
  });
});

describeOracle('the oracle network', () => {
  test('all its parameters are found', async () => {
    const graph = await readOnnx(CHECKPOINTS[0]!);
    const lowered = lower(graph, [96, 80]);
    expect(lowered.parameters).toHaveLength(46);
    expect(lowered.parameters.reduce((sum, { size }) => sum + size, 0)).toBe(33084);
    const statistics = lowered.values.filter(({ kind }) => kind === 'statistic');
    expect(lowered.parameters.length + statistics.length).toBe(graph.initializers.size);
    expect(statistics.every(({ name }) => name.includes('running_'))).toBe(true);
    expect(sizesOf(graph).stride).toEqual([4, 4]);
  });
});
