/** Lowered networks put together operation by operation, with seeded parameters. */
import { sizeOf } from '../../lib/engine/layout';
import type { Lowered, Operation, OperatorType, Parameter, ParameterKind, Value } from '../../lib/graph/lowered';
import type { AttributesOf } from '../../lib/graph/boxes';
import { uniform, type Numbers } from './numbers';

export class LoweredBuilder {
  readonly parameters = new Map<string, Numbers>();
  readonly #values: Value[];
  readonly #operations: Operation[] = [];
  readonly #order: Parameter[] = [];
  readonly #next = uniform(4);

  /** @param image dims [M, …size]; value 0 */
  constructor(image: readonly number[]) {
    this.#values = [{ kind: 'activation', name: 'image', dims: image }];
  }

  parameter(name: string, dims: readonly number[], role: ParameterKind): number {
    const value = this.#values.push({ kind: 'parameter', name, dims, role }) - 1;
    this.#order.push({ name, role, dims, size: sizeOf(dims), value });
    this.parameters.set(name, Float64Array.from({ length: sizeOf(dims) }, this.#next));
    return value;
  }

  constant(dims: readonly number[], data: readonly number[]): number {
    return this.#values.push({ kind: 'constant', name: `constant ${this.#values.length}`, dims, data: Float64Array.from(data) }) - 1;
  }

  /** @returns the output's value: derived where no input is an activation, nor made from one */
  operation<T extends OperatorType>(type: T, inputs: readonly number[], dims: readonly number[], attributes: AttributesOf<T>): number {
    const kind = inputs.some((v) => this.#values[v]!.kind === 'activation') ? 'activation' : 'derived';
    const name = `${type} ${this.#operations.length}`;
    const output = this.#values.push({ kind, name, dims }) - 1;
    this.#operations.push({ type, attributes, name, inputs, output } as unknown as Operation);
    return output;
  }

  /** A convolution of kernel size 1. */
  mix(x: number, kernel: number): number {
    const [out = 0] = this.#values[kernel]!.dims;
    const each = (n: number): number[] => [n, n];
    const window = { kernel: each(1), strides: each(1), before: each(0), after: each(0), dilations: each(1) };
    return this.operation('Conv', [x, kernel], [out, ...this.#values[x]!.dims.slice(1)], { ...window, groups: 1 });
  }

  build(logits: number): Lowered {
    const head = this.#operations.findLastIndex(({ type }) => type === 'Conv');
    return { values: this.#values, operations: this.#operations, parameters: this.#order, input: 0, logits, head, notes: [] };
  }
}

/** Index of a matrix's transpose. */
export function transposition(rows: number, columns: number): Int32Array {
  return Int32Array.from({ length: rows * columns }, (_, o) => (o % rows) * columns + Math.floor(o / rows));
}
