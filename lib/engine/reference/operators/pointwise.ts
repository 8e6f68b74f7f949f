/** Operators that take each number on its own. Formulas: the ONNX operator documentation. */
import type { UnaryFunction } from '../../../graph/lowered';
import { erf } from '../erf';
import { along, type AttributesOf, type Operator } from './operator';

/** A function and dy/dx from x and y. */
interface Pointwise<Attributes> {
  readonly value: (x: number, attributes: Attributes) => number;
  readonly slope: (x: number, y: number, attributes: Attributes) => number;
}

function pointwise<Attributes>(functionOf: (attributes: Attributes) => Pointwise<Attributes>): Operator<Attributes> {
  return {
    forward([x], output, attributes) {
      const { value } = functionOf(attributes);
      for (let i = 0; i < output.data.length; i++) output.data[i] = value(x!.data[i]!, attributes);
    },
    backward([x], output, cotangent, [toX], attributes) {
      if (!toX) return;
      const { slope } = functionOf(attributes);
      for (let i = 0; i < output.data.length; i++) {
        const c = cotangent.data[i]!;
        // What no loss asks about has gradient 0, even where the slope is infinite (√ at 0).
        if (c !== 0) toX.data[i]! += c * slope(x!.data[i]!, output.data[i]!, attributes);
      }
    },
    tangent([x], output, [ofX], tangent, attributes) {
      const { slope } = functionOf(attributes);
      for (let i = 0; i < output.data.length; i++) {
        tangent.data[i] = along(ofX!.data[i]!, slope(x!.data[i]!, output.data[i]!, attributes));
      }
    },
  };
}

/** Slope 0 at 0, as PyTorch has it. */
export const relu = pointwise<AttributesOf<'Relu'>>(() => ({
  value: (x) => (x > 0 ? x : 0),
  slope: (x) => (x > 0 ? 1 : 0),
}));

/** Slope α at 0, as PyTorch has it. */
export const leakyRelu = pointwise<AttributesOf<'LeakyRelu'>>(() => ({
  value: (x, { alpha }) => (x > 0 ? x : alpha * x),
  slope: (x, _y, { alpha }) => (x > 0 ? 1 : alpha),
}));

const logistic = (x: number): number => 1 / (1 + Math.exp(-x));

export const sigmoid = pointwise<AttributesOf<'Sigmoid'>>(() => ({ value: logistic, slope: (_x, y) => y * (1 - y) }));

/** log(1 + eˣ) without overflow. */
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

/** Distribution and density of the standard normal. */
const normal = (x: number): number => (1 + erf(x * Math.SQRT1_2)) / 2;
const density = (x: number): number => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);

/** tanh(√(2/π) (x + 0.044715 x³)) and its derivative: what gelu's tanh form puts in the place of erf. */
function geluTanh(x: number): readonly [number, number] {
  const scale = Math.sqrt(2 / Math.PI);
  const t = Math.tanh(scale * (x + 0.044715 * x ** 3));
  return [t, (1 - t * t) * scale * (1 + 3 * 0.044715 * x * x)];
}

/** At a kink: slope 0 at the limits of a clip, abs'(0) = √'(0) = 0 (a norm's subgradient at 0), elsewhere that of the left side. */
const FUNCTIONS: Readonly<Record<UnaryFunction, Pointwise<AttributesOf<'Elementwise'>>>> = {
  tanh: { value: Math.tanh, slope: (_x, y) => 1 - y * y },
  elu: { value: (x, { a }) => (x > 0 ? x : a * Math.expm1(x)), slope: (x, _y, { a }) => (x > 0 ? 1 : a * Math.exp(x)) },
  selu: {
    value: (x, { a, b }) => b * (x > 0 ? x : a * Math.expm1(x)),
    slope: (x, _y, { a, b }) => b * (x > 0 ? 1 : a * Math.exp(x)),
  },
  celu: { value: (x, { a }) => (x > 0 ? x : a * Math.expm1(x / a)), slope: (x, _y, { a }) => (x > 0 ? 1 : Math.exp(x / a)) },
  'hard-sigmoid': {
    value: (x, { a, b }) => Math.min(1, Math.max(0, a * x + b)),
    slope: (_x, y, { a }) => (y > 0 && y < 1 ? a : 0),
  },
  'hard-swish': {
    value: (x) => x * Math.min(1, Math.max(0, x / 6 + 0.5)),
    slope: (x) => (x <= -3 ? 0 : x >= 3 ? 1 : x / 3 + 0.5),
  },
  softplus: { value: softplus, slope: logistic },
  mish: {
    value: (x) => x * Math.tanh(softplus(x)),
    slope: (x) => {
      const t = Math.tanh(softplus(x));
      return t + x * (1 - t * t) * logistic(x);
    },
  },
  gelu: { value: (x) => x * normal(x), slope: (x) => normal(x) + x * density(x) },
  'gelu-tanh': {
    value: (x) => (x / 2) * (1 + geluTanh(x)[0]),
    slope: (x) => {
      const [t, dt] = geluTanh(x);
      return (1 + t + x * dt) / 2;
    },
  },
  erf: { value: erf, slope: (x) => (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) },
  clip: { value: (x, { a, b }) => Math.min(b, Math.max(a, x)), slope: (x, _y, { a, b }) => (x > a && x < b ? 1 : 0) },
  neg: { value: (x) => -x, slope: () => -1 },
  sqrt: { value: Math.sqrt, slope: (_x, y) => (y > 0 ? 0.5 / y : 0) },
  exp: { value: Math.exp, slope: (_x, y) => y },
  log: { value: Math.log, slope: (x) => 1 / x },
  abs: { value: Math.abs, slope: Math.sign },
  reciprocal: { value: (x) => 1 / x, slope: (_x, y) => -y * y },
};

export const elementwise = pointwise<AttributesOf<'Elementwise'>>((attributes) => FUNCTIONS[attributes.function]);
