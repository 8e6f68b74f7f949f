/** Functions of every number alone, of one term or of several that broadcast. */
import { MOST_NUMBERS, type OperationKind, type ParameterKind, type Relation, type UnaryFunction } from '../lowered';
import { Arrangement, inverse } from './arrangement';
import { Arranging } from './arranging';
import { BINARY, foldBinary, foldEach, RELATIONS, UNARY, type BinaryName } from './fold';
import { broadcast, computed, label, LARGEST, sameDims, sizeOf, type Computed, type Known, type Term } from './term';
import { sliceDims } from './values';

function withoutOnes(dims: readonly number[]): readonly number[] {
  const first = dims.findIndex((size) => size !== 1);
  return first < 0 ? [] : dims.slice(first);
}

const ARITHMETIC: Partial<Record<BinaryName, ParameterKind>> = { Add: 'bias', Sub: 'bias', Mul: 'scale', Div: 'scale' };

export class Elementwise extends Arranging {
  /** Operands of one result under dims that broadcast as values' dims do. */
  protected broadcasting(kind: OperationKind, operands: readonly (Known | Computed)[], dims: readonly number[]): Computed {
    const order = this.lying(operands, dims.length);
    if (order) {
      const moved = operands.map((operand) => this.transpose(this.toRank(operand, dims.length), order) as Known | Computed);
      const made = this.broadcasting(kind, moved, order.map((axis) => dims[axis]!)); // prettier-ignore
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
    return computed(this.emit(kind, inputs, result), Arrangement.of(dims));
  }

  protected together(operands: readonly Term[]): readonly number[] {
    const most = operands.some((operand) => this.isActivation(operand)) ? MOST_NUMBERS : LARGEST;
    return operands.reduce<readonly number[]>((dims, operand) => {
      const result =
        broadcast(dims, operand.dims) ?? this.fail(`combines ${operands.map((each) => label(each.dims)).join(' and ')}, which do not fit`);
      return sizeOf(result) <= most ? result : this.fail(`makes a tensor of ${label(result)}, which is too large`);
    }, []);
  }

  binary(type: BinaryName, a: Term, b: Term): Term {
    const role = ARITHMETIC[type];
    const dims = this.together([a, b]);
    const meets = a.kind === 'computed' || b.kind === 'computed';
    return this.apply(
      meets ? [this.operand(a, role), this.operand(b, role)] : [a, b],
      dims,
      // The smaller operand of arithmetic among weights is a scale or a shift of the larger one.
      (outer, { dims: small }) => (role && sizeOf(small) < sizeOf(dims) ? { role, arithmetic: true } : outer),
      (x, y) => foldBinary(x, y, dims, BINARY[type]),
      (x, y) => this.broadcasting({ type, attributes: {} }, [x, y], dims),
    );
  }

  compare(relation: Relation, a: Term, b: Term): Term {
    const dims = this.together([a, b]);
    const [x, y] = [this.operand(a, undefined), this.operand(b, undefined)];
    if (x.kind === 'known' && y.kind === 'known') return foldEach([x, y], dims, true, (p, q) => RELATIONS[relation](p, q));
    return this.broadcasting({ type: 'Compare', attributes: { relation } }, [x, y], dims);
  }

  where(condition: Term, a: Term, b: Term): Term {
    const dims = this.together([condition, a, b]);
    const all = [condition, a, b].map((term) => this.operand(term, undefined));
    const [c, x, y] = all as [Known, Known, Known];
    if (all.every(({ kind }) => kind === 'known')) return foldEach([c, x, y], dims, x.integer && y.integer, (p, q, r) => (p ? q : r));
    return this.broadcasting({ type: 'Where', attributes: {} }, all, dims);
  }

  pRelu(x: Term, slope: Term): Term {
    const made = slope.kind === 'weights' ? this.parameter(slope, 'slope') : slope;
    if (!this.isActivation(x)) return this.fail('has no activation as its input');
    const dims = this.together([x, made]);
    return this.broadcasting({ type: 'PRelu', attributes: {} }, [x, made], dims);
  }

  /** A function of every number alone. */
  #each(kind: OperationKind, x: Term, fold: ((x: number) => number) | undefined): Term {
    return this.apply(
      [x],
      x.dims,
      (outer) => outer,
      fold && ((numbers) => foldEach([numbers], x.dims, numbers.integer, (value) => fold(value))),
      (operand) => {
        const each = operand;
        if (each.kind === 'known') return computed(this.emit(kind, [this.value(each, each.dims)], each.dims), Arrangement.of(each.dims));
        // Rearranged numbers are worked on where they lie, if they are no fewer there.
        const lies = this.values[each.base]!.dims;
        const { base, arrangement } =
          each.arrangement.fill === undefined && sizeOf(lies) <= each.arrangement.size ? each : this.settled(each);
        return computed(this.emit(kind, [base], this.values[base]!.dims), arrangement);
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
}
