/** Support boxes of operators without a window. */
import { inputBox, type AttributesOf, type Box } from '../../lib/graph/boxes';
import type { Operation, OperatorType } from '../../lib/graph/lowered';

function boxOf<T extends OperatorType>(type: T, attributes: AttributesOf<T>, result: Box, input: readonly number[]): Box {
  return inputBox({ type, attributes, name: type, inputs: [0], output: 1 } as unknown as Operation, result, input);
}

const output: Box = [[2, 5], [0, 1]]; // prettier-ignore
const nothing: Box = [[3, 3], [0, 1]]; // prettier-ignore

test.each([
  'Relu',
  'Sigmoid',
  'LeakyRelu',
  'Elementwise',
  'PRelu',
  'BatchNormalization',
  'Add',
  'Sub',
  'Mul',
  'Div',
  'Pow',
  'Min',
  'Max',
  'Compare',
  'Where',
] as const)('%s works on each position alone', (operator) => {
  expect(boxOf(operator, {} as never, output, [9, 9])).toEqual(output);
});

test('an axis that was broadcast collects the cotangent of the whole axis in its one position', () => {
  expect(boxOf('Mul', {}, output, [1, 9])).toEqual([[0, 1], [0, 1]]); // prettier-ignore
  expect(boxOf('Mul', {}, nothing, [1, 9])).toEqual([[3, 3], [0, 1]]); // prettier-ignore
});

test('an operand of fewer axes lies right-aligned', () => {
  expect(boxOf('Add', {}, output, [9])).toEqual([[0, 1]]);
  expect(boxOf('Add', {}, output, [])).toEqual([]);
});

test.each(['Rearrange', 'Normalize', 'Reduce', 'MatMul'] as const)('%s reads all of its input, whatever its rank', (operator) => {
  expect(boxOf(operator, {} as never, output, [7])).toEqual([[0, 7]]);
  expect(boxOf(operator, {} as never, output, [9, 7, 5])).toEqual([[0, 9], [0, 7], [0, 5]]); // prettier-ignore
  expect(boxOf(operator, {} as never, nothing, [9, 7])).toEqual([[0, 0], [0, 0]]); // prettier-ignore
});

test('GlobalAveragePool reads the whole map, and nothing for nothing', () => {
  expect(boxOf('GlobalAveragePool', {}, [[0, 1], [0, 1]], [9, 7])).toEqual([[0, 9], [0, 7]]); // prettier-ignore
  expect(boxOf('GlobalAveragePool', {}, [[0, 0], [0, 1]], [9, 7])).toEqual([[0, 0], [0, 0]]); // prettier-ignore
});

test.each(['Softmax', 'LogSoftmax', 'Concat'] as const)(
  '%s passes the box on the channel axis and opens a spatial axis it runs along',
  (operator) => {
    expect(boxOf(operator, { axis: 0 }, output, [9, 9])).toEqual(output);
    expect(boxOf(operator, { axis: 1 }, output, [9, 7])).toEqual([[0, 9], [0, 1]]); // prettier-ignore
    expect(boxOf(operator, { axis: 2 }, output, [9, 7])).toEqual([[2, 5], [0, 7]]); // prettier-ignore
  },
);
