/** Operators on feature maps against central finite differences, and Conv against its definition. */
import type { AxisTaps, Window } from '../../../lib/graph/lowered';
import { OPERATORS } from '../../../lib/engine/reference/operators';
import type { AttributesOf } from '../../../lib/engine/reference/operators/operator';
import { zeros, type Tensor } from '../../../lib/engine/reference/tensor';
import { relativeError, uniform } from '../../support/numbers';
import { describeDerivatives, random, testCase, type Case } from './derivatives';

function window(kernel: number[], strides: number[], before: number[], after: number[], dilations = kernel.map(() => 1)): Window {
  return { kernel, strides, before, after, dilations };
}

/** Random taps: more general than any mode of ONNX. */
function taps(inputSize: number, outputSize: number, count: number): AxisTaps {
  const next = uniform(inputSize + 31 * outputSize);
  return {
    inputSize,
    outputSize,
    taps: count,
    index: Int32Array.from({ length: outputSize * count }, () => Math.floor(((next() + 1) / 2) * inputSize)),
    weight: Float64Array.from({ length: outputSize * count }, next),
  };
}

const POSITIVE_VARIANCE = [0, 0, 0, 0, 1.5];

const CASES: readonly Case[] = [
  testCase('1-D, stride 2, asymmetric pads', 'Conv', { ...window([3], [2], [2], [1]), groups: 1 }, [[3, 7], [4, 3, 3], [4]], [4, 4]),
  testCase('2-D, odd size', 'Conv', { ...window([3, 2], [1, 2], [1, 0], [1, 1]), groups: 1 }, [[3, 5, 7], [4, 3, 3, 2], [4]], [4, 5, 4]),
  testCase(
    'dilated',
    'Conv',
    { ...window([3, 3], [2, 1], [2, 3], [1, 3], [2, 3]), groups: 1 },
    [
      [2, 7, 6],
      [3, 2, 3, 3],
    ],
    [3, 3, 6],
  ),
  testCase(
    'window larger than the map',
    'Conv',
    { ...window([5], [3], [4], [4]), groups: 1 },
    [
      [1, 2],
      [1, 1, 5],
    ],
    [1, 2],
  ),
  testCase('grouped', 'Conv', { ...window([1, 3], [1, 1], [0, 1], [0, 1]), groups: 2 }, [[4, 3, 5], [6, 2, 1, 3], [6]], [6, 3, 5]),
  testCase(
    'depthwise',
    'Conv',
    { ...window([3, 3], [1, 1], [1, 1], [1, 1]), groups: 3 },
    [
      [3, 4, 5],
      [3, 1, 3, 3],
    ],
    [3, 4, 5],
  ),
  testCase(
    '3-D',
    'Conv',
    { ...window([2, 3, 2], [1, 2, 1], [0, 1, 1], [1, 1, 0]), groups: 1 },
    [[2, 3, 5, 4], [3, 2, 2, 3, 2], [3]],
    [3, 3, 3, 4],
  ),
  testCase('1-D', 'ConvTranspose', { ...window([3], [2], [1], [0]), outputPadding: [1], groups: 1 }, [[3, 4], [3, 2, 3], [2]], [2, 9]),
  testCase(
    '2-D, grouped',
    'ConvTranspose',
    { ...window([2, 3], [2, 3], [0, 1], [0, 1]), outputPadding: [0, 0], groups: 2 },
    [[4, 3, 2], [4, 3, 2, 3], [6]],
    [6, 6, 4],
  ),
  testCase(
    '2-D, dilated',
    'ConvTranspose',
    { ...window([2, 2], [1, 2], [1, 0], [0, 1], [2, 1]), outputPadding: [0, 0], groups: 1 },
    [
      [2, 3, 4],
      [2, 3, 2, 2],
    ],
    [3, 4, 7],
  ),
  testCase(
    '3-D',
    'ConvTranspose',
    { ...window([2, 2, 2], [2, 2, 2], [0, 0, 0], [0, 0, 0]), outputPadding: [0, 0, 0], groups: 1 },
    [[2, 2, 3, 2], [2, 1, 2, 2, 2], [1]],
    [1, 4, 6, 4],
  ),
  testCase(
    'by running statistics',
    'BatchNormalization',
    { epsilon: 1e-3, momentum: 0.9 },
    [[2, 3, 4, 5], [3], [3], [3], [3]],
    [2, 3, 4, 5],
    { differentiable: 3, centres: POSITIVE_VARIANCE },
  ),
  testCase(
    'by batch statistics',
    'BatchNormalization',
    { epsilon: 1e-3, momentum: 0.9 },
    [[2, 3, 4, 5], [3], [3], [3], [3]],
    [2, 3, 4, 5],
    { differentiable: 3, centres: POSITIVE_VARIANCE, statistics: 'batch' },
  ),
  testCase(
    'by batch statistics, 3-D',
    'BatchNormalization',
    { epsilon: 1e-5, momentum: 0.9 },
    [[3, 2, 2, 3, 2], [2], [2], [2], [2]],
    [3, 2, 2, 3, 2],
    { differentiable: 3, centres: POSITIVE_VARIANCE, statistics: 'batch' },
  ),
  testCase('', 'Relu', {}, [[2, 3, 5]], [2, 3, 5]),
  testCase('', 'LeakyRelu', { alpha: 0.1 }, [[2, 3, 5]], [2, 3, 5]),
  testCase('', 'Sigmoid', {}, [[2, 3, 5]], [2, 3, 5]),
  testCase('over channels', 'Softmax', { axis: 0 }, [[3, 2, 4]], [3, 2, 4]),
  testCase('over a spatial axis', 'Softmax', { axis: 2 }, [[3, 2, 4]], [3, 2, 4]),
  testCase('1-D', 'MaxPool', window([2], [2], [0], [0]), [[3, 7]], [3, 3]),
  testCase('2-D, overlapping, padded', 'MaxPool', window([3, 2], [2, 1], [1, 0], [1, 1], [1, 2]), [[3, 5, 6]], [3, 3, 5]),
  testCase('3-D', 'MaxPool', window([2, 2, 2], [2, 2, 2], [0, 0, 0], [0, 0, 0]), [[2, 4, 5, 4]], [2, 2, 2, 2]),
  testCase(
    'padding left out',
    'AveragePool',
    { ...window([3, 3], [2, 1], [1, 1], [1, 1]), countIncludePad: false },
    [[3, 5, 4]],
    [3, 3, 4],
  ),
  testCase('padding counted', 'AveragePool', { ...window([3, 2], [2, 2], [1, 0], [0, 1]), countIncludePad: true }, [[3, 4, 5]], [3, 2, 3]),
  testCase(
    '3-D',
    'AveragePool',
    { ...window([2, 2, 2], [2, 2, 2], [0, 0, 0], [0, 0, 0]), countIncludePad: false },
    [[2, 4, 2, 4]],
    [2, 2, 1, 2],
  ),
  testCase('2-D', 'GlobalAveragePool', {}, [[3, 4, 5]], [3, 1, 1]),
  testCase('3-D', 'GlobalAveragePool', {}, [[3, 2, 3, 2]], [3, 1, 1, 1]),
  testCase('1-D', 'Resize', { axes: [taps(3, 7, 2)] }, [[3, 3]], [3, 7]),
  testCase('2-D, up and down', 'Resize', { axes: [taps(3, 7, 2), taps(5, 4, 3)] }, [[3, 3, 5]], [3, 7, 4]),
  testCase('3-D', 'Resize', { axes: [taps(2, 3, 1), taps(2, 4, 2), taps(3, 2, 2)] }, [[2, 2, 2, 3]], [2, 3, 4, 2]),
  testCase(
    'of channels',
    'Concat',
    { axis: 0 },
    [
      [3, 2, 4],
      [1, 2, 4],
      [2, 2, 4],
    ],
    [6, 2, 4],
  ),
  testCase(
    'of a spatial axis',
    'Concat',
    { axis: 2 },
    [
      [3, 2, 4],
      [3, 2, 1],
    ],
    [3, 2, 5],
  ),
];

