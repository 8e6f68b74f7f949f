/** Functions of one number and arithmetic of two or three. */
import { builders, type Attributes, type OperatorCase } from './case-builders';
import type { GraphBuilder } from './graphs';

const FUNCTIONS: readonly (readonly [operator: string, attributes: Attributes, opset?: number])[] = [
  ['Relu', {}],
  ['LeakyRelu', { alpha: 0.2 }],
  ['Elu', { alpha: 0.7 }],
  ['Selu', {}],
  ['Selu', { alpha: 1.5, gamma: 1.2 }],
  ['Celu', { alpha: 0.7 }],
  ['Sigmoid', {}],
  ['HardSigmoid', {}],
  ['HardSigmoid', { alpha: 0.4, beta: 0.3 }],
  ['HardSwish', {}],
  ['Tanh', {}],
  ['Softplus', {}],
  ['Softsign', {}],
  ['Mish', {}, 18],
  ['Gelu', {}, 20],
  ['Gelu', { approximate: 'tanh' }, 20],
  ['Erf', {}],
  ['Neg', {}],
  ['Abs', {}],
  ['Exp', {}],
];

type Body = (g: GraphBuilder, x: string) => string;

const softplus: Body = (g, x) => g.node('Softplus', [x]);
/** Another map of 8 channels. */
const other: Body = (g, x) => g.mix(x, 'other', 8, 8);

/** What exporters write where the operator set has no operator of that name, and functions that want positive numbers. */
const PATTERNS: Readonly<Record<string, Body>> = {
  'Sqrt of positive numbers': (g, x) => g.node('Sqrt', [softplus(g, x)]),
  'Log of positive numbers': (g, x) => g.node('Log', [softplus(g, x)]),
  'Reciprocal of positive numbers': (g, x) => g.node('Reciprocal', [g.node('Add', [softplus(g, x), g.constant([], [0.5])])]),
  'Swish as x · sigmoid x': (g, x) => g.node('Mul', [x, g.node('Sigmoid', [x])]),
  'Gelu by Erf': (g, x) => {
    const erf = g.node('Erf', [g.node('Div', [x, g.constant([], [Math.SQRT2])])]);
    return g.node('Mul', [g.node('Mul', [x, g.node('Add', [erf, g.constant([], [1])])]), g.constant([], [0.5])]);
  },
  'Mish by Softplus and Tanh': (g, x) => g.node('Mul', [x, g.node('Tanh', [softplus(g, x)])]),
  'Clip to 0 and 6': (g, x) => g.node('Clip', [g.node('Mul', [x, g.constant([], [4])]), g.constant([], [0]), g.constant([], [6])]),
  'Clip from below': (g, x) => g.node('Clip', [x, g.constant([], [-0.3])]),
  'Clip from above': (g, x) => g.node('Clip', [x, '', g.constant([], [0.3])]),
  'PRelu by channel': (g, x) => g.node('PRelu', [x, g.weight('slope', [8, 1, 1], 0.2, 0.3)]),
  'PRelu by one slope': (g, x) => g.node('PRelu', [x, g.weight('slope', [1], 0.2, 0.3)]),
  'Add of a bias by channel': (g, x) => g.node('Add', [x, g.weight('bias', [1, 8, 1, 1])]),
  'Mul by a scale by channel': (g, x) => g.node('Mul', [g.weight('scale', [8, 1, 1], 0.5, 1), x]),
  'Div of maps': (g, x) => g.node('Div', [x, g.node('Add', [softplus(g, other(g, x)), g.constant([], [0.5])])]),
  'Div by one map': (g, x) => g.node('Div', [x, g.node('Exp', [g.mix(x, 'other', 8, 1)])]),
  'Div of a number': (g, x) => g.node('Div', [g.constant([], [2]), g.node('Exp', [x])]),
  'Div by channel': (g, x) => g.node('Div', [x, g.constant([1, 8, 1, 1], [1, 2, 3, 4, 5, 6, 7, 8])]),
  'Pow 2': (g, x) => g.node('Pow', [x, g.constant([], [2])]),
  'Pow 3 of negative numbers': (g, x) => g.node('Pow', [x, g.constant([1], [3])]),
  'Pow one half': (g, x) => g.node('Pow', [softplus(g, x), g.constant([], [0.5])]),
  'Pow of maps': (g, x) => g.node('Pow', [g.node('Add', [softplus(g, x), g.constant([], [0.5])]), other(g, x)]),
  'Pow with a map as exponent': (g, x) => g.node('Pow', [g.constant([], [2]), x]),
  'Min of maps': (g, x) => g.node('Min', [x, other(g, x)]),
  'Max of maps and a number': (g, x) => g.node('Max', [x, other(g, x), g.constant([], [-0.5])]),
  'Sum of three': (g, x) => g.node('Sum', [x, other(g, x), g.node('Tanh', [x])]),
  'Mean of two': (g, x) => g.node('Mean', [x, other(g, x)]),
  'Where by Greater': (g, x) => g.node('Where', [g.node('Greater', [x, g.constant([], [0.2])]), x, other(g, x)]),
  'Where by Less of maps': (g, x) => g.node('Where', [g.node('Less', [x, other(g, x)]), g.node('Tanh', [x]), g.constant([], [0.1])]),
  'Where by one map': (g, x) => g.node('Where', [g.node('GreaterOrEqual', [g.mix(x, 'mask', 8, 1), g.constant([], [0])]), x, other(g, x)]),
  'LessOrEqual as a mask': (g, x) => g.node('Mul', [x, g.node('Cast', [g.node('LessOrEqual', [x, g.constant([], [0.4])])], { to: 1 })]),
  'Where by masks joined': (g, x) => {
    const inside = g.node('And', [
      g.node('Greater', [x, g.constant([], [-1])]),
      g.node('Not', [g.node('Greater', [x, g.constant([], [1])])]),
    ]);
    return g.node('Where', [g.node('Or', [inside, g.node('Equal', [x, x])]), x, other(g, x)]);
  },
  'Where by a constant': (g, x) =>
    g.node('Where', [g.node('Greater', [g.randomConstant([1, 8, 1, 1]), g.constant([], [0])]), x, other(g, x)]),
};

export function functionCases(size: readonly [number, number]): readonly OperatorCase[] {
  const { around, unary } = builders(size);
  return [
    ...FUNCTIONS.map(([operator, attributes, opset = 17]) =>
      unary(operator, JSON.stringify(attributes), attributes, { channels: 17, opset }),
    ),
    ...Object.entries(PATTERNS).map(([name, body]) => around(name, body, { channels: 8 })),
    unary('Clip', 'of an older operator set', { min: -0.5, max: 0.5 }, { opset: 9 }),
  ];
}
