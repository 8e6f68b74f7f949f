/** Operators on tensors of any rank against central finite differences and small examples. */
import { OPERATORS } from '../../../lib/engine/reference/operators';
import type { Operator } from '../../../lib/engine/reference/operators/operator';
import { zeros, type Tensor } from '../../../lib/engine/reference/tensor';
import { relativeError, uniform } from '../../support/numbers';
import { describeDerivatives, random, testCase } from './derivatives';

/** Entries repeated, left out and filled. */
const INDEX = Int32Array.of(5, 0, -1, 0, 3, 2, -1, 1);

describeDerivatives([
  testCase('of each channel', 'Normalize', { groups: 3, epsilon: 1e-3 }, [[3, 4, 5]], [3, 4, 5]),
  testCase('of tokens', 'Normalize', { groups: 6, epsilon: 1e-5 }, [[6, 7]], [6, 7]),
  testCase('by an index', 'Rearrange', { index: INDEX, fill: 3 }, [[2, 3]], [4, 2]),
  testCase('to other dims', 'Rearrange', { index: undefined, fill: 0 }, [[2, 3, 4]], [6, 4]),
  testCase('to a mean of pixels', 'Reduce', { kind: 'mean', axes: [1, 2] }, [[3, 4, 5]], [3, 1, 1]),
  testCase('to a sum of two apart', 'Reduce', { kind: 'sum', axes: [0, 2] }, [[3, 4, 5]], [4]),
  testCase('to the largest', 'Reduce', { kind: 'max', axes: [0] }, [[3, 4, 5]], [4, 5]),
  testCase('to one number', 'Reduce', { kind: 'sum', axes: [0, 1] }, [[3, 4]], []),
  testCase(
    'of two matrices',
    'MatMul',
    {},
    [
      [4, 3],
      [3, 5],
    ],
    [4, 5],
  ),
  testCase(
    'of tokens by a matrix',
    'MatMul',
    {},
    [
      [2, 4, 3],
      [3, 5],
    ],
    [2, 4, 5],
  ),
  testCase(
    'of heads',
    'MatMul',
    {},
    [
      [2, 3, 4, 2],
      [2, 3, 2, 5],
    ],
    [2, 3, 4, 5],
  ),
  testCase(
    'broadcast both ways',
    'MatMul',
    {},
    [
      [2, 1, 4, 3],
      [5, 3, 2],
    ],
    [2, 5, 4, 2],
  ),
  testCase('over channels', 'LogSoftmax', { axis: 0 }, [[3, 2, 4]], [3, 2, 4]),
  testCase('over the last axis', 'LogSoftmax', { axis: 2 }, [[3, 2, 4]], [3, 2, 4]),
]);

function forward(type: keyof typeof OPERATORS, attributes: object, inputs: readonly Tensor[], dims: readonly number[]): Float64Array {
  const output = random(dims, () => NaN);
  (OPERATORS[type] as unknown as Operator<object>).forward(inputs, output, attributes, 'running');
  return output.data;
}

it('MatMul follows its definition', () => {
  const next = uniform(3);
  const [a, b] = [random([2, 1, 3, 4], next), random([3, 4, 2], next)];
  const expected = Float64Array.from({ length: 2 * 3 * 3 * 2 }, (_, at) => {
    const [n, h, i, j] = [Math.floor(at / 18), Math.floor(at / 6) % 3, Math.floor(at / 2) % 3, at % 2];
    return [0, 1, 2, 3].reduce((sum, k) => sum + a.data[(n * 3 + i) * 4 + k]! * b.data[(h * 4 + k) * 2 + j]!, 0);
  });
  expect(relativeError(forward('MatMul', {}, [a, b], [2, 3, 3, 2]), expected)).toBeLessThan(1e-15);
});

it('Normalize gives each row mean 0 and variance 1', () => {
  const rows = forward('Normalize', { groups: 2, epsilon: 0 }, [random([2, 10], uniform(5))], [2, 10]);
  for (const row of [rows.subarray(0, 10), rows.subarray(10)]) {
    expect(row.reduce((sum, y) => sum + y, 0)).toBeCloseTo(0, 12);
    expect(row.reduce((sum, y) => sum + y * y, 0)).toBeCloseTo(10, 12);
  }
});

it('Rearrange fills, repeats and leaves out', () => {
  const x: Tensor = { dims: [6], data: Float64Array.of(10, 11, 12, 13, 14, 15) };
  expect([...forward('Rearrange', { index: INDEX, fill: 7 }, [x], [8])]).toEqual([15, 10, 7, 10, 13, 12, 7, 11]);
});

it('Reduce sends the cotangent of a largest number to the first of equals', () => {
  const x: Tensor = { dims: [2, 3], data: Float64Array.of(1, 5, 5, 2, 2, 2) };
  const [output, toX] = [zeros([2]), zeros(x.dims)];
  const attributes = { kind: 'max', axes: [1] } as const;
  OPERATORS.Reduce.forward([x], output, attributes, 'running');
  OPERATORS.Reduce.backward([x], output, { dims: [2], data: Float64Array.of(3, 4) }, [toX], attributes, 'running');
  expect([...output.data, ...toX.data]).toEqual([5, 2, 0, 3, 0, 4, 0, 0]);
});

it('LogSoftmax is exact where the softmax underflows', () => {
  const x: Tensor = { dims: [2], data: Float64Array.of(0, 2000) };
  expect([...forward('LogSoftmax', { axis: 0 }, [x], [2])]).toEqual([-2000, 0]);
});