describeDerivatives(CASES);

/** Every position of a box of this size. */
function positions(size: readonly number[]): number[][] {
  return size.reduce<number[][]>((all, n) => all.flatMap((p) => Array.from({ length: n }, (_, i) => [...p, i])), [[]]);
}

function offset(dims: readonly number[], position: readonly number[]): number {
  return dims.reduce((sum, n, axis) => sum * n + position[axis]!, 0);
}

it.each(CASES.filter(({ name }) => name.startsWith('Conv ')))(
  '$name follows its definition',
  ({ operator, attributes, inputs, output }) => {
    const { kernel, strides, before, dilations, groups } = attributes as AttributesOf<'Conv'>;
    const next = uniform(3);
    const [x, w, bias] = inputs.map((dims) => random(dims, next));
    const y = zeros(output);
    operator.forward([x, w, bias], y, attributes, 'running');
    const [cin = 0, ...size] = x!.dims;
    const cout = output[0]!;
    const expected = y.data.map((_, at) => {
      const [co = 0, ...o] = positions(output)[at]!;
      let sum = bias ? bias.data[co]! : 0;
      for (let c = 0; c < cin / groups; c++) {
        for (const k of positions(kernel)) {
          const i = o.map((p, axis) => p * strides[axis]! - before[axis]! + k[axis]! * dilations[axis]!);
          if (i.some((p, axis) => p < 0 || p >= size[axis]!)) continue;
          const ci = Math.floor(co / (cout / groups)) * (cin / groups) + c;
          sum += x!.data[offset(x!.dims, [ci, ...i])]! * w!.data[offset(w!.dims, [co, c, ...k])]!;
        }
      }
      return sum;
    });
    expect(relativeError(y.data, expected)).toBeLessThan(1e-13);
  },
);

it('MaxPool sends the cotangent to the first of equal inputs', () => {
  const x: Tensor = { dims: [1, 2, 2], data: Float64Array.of(1, 3, 3, 3) };
  const output = zeros([1, 1, 1]);
  const attributes = window([2, 2], [2, 2], [0, 0], [0, 0]);
  OPERATORS.MaxPool.forward([x], output, attributes, 'running');
  const toX = zeros(x.dims);
  OPERATORS.MaxPool.backward([x], output, { dims: output.dims, data: Float64Array.of(5) }, [toX], attributes, 'running');
  expect([...output.data, ...toX.data]).toEqual([3, 0, 5, 0, 0]);
});
