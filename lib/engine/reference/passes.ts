/** Forward and backward through a whole network for a batch of one size. */
import type { Lowered, Operation } from '../../graph/lowered';
import { OPERATORS } from './operators';
import type { Operator, Statistics } from './operators/operator';
import type { Plan } from './plan';
import { slicesOf, zeros, type Tensor } from './tensor';

/** Called before every operation; throws to stop the pass. */
export type Poll = () => void;

/** Tensors by value, undefined where a value has none. */
type Tensors = readonly (Tensor | undefined)[];

/** One tensor for each value of a batch, and as each of its slices sees them: what is the same for every slice is shared. */
class Batch {
  readonly whole: Tensors;
  readonly slices: readonly Tensors[];

  /** @param batched by value, whether the tensor is [B, …dims] */
  constructor(whole: Tensors, batched: readonly boolean[], slices: number) {
    this.whole = whole;
    const views = whole.map((tensor, v) => (tensor && batched[v] ? slicesOf(tensor) : undefined));
    this.slices = Array.from({ length: slices }, (_, n) => whole.map((tensor, v) => views[v]?.[n] ?? tensor));
  }
}

export class Passes {
  readonly #lowered: Lowered;
  readonly #plan: Plan;
  readonly #batchOf: (whole: Tensors) => Batch;
  /** New tensors for what a selected parameter moves, without the parameters. */
  readonly #scratchOf: () => Tensors;
  readonly #values: Batch;
  readonly #gradients: Batch;
  /** The gradients that are this batch's own: of all but parameters. */
  readonly #scratch: readonly Tensor[];
  /** Made when a tangent is first asked for. */
  #tangents: Batch | undefined;

  /**
   * @param stored by value, every value that is not an activation
   * @param parameterGradients by value, where the gradients of the selected parameters go
   */
  constructor(lowered: Lowered, plan: Plan, stored: Tensors, parameterGradients: Tensors, batch: number) {
    this.#lowered = lowered;
    this.#plan = plan;
    const batched = lowered.values.map(({ kind }) => kind === 'activation');
    const own = (v: number): Tensor => zeros(batched[v] ? [batch, ...lowered.values[v]!.dims] : lowered.values[v]!.dims);
    this.#batchOf = (whole) => new Batch(whole, batched, batch);
    this.#scratchOf = () => lowered.values.map(({ kind }, v) => (plan.wanted[v] && kind !== 'parameter' ? own(v) : undefined));
    this.#values = this.#batchOf(lowered.values.map((_, v) => stored[v] ?? own(v)));
    const scratch = this.#scratchOf();
    this.#scratch = scratch.filter((tensor) => tensor !== undefined);
    this.#gradients = this.#batchOf(scratch.map((tensor, v) => tensor ?? parameterGradients[v]));
  }

  /** Computes the derived values from the stored ones, for every batch that shares them. */
  derive(): void {
    for (const operation of this.#lowered.operations) if (this.#isDerived(operation)) this.#run(operation, 'running');
  }

  /** @param images [batch, M, …size] @returns the logits, overwritten by the next pass */
  forward(images: Float32Array, statistics: Statistics, poll: Poll): Tensor {
    this.value(this.#lowered.input).data.set(images);
    for (const operation of this.#lowered.operations) {
      if (this.#isDerived(operation)) continue;
      poll();
      this.#run(operation, statistics);
    }
    return this.value(this.#lowered.logits);
  }

  /** Adds the gradient of Σ cotangent · logits at the last forward to the parameters' gradients. */
  backward(cotangent: Tensor, statistics: Statistics, poll: Poll): void {
    for (const { data } of this.#scratch) data.fill(0);
    this.#gradients.whole[this.#lowered.logits]?.data.set(cotangent.data);
    for (const operation of this.#plan.backward) {
      poll();
      const { inputs, output, attributes } = operation;
      const operator = operatorOf(operation);
      const values = this.#views(this.#values, operation);
      this.#views(this.#gradients, operation).forEach((gradients, n) => {
        const seen = values[n]!;
        operator.backward(
          inputs.map((v) => seen[v]),
          seen[output]!,
          gradients[output]!,
          inputs.map((v) => gradients[v]),
          attributes,
          statistics,
        );
      });
    }
  }

  /**
   * @param direction by value, how the selected parameters move: the same array in every call
   * @returns the derivative along it of the logits of the last forward (running statistics); overwritten by the next pass
   */
  tangent(direction: Tensors, poll: Poll): Tensor {
    this.#tangents ??= this.#batchOf(this.#scratchOf().map((tensor, v) => tensor ?? direction[v]));
    for (const operation of this.#plan.backward.toReversed()) {
      poll();
      const { inputs, output, attributes } = operation;
      const operator = operatorOf(operation);
      const values = this.#views(this.#values, operation);
      this.#views(this.#tangents, operation).forEach((tangents, n) => {
        const seen = values[n]!;
        operator.tangent(
          inputs.map((v) => seen[v]),
          seen[output]!,
          inputs.map((v) => tangents[v]),
          tangents[output]!,
          attributes,
        );
      });
    }
    return this.#tangents.whole[this.#lowered.logits] ?? zeros(this.value(this.#lowered.logits).dims);
  }

  /** The whole batch's tensor: [batch, …dims] of an activation. */
  value(index: number): Tensor {
    return this.#values.whole[index]!;
  }

  #isDerived({ output }: Operation): boolean {
    return this.#lowered.values[output]!.kind === 'derived';
  }

  #run(operation: Operation, statistics: Statistics): void {
    const { inputs, output, attributes } = operation;
    for (const seen of this.#views(this.#values, operation)) {
      operatorOf(operation).forward(
        inputs.map((v) => seen[v]),
        seen[output]!,
        attributes,
        statistics,
      );
    }
  }

  /** What an operation runs over: slice by slice, or once where slices meet or all share the result. */
  #views(tensors: Batch, operation: Operation): readonly Tensors[] {
    return operatorOf(operation).wholeBatch || this.#isDerived(operation) ? [tensors.whole] : tensors.slices;
  }
}

/** Seen without its type: the table pairs every operator with the attributes of its operations. */
function operatorOf({ type }: Operation): Operator<Operation['attributes']> {
  return OPERATORS[type];
}
