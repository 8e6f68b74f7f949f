/** Functions of one, two and three numbers: derivatives against finite differences, values and slopes where they are special. */
import type { UnaryFunction } from '../../../lib/graph/lowered';
import { erf } from '../../../lib/engine/reference/erf';
import { OPERATORS } from '../../../lib/engine/reference/operators';
import type { AttributesOf, Operator } from '../../../lib/engine/reference/operators/operator';
import { zeros, type Tensor } from '../../../lib/engine/reference/tensor';
import { describeDerivatives, testCase } from './derivatives';

const FUNCTIONS: Readonly<Record<UnaryFunction, { a?: number; b?: number; centre?: number }>> = {
  tanh: {},
  elu: { a: 0.7 },
  selu: { a: 1.6732632423543772, b: 1.0507009873554805 },
  celu: { a: 0.7 },
  'hard-sigmoid': { a: 0.2, b: 0.5 },
  'hard-swish': {},
  softplus: {},
  mish: {},
  gelu: {},
  'gelu-tanh': {},
  erf: {},
  clip: { a: -1, b: 2 },
  neg: {},
  sqrt: { centre: 5 },
  exp: {},
  log: { centre: 5 },
  abs: {},
  reciprocal: { centre: 5 },
};

describeDerivatives([
  ...Object.entries(FUNCTIONS).map(([name, { a = 0, b = 0, centre = 0 }]) =>
    testCase(name, 'Elementwise', { function: name as UnaryFunction, a, b }, [[2, 20]], [2, 20], { centres: [centre], spread: 4 }),
  ),
  testCase(
    'of equal shapes',
    'Add',
    {},
    [
      [2, 3, 4],
      [2, 3, 4],
    ],
    [2, 3, 4],
  ),
  testCase(
    'by channel',
    'Add',
    {},
    [
      [2, 3, 2, 4],
      [1, 3, 1, 1],
    ],
    [2, 3, 2, 4],
  ),
  testCase('from a scalar', 'Sub', {}, [[], [2, 3, 4]], [2, 3, 4]),
  testCase(
    'both broadcast',
    'Sub',
    {},
    [
      [2, 3, 1, 4],
      [3, 2, 1],
    ],
    [2, 3, 2, 4],
  ),
  testCase(
    'by a map',
    'Mul',
    {},
    [
      [2, 1, 2, 4],
      [2, 3, 2, 4],
    ],
    [2, 3, 2, 4],
  ),
  testCase(
    'by a map of a 3-D batch',
    'Mul',
    {},
    [
      [2, 3, 2, 2, 2],
      [2, 3, 1, 1, 1],
    ],
    [2, 3, 2, 2, 2],
  ),
  testCase('by a vector', 'Div', {}, [[2, 3, 4], [4]], [2, 3, 4], { centres: [0, 3] }),
  testCase(
    'of a positive base',
    'Pow',
    {},
    [
      [2, 3, 4],
      [3, 1],
    ],
    [2, 3, 4],
    { centres: [2, 1] },
  ),
  testCase(
    '',
    'Min',
    {},
    [
      [2, 3, 4],
      [3, 1],
    ],
    [2, 3, 4],
  ),
  testCase(
    '',
    'Max',
    {},
    [
      [3, 1],
      [2, 3, 4],
    ],
    [2, 3, 4],
  ),
  testCase(
    'by channel',
    'PRelu',
    {},
    [
      [3, 2, 4],
      [3, 1, 1],
    ],
    [3, 2, 4],
  ),
]);

const tensor = (...numbers: number[]): Tensor => ({ dims: [numbers.length], data: Float64Array.from(numbers) });

/** Output and the gradients of Σ output. */
function run(type: keyof typeof OPERATORS, attributes: object, ...inputs: Tensor[]): number[][] {
  const operator = OPERATORS[type] as unknown as Operator<object>;
  const output = zeros(inputs[0]!.dims);
  operator.forward(inputs, output, attributes, 'running');
  const gradients = inputs.map(({ dims }) => zeros(dims));
  operator.backward(inputs, output, { dims: output.dims, data: output.data.map(() => 1) }, gradients, attributes, 'running');
  return [output, ...gradients].map(({ data }) => [...data]);
}

