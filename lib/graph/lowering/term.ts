/** What a name of the graph stands for while it is lowered. Dims here are ONNX's own, of one slice (the batch axis is 1). */
import type { ParameterKind } from '../lowered';
import type { Arrangement } from './arrangement';

/** Numbers known at lowering; integers and booleans too are held as doubles (they are sizes, axes and masks). */
export interface Known {
  readonly kind: 'known';
  readonly dims: readonly number[];
  readonly data: Float64Array;
  /** Integers divide without a rest. */
  readonly integer: boolean;
  /** What the graph calls it, '' for a number made on the way. */
  readonly name: string;
}

/**
 * How an operator uses numbers of the checkpoint. In arithmetic (`x · w`) a single number is a constant; where an operator names the
 * role itself (a bias of one channel) it is a parameter like any other.
 */
export interface Use {
  readonly role: ParameterKind;
  readonly arithmetic: boolean;
}

/** Computed from floating-point initializers (and known numbers) alone: what it is follows from the operator that uses it. */
export interface Weights {
  readonly kind: 'weights';
  readonly dims: readonly number[];
  /** Its numbers in this file. */
  numbers(): Known;
  /** As trainable parameters, with the operations on them. */
  realise(use: Use): Known | Computed;
  /** The initializer's name where it is one as stored. */
  readonly initializer?: string | undefined;
}

/** A value of the lowered network, seen through an arrangement. */
export interface Computed {
  readonly kind: 'computed';
  readonly base: number;
  readonly dims: readonly number[];
  readonly arrangement: Arrangement;
}

export type Term = Known | Weights | Computed;

/** Numbers that are listed here, as constants or as the places of others: a tensor of more comes from damaged files. */
export const LARGEST = 2 ** 27;

export const label = (dims: readonly number[]): string => `[${dims.join(', ')}]`;

export const sizeOf = (dims: readonly number[]): number => dims.reduce((all, size) => all * size, 1);

export const sameDims = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((size, i) => size === b[i]);

export function known(dims: readonly number[], data: ArrayLike<number>, integer: boolean, name = ''): Known {
  return { kind: 'known', dims, data: data instanceof Float64Array ? data : Float64Array.from(data), integer, name };
}

/** A list of whole numbers. */
export const wholeNumbers = (values: ArrayLike<number>): Known => known([values.length], values, true);

export const scalar = (value: number): Known => known([], [value], false);

export const computed = (base: number, arrangement: Arrangement): Computed => ({
  kind: 'computed',
  base,
  dims: arrangement.dims,
  arrangement,
});

/** Dims of numpy's broadcast, undefined where the two do not fit. */
export function broadcast(a: readonly number[], b: readonly number[]): number[] | undefined {
  const rank = Math.max(a.length, b.length);
  const result: number[] = [];
  for (let axis = 0; axis < rank; axis++) {
    const [x, y] = [a[axis - rank + a.length] ?? 1, b[axis - rank + b.length] ?? 1];
    if (x !== y && x !== 1 && y !== 1) return undefined;
    result.push(x === 1 ? y : x);
  }
  return result;
}
