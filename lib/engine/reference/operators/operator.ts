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
}
