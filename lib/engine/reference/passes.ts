/** Forward and backward through a whole network for a batch of one size. */
import type { Lowered, Operation } from '../../graph/lowered';
import { OPERATORS } from './operators';
import type { Operator, Statistics } from './operators/operator';
import type { Plan } from './plan';
import { zeros, type Tensor } from './tensor';

/** Called before every operation; throws to stop the pass. */
export type Poll = () => void;

export class Passes {
  readonly #lowered: Lowered;
  readonly #plan: Plan;
  /** By value: activations of this batch beside the stored parameters, statistics and constants. */
  readonly #values: readonly Tensor[];
  /** By value: gradients of activations of this batch. */
  readonly #gradients: readonly (Tensor | undefined)[];

  /** @param stored by value, every value that is not an activation */
  constructor(lowered: Lowered, plan: Plan, stored: readonly (Tensor | undefined)[], batch: number) {
    this.#lowered = lowered;
    this.#plan = plan;
    this.#values = lowered.values.map(({ dims }, v) => stored[v] ?? zeros([batch, ...dims]));
    this.#gradients = lowered.values.map(({ kind, dims }, v) =>
      plan.wanted[v] && kind === 'activation' ? zeros([batch, ...dims]) : undefined,
    );
  }

  /** @param images [batch, M, …size] @returns the logits, overwritten by the next pass */
  forward(images: Float32Array, statistics: Statistics, poll: Poll): Tensor {
    this.value(this.#lowered.input).data.set(images);
    for (const operation of this.#lowered.operations) {
      poll();
      const inputs = operation.inputs.map((v) => this.#values[v]);
      operatorOf(operation).forward(inputs, this.value(operation.output), operation.attributes, statistics);
    }
    return this.value(this.#lowered.logits);
  }

  /**
   * Adds the gradient of Σ cotangent · logits at the last forward to the parameters' gradients.
   * @param parameters by value, where the gradients of the selected parameters go
   */
  backward(cotangent: Tensor, parameters: readonly (Tensor | undefined)[], statistics: Statistics, poll: Poll): void {
    for (const gradient of this.#gradients) gradient?.data.fill(0);
    this.#gradients[this.#lowered.logits]?.data.set(cotangent.data);
    const gradients = this.#gradients.map((gradient, v) => gradient ?? parameters[v]);
    for (const operation of this.#plan.backward) {
      poll();
      const { inputs, output, attributes } = operation;
      operatorOf(operation).backward(
        inputs.map((v) => this.#values[v]),
        this.value(output),
        gradients[output]!,
        inputs.map((v) => gradients[v]),
        attributes,
        statistics,
      );
    }
  }

  value(index: number): Tensor {
    return this.#values[index]!;
  }
}

/** Seen without its type: the table pairs every operator with the attributes of its operations. */
function operatorOf({ type }: Operation): Operator<Operation['attributes']> {
  return OPERATORS[type];
}
