/**
 * What an entry of the operator table is. One entry, one file: attributes, shape, roles of its inputs and support box live here;
 * each engine adds how it runs. Activations leave out the batch axis: dims [C, …spatial].
 */
import type { OperationKind, OperatorType, ParameterKind } from '../lowered';

/**
 * What an operator does with an input, which alone decides what is trainable:
 * a parameter's role or `statistic` must be an initializer; `operand` is an activation or a constant of the arithmetic;
 * `setting` is a number that must be known before the network runs (sizes, scales), never a value of it.
 */
export type InputRole = ParameterKind | 'statistic' | 'activation' | 'operand' | 'setting';

/** Numbers known at lowering; integers too are held as doubles (they are sizes and axes). */
export interface Known {
  readonly dims: readonly number[];
  readonly data: Float64Array;
}

/** An input as shape rules see it: `batch` says that the dims are an activation's, without its batch axis. */
export interface Operand {
  readonly dims: readonly number[];
  readonly batch: boolean;
}

/** A node as its entry sees it: checked attributes and inputs. Every method throws ERR_TRACIN_GRAPH naming file and node. */
export interface NodeView {
  readonly inputCount: number;
  /** The first input's dims. */
  readonly image: readonly number[];
  /** Undefined where an optional input is absent. */
  input(index: number): Operand | undefined;
  /** Numbers of an input that must be known, undefined where it is absent or empty. */
  known(index: number): Known | undefined;
  has(attribute: string): boolean;
  int(attribute: string, fallback: number): number;
  float(attribute: string, fallback: number): number;
  string<S extends string>(attribute: string, allowed: readonly S[], fallback: S): S;
  ints(attribute: string, fallback: readonly number[]): readonly number[];
  /** A tensor attribute's numbers. */
  tensor(attribute: string): Known | undefined;
  floats(attribute: string): readonly number[] | undefined;
  /** An axis of a tensor of that rank, negative ones counted from the end. */
  axis(attribute: string, fallback: number, rank: number): number;
  readonly fail: (message: string) => never;
}

/** Half-open range on each spatial axis, [from, to); empty where to ≤ from. */
export type Box = readonly (readonly [number, number])[];

export type AttributesOf<T extends OperatorType> = OperationKind extends infer Kind
  ? Kind extends { readonly type: infer Type; readonly attributes: infer Attributes }
    ? T extends Type
      ? Attributes
      : never
    : never
  : never;

/** An operator that engines run. */
export interface OperationEntry<T extends OperatorType> {
  /** The last one stands for all further inputs where `variadic`. */
  readonly inputs: readonly InputRole[];
  /** Inputs that must be there. */
  readonly required: number;
  readonly variadic?: true;
  /** The node's attributes as engines want them, defaults filled in; refuses what engines do not do. */
  attributes(node: NodeView): AttributesOf<T>;
  /** Dims of the result; `fail` names the node. */
  shape(attributes: AttributesOf<T>, inputs: readonly (Operand | undefined)[], fail: (message: string) => never): readonly number[];
  /**
   * Where on an input the cotangent of a result can be non-zero, when the result's is zero outside `output`
   * (equally: what of the input that part of the result reads).
   * @param input spatial sizes of the input
   */
  box(attributes: AttributesOf<T>, output: Box, input: readonly number[]): Box;
  /** Its value where every input is known. */
  fold?(node: NodeView): Known;
}

/** An operator gone after lowering: its result is its first input, or is known from dims and known inputs. */
export type VanishingEntry = { readonly passes: true } | { readonly fold: (node: NodeView) => Known };

export const known = (dims: readonly number[], data: ArrayLike<number>): Known => ({ dims, data: Float64Array.from(data) });

/** Box rule of operators that work on each position alone; an axis of size 1 was broadcast. */
export function sameBox(_attributes: unknown, output: Box, input: readonly number[]): Box {
  return output.map(([from, to], axis) => (input[axis] === 1 && from < to ? [0, 1] : [from, to]));
}

export function wholeBox(_attributes: unknown, output: Box, input: readonly number[]): Box {
  const empty = output.some(([from, to]) => to <= from);
  return input.map((size) => [0, empty ? 0 : size]);
}
