/** Values and operations of a network as they are lowered, and what operators are lowered onto: a few operations on terms. */
import type { OperationKind, Operation, ParameterKind, Relation, UnaryFunction, Value } from '../lowered';
import { Arrangement, inverse } from './arrangement';
import { BINARY, foldArrangement, foldBinary, foldConcat, foldEach, foldReduce, RELATIONS, UNARY, type BinaryName } from './fold';
import { broadcast, computed, sameDims, scalar, sizeOf, type Computed, type Known, type Term, type Use, type Weights } from './term';

/** A tensor of more numbers than this comes from damaged files. */
const LARGEST = 2 ** 27;

const label = (dims: readonly number[]): string => `[${dims.join(', ')}]`;

/** Activations leave out the leading 1. */
export const sliceDims = (dims: readonly number[]): readonly number[] => (dims[0] === 1 ? dims.slice(1) : dims);

function withoutOnes(dims: readonly number[]): readonly number[] {
  const first = dims.findIndex((size) => size !== 1);
  return first < 0 ? [] : dims.slice(first);
}

const ARITHMETIC: Partial<Record<BinaryName, ParameterKind>> = { Add: 'bias', Sub: 'bias', Mul: 'scale', Div: 'scale' };

export class Emitter {
  readonly values: Value[] = [];
  readonly operations: Operation[] = [];
  /** What people should be told. */
  readonly notes = new Set<string>();
  readonly #named = new Map<string, number>();
  readonly #rearranged = new Map<string, number>();
  readonly #tables = new Map<Int32Array, number>();
  #node = { name: '', output: '', fail: (message: string): never => { throw new Error(message); } }; // prettier-ignore

  /** What is emitted next belongs to that node. @param output names the values */
  begin(name: string, output: string, fail: (message: string) => never): void {
    this.#node = { name, output, fail };
  }

  fail(message: string): never {
    return this.#node.fail(message);
  }

  #push(value: Value): number {
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

