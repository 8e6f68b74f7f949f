/** Arithmetic on known numbers. Whole numbers stay exact: they are doubles of sizes and axes, far below 2^53. */
import type { Relation, UnaryFunction } from '../lowered';
import { Arrangement } from './arrangement';
import { known, sizeOf, type Known } from './term';

export type BinaryName = 'Add' | 'Sub' | 'Mul' | 'Div' | 'Pow' | 'Min' | 'Max';
type Binary = (a: number, b: number) => number;

export const BINARY: Record<BinaryName, Binary> = {
  Add: (a, b) => a + b,
  Sub: (a, b) => a - b,
  Mul: (a, b) => a * b,
  Div: (a, b) => a / b,
  Pow: (a, b) => a ** b,
  Min: Math.min,
  Max: Math.max,
};

export const RELATIONS: Record<Relation, Binary> = {
  less: (a, b) => Number(a < b),
  'less-or-equal': (a, b) => Number(a <= b),
  greater: (a, b) => Number(a > b),
  'greater-or-equal': (a, b) => Number(a >= b),
  equal: (a, b) => Number(a === b),
};

/** The functions that occur on numbers known before the network runs; the others are left to the engine. */
export const UNARY: Partial<Record<UnaryFunction, (x: number, a: number, b: number) => number>> = {
  neg: (x) => -x,
  sqrt: Math.sqrt,
  exp: Math.exp,
  log: Math.log,
  abs: Math.abs,
  tanh: Math.tanh,
  reciprocal: (x) => 1 / x,
  clip: (x, low, high) => Math.min(Math.max(x, low), high),
};

export function foldArrangement(x: Known, arrangement: Arrangement): Known {
  const data = Float64Array.from(arrangement.indices(), (i) => (i < 0 ? arrangement.fill! : x.data[i]!));
  return known(arrangement.dims, data, x.integer);
}

/** @param dims of the operands' broadcast */
export function foldEach(
  operands: readonly Known[],
  dims: readonly number[],
  integer: boolean,
  each: (...numbers: number[]) => number,
): Known {
  const sources = operands.map((operand) => Arrangement.of(operand.dims).expand(dims).indices());
  const data = Float64Array.from({ length: sizeOf(dims) }, (_, i) => each(...operands.map((operand, k) => operand.data[sources[k]![i]!]!)));
  return known(dims, data, integer);
}

export function foldBinary(a: Known, b: Known, dims: readonly number[], combine: Binary): Known {
  const integer = a.integer && b.integer;
  return foldEach([a, b], dims, integer, integer ? (x, y) => Math.trunc(combine(x, y)) : (x, y) => combine(x, y));
}

export type Reduction = 'mean' | 'sum' | 'max' | 'min' | 'prod';

/** Axes reduced stay, of size 1. */
export function foldReduce(kind: Reduction, x: Known, axes: readonly number[]): Known {
  const kept = x.dims.map((size, axis) => (axes.includes(axis) ? 1 : size));
  // Every number's place in the result: the result broadcast over the input.
  const places = Arrangement.of(kept).expand(x.dims).indices();
  const start = { mean: 0, sum: 0, max: -Infinity, min: Infinity, prod: 1 }[kind];
  const data = new Float64Array(sizeOf(kept)).fill(start);
  const join: Binary = { mean: BINARY.Add, sum: BINARY.Add, max: Math.max, min: Math.min, prod: BINARY.Mul }[kind];
  x.data.forEach((value, i) => (data[places[i]!] = join(data[places[i]!]!, value)));
  const count = x.data.length / data.length;
  if (kind === 'mean') data.forEach((sum, i) => (data[i] = x.integer ? Math.trunc(sum / count) : sum / count));
  return known(kept, data, x.integer);
}

export function foldConcat(parts: readonly Known[], axis: number): Known {
  const all = Float64Array.from({ length: parts.reduce((sum, { data }) => sum + data.length, 0) });
  let at = 0;
  const places = parts.map(({ dims, data }) => {
    all.set(data, at);
    const place = Arrangement.of([all.length]).slice(0, at, 1, data.length).reshape(dims);
    at += data.length;
    return place;
  });
  return foldArrangement(
    known(
      [all.length],
      all,
      parts.every(({ integer }) => integer),
    ),
    Arrangement.join(places, axis),
  );
}
