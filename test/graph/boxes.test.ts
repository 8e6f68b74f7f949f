/** Support boxes of operators without a window. */
import { OPERATORS, type Box } from '../../lib/graph/operators';

const output: Box = [[2, 5], [0, 1]]; // prettier-ignore
const nothing: Box = [[3, 3], [0, 1]]; // prettier-ignore

test.each(['Relu', 'Sigmoid', 'LeakyRelu', 'BatchNormalization', 'Add', 'Sub', 'Mul'] as const)(
  '%s works on each position alone',
  (operator) => {
    expect(OPERATORS[operator].box({} as never, output, [9, 9])).toEqual(output);
  },
);

test('an axis that was broadcast collects the cotangent of the whole axis in its one position', () => {
  expect(OPERATORS.Mul.box({}, output, [1, 9])).toEqual([[0, 1], [0, 1]]); // prettier-ignore
  expect(OPERATORS.Mul.box({}, nothing, [1, 9])).toEqual([[3, 3], [0, 1]]); // prettier-ignore
});

test('GlobalAveragePool reads the whole map, and nothing for nothing', () => {
  expect(OPERATORS.GlobalAveragePool.box({}, [[0, 1], [0, 1]], [9, 7])).toEqual([[0, 9], [0, 7]]); // prettier-ignore
  expect(OPERATORS.GlobalAveragePool.box({}, [[0, 0], [0, 1]], [9, 7])).toEqual([[0, 0], [0, 0]]); // prettier-ignore
});

test.each(['Softmax', 'Concat'] as const)('%s passes the box on the channel axis and opens a spatial axis it runs along', (operator) => {
  expect(OPERATORS[operator].box({ axis: 0 }, output, [9, 9])).toEqual(output);
  expect(OPERATORS[operator].box({ axis: 1 }, output, [9, 7])).toEqual([[0, 9], [0, 1]]); // prettier-ignore
  expect(OPERATORS[operator].box({ axis: 2 }, output, [9, 7])).toEqual([[2, 5], [0, 7]]); // prettier-ignore
});
