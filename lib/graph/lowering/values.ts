/** Values and operations of a network as they are lowered. */
import { MOST_NUMBERS, type OperationKind, type Operation, type ParameterKind, type Value } from '../lowered';
import { Arrangement } from './arrangement';
import { computed, label, sameDims, sizeOf, type Computed, type Known, type Term } from './term';

/** Activations leave out the leading 1. */
export const sliceDims = (dims: readonly number[]): readonly number[] => (dims[0] === 1 ? dims.slice(1) : dims);

/** What has been lowered so far, each value once. */
export class Values {
  readonly values: Value[] = [];
  readonly operations: Operation[] = [];
  /** What people should be told. */
  readonly notes = new Set<string>();
  readonly #named = new Map<string, number>();
  readonly #rearranged = new Map<string, number>();
  readonly #tables = new Map<Int32Array, number>();
  protected node = { name: '', output: '', fail: (message: string): never => { throw new Error(message); } }; // prettier-ignore

  /** What is emitted next belongs to that node. @param output names the values */
  begin(name: string, output: string, fail: (message: string) => never): void {
    this.node = { name, output, fail };
  }

  fail(message: string): never {
    return this.node.fail(message);
  }

  #push(value: Value): number {
    const numbers = sizeOf(value.dims);
    if (numbers > MOST_NUMBERS)
      this.fail(`needs a tensor of ${numbers} numbers, ${label(value.dims)}; engines take up to ${MOST_NUMBERS}: use a smaller image size`);
    return this.values.push(value) - 1;
  }

  /** The image, its value without the batch axis. @param dims [1, M, …spatial] */
  image(name: string, dims: readonly number[]): Computed {
    return computed(this.#push({ kind: 'activation', name, dims: dims.slice(1) }), Arrangement.of(dims));
  }

  /** A value of the checkpoint by its initializer's name. */
  stored(name: string, dims: readonly number[], kind: 'statistic' | ParameterKind): number {
    const wanted = kind === 'statistic' ? kind : 'parameter';
    const old = this.#named.get(name);
    if (old !== undefined) {
      const { kind: before } = this.values[old]!;
      return before === wanted ? old : this.fail(`uses '${name}' as a ${wanted}, but another node uses it as a ${before}`);
    }
    const index = this.#push(kind === 'statistic' ? { kind, name, dims } : { kind: 'parameter', name, dims, role: kind });
    this.#named.set(name, index);
    return index;
  }

  /** A value as it is. */
  whole(value: number): Computed {
    return computed(value, Arrangement.of(this.values[value]!.dims));
  }

  /** A term under the name the graph has for it: the value it is all of is called so. */
  named(term: Term, name: string): Term {
    if (term.kind === 'known') return term.name === '' ? { ...term, name } : term;
    if (term.kind === 'computed') {
      const value = this.values[term.base]!;
      if (value.name === '' && term.arrangement.isIdentity(sizeOf(value.dims))) this.values[term.base] = { ...value, name };
    }
    return term;
  }

  isActivation<T extends Term>(term: T): term is T & Computed {
    return term.kind === 'computed' && this.values[term.base]!.kind === 'activation';
  }

  /** Whether it is computed from parameters alone, or one of them seen otherwise than stored. */
  isDerived(term: Term): boolean {
    if (term.kind !== 'computed') return false;
    const { kind, dims } = this.values[term.base]!;
    if (kind === 'activation') return false;
    return kind === 'derived' || !term.arrangement.isIdentity(sizeOf(dims)) || !sameDims(dims, term.dims);
  }

  protected emit(kind: OperationKind, inputs: readonly number[], dims: readonly number[]): number {
    const { name } = this.node;
    const varies = inputs.some((input) => this.values[input]?.kind === 'activation');
    const index = this.#push({ kind: varies ? 'activation' : 'derived', name: '', dims });
    this.operations.push({ ...kind, name, inputs, output: index });
    return index;
  }

  /** An operator on maps [1, C, …], its result under ONNX dims. */
  map(kind: OperationKind, inputs: readonly number[], dims: readonly number[]): Computed {
    return computed(this.emit(kind, inputs, sliceDims(dims)), Arrangement.of(dims));
  }

  /** The index of a term as a value of exactly those dims (the same numbers in the same order). */
  value(term: Known | Computed, dims: readonly number[]): number {
    if (term.kind === 'known') {
      const key = `constant ${label(dims)} ${term.name}`;
      const old = term.name === '' ? undefined : this.#named.get(key);
      if (old !== undefined) return old;
      const index = this.#push({ kind: 'constant', name: term.name || this.node.output, dims, data: term.data });
      if (term.name !== '') this.#named.set(key, index);
      return index;
    }
    const { base, arrangement } = term;
    const source = this.values[base]!;
    const identity = arrangement.isIdentity(sizeOf(source.dims));
    if (identity && sameDims(source.dims, dims)) return base;
    const { table } = arrangement;
    if (table && !this.#tables.has(table)) this.#tables.set(table, this.#tables.size);
    const layout = [base, arrangement.offset, arrangement.strides, arrangement.dims, table ? this.#tables.get(table) : '', dims];
    const key = JSON.stringify(identity ? [base, dims] : layout);
    const old = this.#rearranged.get(key);
    if (old !== undefined) return old;
    const index = identity ? undefined : arrangement.indices();
    const made = this.emit({ type: 'Rearrange', attributes: { index, fill: arrangement.fill ?? 0 } }, [base], dims);
    this.#rearranged.set(key, made);
    return made;
  }

  /** A feature map's value, dims [C, …]. */
  featureMap(term: Term): number {
    if (!this.isActivation(term)) return this.fail('has numbers that do not depend on the image where a feature map is needed');
    return this.value(term, sliceDims(term.dims));
  }
}