  #emit(kind: OperationKind, inputs: readonly number[], dims: readonly number[]): number {
    const { name } = this.#node;
    const varies = inputs.some((input) => this.values[input]?.kind === 'activation');
    const index = this.#push({ kind: varies ? 'activation' : 'derived', name: '', dims });
    this.operations.push({ ...kind, name, inputs, output: index });
    return index;
  }

  /** An operator on maps [1, C, …], its result under ONNX dims. */
  map(kind: OperationKind, inputs: readonly number[], dims: readonly number[]): Computed {
    return computed(this.#emit(kind, inputs, sliceDims(dims)), Arrangement.of(dims));
  }

  /** The index of a term as a value of exactly those dims (the same numbers in the same order). */
  value(term: Known | Computed, dims: readonly number[]): number {
    if (term.kind === 'known') {
      const key = `constant ${label(dims)} ${term.name || String(this.values.length)}`;
      const old = this.#named.get(key);
      if (old !== undefined) return old;
      const index = this.#push({ kind: 'constant', name: term.name || this.#node.output, dims, data: term.data });
      this.#named.set(key, index);
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
    const made = this.#emit({ type: 'Rearrange', attributes: { index, fill: arrangement.fill ?? 0 } }, [base], dims);
    this.#rearranged.set(key, made);
    return made;
  }

  /** A feature map's value, dims [C, …]. */
  featureMap(term: Term): number {
    if (!this.isActivation(term)) return this.fail('has numbers that do not depend on the image where a feature map is needed');
    return this.value(term, sliceDims(term.dims));
  }

  /** A term as a parameter of that role (or what is computed from some), never a constant. */
  parameter(term: Term, role: ParameterKind): Computed {
    if (term.kind === 'computed') return this.fail(`computes its ${role} from the image, which is not supported`);
    if (term.kind === 'known') {
      const wanted = term.integer
        ? 'of whole numbers: export a network of floating-point weights'
        : 'a constant: store it as an initializer';
      return this.fail(`takes its ${role} from '${term.name}', which is ${wanted}`);
    }
    const made = term.realise({ role, arithmetic: false });
    return made.kind === 'computed' ? made : this.fail(`takes its ${role} from constants alone: store it as an initializer`);
  }

  /** A term for arithmetic: trainable numbers of the checkpoint become parameters of that role, or constants where there is none. */
  operand(term: Term, role: ParameterKind | undefined): Known | Computed {
    if (term.kind !== 'weights') return term;
    if (role) return term.realise({ role, arithmetic: true });
    const numbers = term.numbers();
    if (numbers.data.length > 1)
      this.notes.add(`'${numbers.name || this.#node.output}' is used as constants by ${this.#node.name}, not as parameters`);
    return numbers;
  }

  /** An operation on terms: folded where all are known, put off where the checkpoint decides, else emitted. */
  #apply(
    operands: readonly Term[],
    dims: readonly number[],
    use: (outer: Use, operand: Term) => Use,
    fold: ((...operands: readonly Known[]) => Known) | undefined,
    emit: (...operands: readonly (Known | Computed)[]) => Term,
  ): Term {
    const now = operands.filter((operand) => operand.kind !== 'weights');
    if (now.some(({ kind }) => kind === 'computed')) {
      if (now.length < operands.length) return this.fail('combines parameters and values before it knows what they are');
      return emit(...now);
    }
    if (now.length === operands.length && fold) return fold(...(now as Known[]));
    const node = this.#node;
    const made = new Map<string, Known | Computed>();
    const weights: Weights = {
      kind: 'weights',
      dims,
      numbers: () => {
        if (!fold) return node.fail('works on constants, which is not supported: fold them into an initializer');
        return fold(...operands.map((operand) => (operand.kind === 'weights' ? operand.numbers() : (operand as Known))));
      },
      realise: (outer) => {
        const key = `${outer.role} ${outer.arithmetic}`;
        const old = made.get(key);
        if (old) return old;
        const inner = operands.map((operand) => (operand.kind === 'weights' ? operand.realise(use(outer, operand)) : operand));
        const result = inner.some(({ kind }) => kind === 'computed') || !fold ? emit(...inner) : fold(...(inner as Known[]));
        if (result.kind === 'weights') return node.fail('is computed in a way that is not supported');
        made.set(key, result);
        return result;
      },
    };
    return weights;
  }

  /** Transposes, slices, reshapes: the same numbers elsewhere. */
  arrange(x: Term, change: (arrangement: Arrangement) => Arrangement): Term {
    const { dims, size } = change(Arrangement.of(x.dims));
    if (!(size <= LARGEST)) this.fail(`makes a tensor of ${label(dims)}, which is too large`);
    if (x.kind === 'computed') return computed(x.base, change(x.arrangement));
    return this.#apply(
      [x],
      dims,
      (outer) => outer,
      (numbers) => foldArrangement(numbers, change(Arrangement.of(numbers.dims))),
      (made) => this.arrange(made, change),
    );
  }

  transpose(x: Term, order: readonly number[]): Term {
    return order.every((axis, i) => axis === i) ? x : this.arrange(x, (arrangement) => arrangement.transpose(order));
  }

  reshape(x: Term, dims: readonly number[]): Term {
    if (sizeOf(dims) !== sizeOf(x.dims)) this.fail(`reshapes ${label(x.dims)} to ${label(dims)}, which has another size`);
    return sameDims(dims, x.dims) ? x : this.arrange(x, (arrangement) => arrangement.reshape(dims));
  }

  expand(x: Term, dims: readonly number[]): Term {
    return sameDims(dims, x.dims) ? x : this.arrange(x, (arrangement) => arrangement.expand(dims));
  }

  /** Positions along an axis; −1 is `fill`. */
  take(x: Term, axis: number, positions: readonly number[], fill?: number): Term {
    if ((sizeOf(x.dims) / Math.max(x.dims[axis]!, 1)) * positions.length > LARGEST) this.fail('makes a tensor that is too large');
    const clash = x.kind === 'computed' && x.arrangement.fill !== undefined && fill !== undefined && x.arrangement.fill !== fill;
    return this.arrange(clash ? this.#settled(x) : x, (arrangement) => arrangement.take(axis, positions, fill));
  }

  /** The same numbers as a value of their own. */
  #settled(x: Computed): Computed {
    const { dims } = x;
    return computed(this.value(x, this.isActivation(x) ? sliceDims(dims) : dims), Arrangement.of(dims));
  }

  /**
   * Where an operand lies transposed, the operation runs on all operands in the order it lies in, and its result is seen transposed:
   * maps stay maps, and the transposes that exporters put around them cancel.
   */
  #lying(operands: readonly Term[], rank: number): readonly number[] | undefined {
    for (const operand of operands) {
      if (!this.isActivation(operand) || operand.dims.length !== rank) continue;
      const order = operand.arrangement.order();
      if (!order) continue;
      return order.some((axis, i) => axis !== i) ? order : undefined;
    }
    return undefined;
  }

  #toRank(x: Term, rank: number): Term {
    return x.dims.length === rank ? x : this.reshape(x, [...new Array<number>(rank - x.dims.length).fill(1), ...x.dims]);
  }

  /** Operands of one result under dims that broadcast as values' dims do. */
  #broadcasting(kind: OperationKind, operands: readonly (Known | Computed)[], dims: readonly number[]): Computed {
    const order = this.#lying(operands, dims.length);
    if (order) {
      const moved = operands.map((operand) => this.transpose(this.#toRank(operand, dims.length), order) as Known | Computed);
      const made = this.#broadcasting(kind, moved, order.map((axis) => dims[axis]!)); // prettier-ignore
      return this.transpose(made, inverse(order)) as Computed;
    }
    const result = operands.some((operand) => this.isActivation(operand)) ? sliceDims(dims) : dims;
    const inputs = operands.map((operand) => {
      let wanted = operand.dims;
      while (wanted.length > result.length && wanted[0] === 1) wanted = wanted.slice(1);
      if (operand.kind === 'computed') {
        const lies = this.values[operand.base]!.dims;
        if (lies.length <= result.length && sameDims(withoutOnes(lies), withoutOnes(wanted))) wanted = lies;
      }
      return this.value(operand, wanted);
    });
    return computed(this.#emit(kind, inputs, result), Arrangement.of(dims));
  }

  #together(operands: readonly Term[]): readonly number[] {
    return operands.reduce<readonly number[]>((dims, operand) => {
      const result =
        broadcast(dims, operand.dims) ?? this.fail(`combines ${operands.map((each) => label(each.dims)).join(' and ')}, which do not fit`);
      return sizeOf(result) <= LARGEST ? result : this.fail(`makes a tensor of ${label(result)}, which is too large`);
    }, []);
  }

  binary(type: BinaryName, a: Term, b: Term): Term {
    const role = ARITHMETIC[type];
    const dims = this.#together([a, b]);
    const meets = a.kind === 'computed' || b.kind === 'computed';
    return this.#apply(
      meets ? [this.operand(a, role), this.operand(b, role)] : [a, b],
      dims,
      // The smaller operand of arithmetic among weights is a scale or a shift of the larger one.
      (outer, { dims: small }) => (role && sizeOf(small) < sizeOf(dims) ? { role, arithmetic: true } : outer),
      (x, y) => foldBinary(x, y, dims, BINARY[type]),
      (x, y) => this.#broadcasting({ type, attributes: {} }, [x, y], dims),
    );
  }

  compare(relation: Relation, a: Term, b: Term): Term {
    const dims = this.#together([a, b]);
    const [x, y] = [this.operand(a, undefined), this.operand(b, undefined)];
    if (x.kind === 'known' && y.kind === 'known') return foldEach([x, y], dims, true, (p, q) => RELATIONS[relation](p, q));
    return this.#broadcasting({ type: 'Compare', attributes: { relation } }, [x, y], dims);
  }

  where(condition: Term, a: Term, b: Term): Term {
    const dims = this.#together([condition, a, b]);
    const all = [condition, a, b].map((term) => this.operand(term, undefined));
    const [c, x, y] = all as [Known, Known, Known];
    if (all.every(({ kind }) => kind === 'known')) return foldEach([c, x, y], dims, x.integer && y.integer, (p, q, r) => (p ? q : r));
    return this.#broadcasting({ type: 'Where', attributes: {} }, all, dims);
  }

  pRelu(x: Term, slope: Term): Term {
    const made = slope.kind === 'weights' ? this.parameter(slope, 'slope') : slope;
    if (!this.isActivation(x)) return this.fail('has no activation as its input');
    const dims = this.#together([x, made]);
    return this.#broadcasting({ type: 'PRelu', attributes: {} }, [x, made], dims);
  }

  /** A function of every number alone. */
  #each(kind: OperationKind, x: Term, fold: ((x: number) => number) | undefined): Term {
    return this.#apply(
      [x],
      x.dims,
      (outer) => outer,
      fold && ((numbers) => foldEach([numbers], x.dims, numbers.integer, (value) => fold(value))),
      (operand) => {
        const each = operand;
        if (each.kind === 'known') return computed(this.#emit(kind, [this.value(each, each.dims)], each.dims), Arrangement.of(each.dims));
        // Rearranged numbers are worked on where they lie, if they are no fewer there.
        const lies = this.values[each.base]!.dims;
        const { base, arrangement } =
          each.arrangement.fill === undefined && sizeOf(lies) <= each.arrangement.size ? each : this.#settled(each);
        return computed(this.#emit(kind, [base], this.values[base]!.dims), arrangement);
      },
    );
  }

  unary(name: UnaryFunction, x: Term, a = 0, b = 0): Term {
    const fold = UNARY[name];
    return this.#each({ type: 'Elementwise', attributes: { function: name, a, b } }, x, fold && ((value) => fold(value, a, b)));
  }

  /** Relu, LeakyRelu, Sigmoid. */
  activation(kind: OperationKind, x: Term, fold?: (x: number) => number): Term {
    return this.#each(kind, x, fold);
  }

  /** Over those axes, which stay with size 1. */
  reduce(kind: 'mean' | 'sum' | 'max', x: Term, axes: readonly number[]): Term {
    const dims = x.dims.map((size, axis) => (axes.includes(axis) ? 1 : size));
    if (axes.length === 0) return x;
    return this.#apply(
      [x],
      dims,
      (outer) => outer,
      (numbers) => foldReduce(kind, numbers, axes),
      (operand) => {
        const order = this.#lying([operand], dims.length) ?? Array.from(dims.keys());
        const lying = this.transpose(operand, order) as Computed;
        const short = this.isActivation(lying) && lying.dims[0] === 1 ? 1 : 0;
        const over = axes.flatMap((axis) => (order.indexOf(axis) >= short ? [order.indexOf(axis) - short] : [])).sort((a, b) => a - b);
        if (over.length === 0) return operand;
        const input = this.value(lying, lying.dims.slice(short));
        const moved = order.map((axis) => dims[axis]!);
        const output = this.#emit({ type: 'Reduce', attributes: { kind, axes: over } }, [input], moved.slice(short));
        return this.transpose(computed(output, Arrangement.of(moved)), inverse(order));
      },
    );
  }

  /** Softmax and LogSoftmax along one axis. */
  along(type: 'Softmax' | 'LogSoftmax', x: Term, axis: number): Term {
    if (!this.isActivation(x)) return this.fail('works on numbers that do not depend on the image, which is not supported');
    const order = this.#lying([x], x.dims.length) ?? Array.from(x.dims.keys());
    const lying = this.transpose(x, order) as Computed;
    const at = order.indexOf(axis);
    const short = lying.dims[0] === 1 && at > 0 ? 1 : 0;
    const input = this.value(lying, lying.dims.slice(short));
    const output = this.#emit({ type, attributes: { axis: at - short } }, [input], lying.dims.slice(short));
    return this.transpose(computed(output, Arrangement.of(lying.dims)), inverse(order));
  }

  /** numpy.matmul; both of two axes or more. */
  matMul(a: Term, b: Term): Term {
    const [m, k] = a.dims.slice(-2) as [number, number];
    const [l, n] = b.dims.slice(-2) as [number, number];
    const outer = broadcast(a.dims.slice(0, -2), b.dims.slice(0, -2));
    if (k !== l || !outer) return this.fail(`multiplies ${label(a.dims)} and ${label(b.dims)}, which do not fit`);
    const dims = [...outer, m, n];
    const meets = a.kind === 'computed' || b.kind === 'computed';
    const matrix = (term: Term): Known | Computed => (term.kind === 'weights' ? term.realise({ role: 'matrix', arithmetic: false }) : term);
    return this.#apply(
      meets ? [matrix(a), matrix(b)] : [a, b],
      dims,
      (use) => use,
      undefined,
      (x, y) => {
        const inputs = [x, y].map((term) => {
          const batched = this.isActivation(term) && term.dims.length > 2;
          return this.value(term, batched ? sliceDims(term.dims) : term.dims);
        });
        const [p, q] = inputs.map((input) => this.values[input]!.dims.slice(0, -2));
        return computed(this.#emit({ type: 'MatMul', attributes: {} }, inputs, [...broadcast(p!, q!)!, m, n]), Arrangement.of(dims));
      },
    );
  }

  concat(parts: readonly Term[], axis: number): Term {
    const dims = [...parts[0]!.dims];
    for (const { dims: other } of parts.slice(1)) {
      if (other.length !== dims.length || other.some((size, i) => i !== axis && size !== dims[i]))
        this.fail(`joins maps of different size, ${parts.map((part) => label(part.dims)).join(' and ')}`);
    }
    dims[axis] = parts.reduce((sum, part) => sum + part.dims[axis]!, 0);
    if (sizeOf(dims) > LARGEST) this.fail(`makes a tensor of ${label(dims)}, which is too large`);
    const meets = parts.some(({ kind }) => kind === 'computed');
    return this.#apply(
      meets ? parts.map((part) => this.operand(part, 'bias')) : parts,
      dims,
      (outer) => outer,
      (...numbers) => foldConcat(numbers, axis),
      (...operands) => this.#concat(operands.filter((operand) => sizeOf(operand.dims) > 0), axis, dims), // prettier-ignore
    );
  }

  #concat(parts: readonly (Known | Computed)[], axis: number, dims: readonly number[]): Term {
    const [first] = parts;
    const ofOne = (part: Known | Computed): part is Computed =>
      part.kind === 'computed' && first?.kind === 'computed' && part.base === first.base;
    if (parts.every(ofOne)) {
      const fills = new Set(parts.flatMap(({ arrangement: { fill } }) => (fill === undefined ? [] : [fill])));
      if (fills.size <= 1) return computed(parts[0]!.base, Arrangement.join(parts.map(({ arrangement }) => arrangement), axis)); // prettier-ignore
    }
    const image = parts.find((part) => this.isActivation(part));
    // Parameters among themselves: each between zeros, and all together.
    if (!image) return this.#sum(parts, axis, dims);
    const maps = parts.map((part) => (this.isActivation(part) ? part : this.#asActivation(part, image)));
    const order = this.#lying(maps, dims.length) ?? Array.from(dims.keys());
    const lying = maps.map((map) => this.transpose(map, order) as Computed);
    const at = order.indexOf(axis);
    const moved = order.map((each) => dims[each]!);
    const short = at > 0 && moved[0] === 1 ? 1 : 0;
    const inputs = lying.map((map) => this.value(map, map.dims.slice(short)));
    const output = this.#emit({ type: 'Concat', attributes: { axis: at - short } }, inputs, moved.slice(short));
    return this.transpose(computed(output, Arrangement.of(moved)), inverse(order));
  }

  #sum(parts: readonly Term[], axis: number, dims: readonly number[]): Term {
    let at = 0;
    const padded = parts.map((part) => {
      const positions = Array.from({ length: dims[axis]! }, (_, i) => (i >= at && i < at + part.dims[axis]! ? i - at : -1));
      at += part.dims[axis]!;
      return this.take(part, axis, positions, 0);
    });
    return padded.reduce((sum, part) => this.binary('Add', sum, part));
  }

  /** Numbers that are the same for every slice, as an activation. */
  #asActivation(part: Known | Computed, image: Computed): Computed {
    const [first] = part.kind === 'known' ? part.data : [];
    const even = part.kind === 'known' && part.data.every((value) => value === first);
    const base = computed(image.base, Arrangement.filled(part.dims, even ? first! : 0));
    return even ? base : (this.binary('Add', base, part) as Computed);
  }

  /** Rows of x, seen as [groups, n], made (x − mean) / √(variance + ε). */
  normalize(x: Term, groups: number, epsilon: number): Term {
    if (!this.isActivation(x)) {
      const rows = this.reshape(x, [groups, sizeOf(x.dims) / groups]);
      const centred = this.binary('Sub', rows, this.reduce('mean', rows, [1]));
      const variance = this.reduce('mean', this.binary('Mul', centred, centred), [1]);
      const deviation = this.unary('sqrt', this.binary('Add', variance, scalar(epsilon)));
      return this.reshape(this.binary('Div', centred, deviation), x.dims);
    }
    const input = this.value(x, sliceDims(x.dims));
    return computed(this.#emit({ type: 'Normalize', attributes: { groups, epsilon } }, [input], sliceDims(x.dims)), Arrangement.of(x.dims));
  }
}
