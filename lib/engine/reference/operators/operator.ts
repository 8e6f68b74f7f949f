import type { Tensor } from '../tensor';

export type { AttributesOf } from '../../../graph/boxes';

/** How BatchNormalization normalises: by the running statistics (influence, inference) or by those of the batch (training). */
export type Statistics = 'running' | 'batch';

/** Inputs in the operator's order; undefined where an optional one is absent. */
export type Inputs = readonly (Tensor | undefined)[];

/**
 * What an operator computes, in float64, on the numbers of one slice: its tensors have the dims of the lowered values.
 * Both methods only touch what they are handed.
 */
export interface Operator<Attributes> {
  /** Gets the whole batch at once instead, activations [B, …dims], because slices meet in its statistics. */
  readonly wholeBatch?: true;
  /** Fills `output`, whatever it held. */
  forward(inputs: Inputs, output: Tensor, attributes: Attributes, statistics: Statistics): void;
  /**
   * ADDS the derivative of Σ cotangent · output to `gradients[i]` of every input whose gradient is wanted; the others are undefined.
   * `output` is what forward filled.
   */
  backward(inputs: Inputs, output: Tensor, cotangent: Tensor, gradients: Inputs, attributes: Attributes, statistics: Statistics): void;
  /**
   * Fills `tangent` with the derivative of the output when the inputs move along `tangents`; one that is undefined stays where it is.
   * Running statistics are used, and `output` is what forward filled.
   */
  tangent(inputs: Inputs, output: Tensor, tangents: Inputs, tangent: Tensor, attributes: Attributes): void;
}

/** An operator that is linear in its only input: its tangent is the operator itself. */
export function linear<Attributes>(operator: Omit<Operator<Attributes>, 'tangent'>): Operator<Attributes> {
  return {
    ...operator,
    tangent: (_inputs, _output, tangents, tangent, attributes) => operator.forward(tangents, tangent, attributes, 'running'),
  };
}

/** slope · x moved: what does not move, or is not looked at, counts as 0 even where the other is infinite (√ at 0). */
export function along(moved: number, slope: number): number {
  return moved === 0 || slope === 0 ? 0 : moved * slope;
}