function elementwise(name: UnaryFunction, x: number, a: number, b: number): number[] {
  const attributes: AttributesOf<'Elementwise'> = { function: name, a, b };
  return run('Elementwise', attributes, tensor(x)).flat();
}

it('erf is that of C', () => {
  // math.erf of Python 3.11
  const known = [
    [0.1, 0.1124629160182849],
    [0.46875, 0.4926134732179379],
    [0.5, 0.5204998778130465],
    [1, 0.8427007929497148],
    [2.5, 0.999593047982555],
    [4, 0.9999999845827421],
    [4.5, 0.9999999998033839],
    [30, 1],
  ];
  for (const [x, y] of known) {
    expect(Math.abs(erf(x!) - y!)).toBeLessThan(3e-16);
    expect(erf(-x!)).toBe(-erf(x!));
  }
  expect(erf(0)).toBe(0);
});

const SPECIAL: readonly (readonly [UnaryFunction, number, number[], number, number])[] = [
  ['clip', 2, [2, 0], -1, 2],
  ['clip', -1, [-1, 0], -1, 2],
  ['hard-sigmoid', 4, [1, 0], 0.25, 0],
  ['hard-swish', -3, [-0, 0], 0, 0],
  ['hard-swish', 3, [3, 1], 0, 0],
  ['abs', 0, [0, 0], 0, 0],
  ['elu', 0, [0, 0.5], 0.5, 0],
  ['softplus', 1000, [1000, 1], 0, 0],
  ['softplus', -1000, [0, 0], 0, 0],
  ['mish', -1000, [-0, 0], 0, 0],
  ['mish', 1000, [1000, 1], 0, 0],
  ['gelu', 1000, [1000, 1], 0, 0],
];

it.each(SPECIAL)('%s at %d', (name, x, expected, a, b) => {
  expect(elementwise(name, x, a, b)).toEqual(expected);
});

it('ties of Min and Max give the gradient to the first operand', () => {
  for (const type of ['Min', 'Max'] as const) expect(run(type, {}, tensor(2), tensor(2))).toEqual([[2], [1], [0]]);
});

it('Pow takes whole exponents of any base', () => {
  const [y, toA, toB] = run('Pow', {}, tensor(-2, -2, 0, 0, -3), tensor(3, 2, 2, 0, 0));
  expect(y).toEqual([-8, 4, 0, 1, 1]);
  expect(toA).toEqual([12, -4, 0, 0, 0]);
  expect(toB).toEqual([0, 0, 0, 0, 0]);
});

it('an infinite slope counts for nothing where no loss asks', () => {
  const [x, output, toX] = [tensor(0, 4), zeros([2]), zeros([2])];
  const attributes = { function: 'sqrt', a: 0, b: 0 } as const;
  OPERATORS.Elementwise.forward([x], output, attributes, 'running');
  OPERATORS.Elementwise.backward([x], output, tensor(0, 1), [toX], attributes, 'running');
  expect([...toX.data]).toEqual([0, 0.25]);
});

it.each([
  ['less', [1, 0, 0]],
  ['less-or-equal', [1, 1, 0]],
  ['greater', [0, 0, 1]],
  ['greater-or-equal', [0, 1, 1]],
  ['equal', [0, 1, 0]],
] as const)('Compare %s', (relation, expected) => {
  const none = [0, 0, 0];
  expect(run('Compare', { relation }, tensor(1, 2, 3), tensor(2, 2, 2))).toEqual([expected, none, none]);
});

it('Where routes its gradient', () => {
  const [y, toCondition, toA, toB] = run('Where', {}, tensor(1, 0, 1), tensor(1, 2, 3), tensor(4));
  expect([y, toCondition, toA, toB]).toEqual([[1, 4, 3], [0, 0, 0], [1, 0, 1], [1]]);
});
