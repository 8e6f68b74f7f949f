/** What operators are lowered onto: a few operations on terms. Here those that work along axes; the others are inherited. */
import { MOST_NUMBERS } from '../lowered';
import { Arrangement, inverse } from './arrangement';
import { Elementwise } from './elementwise';
import { foldConcat, foldReduce } from './fold';
import { broadcast, computed, label, LARGEST, scalar, sizeOf, type Computed, type Known, type Term } from './term';
import { sliceDims } from './values';

export class Emitter extends Elementwise {
  /** Over those axes, which stay with size 1. */
  reduce(kind: 'mean' | 'sum' | 'max', x: Term, axes: readonly number[]): Term {
    const dims = x.dims.map((size, axis) => (axes.includes(axis) ? 1 : size));
    if (axes.length === 0) return x;
    return this.apply(
      [x],
      dims,
      (outer) => outer,
      (numbers) => foldReduce(kind, numbers, axes),
      (operand) => {
        const order = this.lying([operand], dims.length) ?? Array.from(dims.keys());
        const lying = this.transpose(operand, order) as Computed;
        const short = this.isActivation(lying) && lying.dims[0] === 1 ? 1 : 0;
        const over = axes.flatMap((axis) => (order.indexOf(axis) >= short ? [order.indexOf(axis) - short] : [])).sort((a, b) => a - b);
        if (over.length === 0) return operand;
        const input = this.value(lying, lying.dims.slice(short));
        const moved = order.map((axis) => dims[axis]!);
        const output = this.emit({ type: 'Reduce', attributes: { kind, axes: over } }, [input], moved.slice(short));
        return this.transpose(computed(output, Arrangement.of(moved)), inverse(order));
      },
    );
  }

  /** Softmax and LogSoftmax along one axis. */
  along(type: 'Softmax' | 'LogSoftmax', x: Term, axis: number): Term {
    if (!this.isActivation(x)) return this.fail('works on numbers that do not depend on the image, which is not supported');
    const order = this.lying([x], x.dims.length) ?? Array.from(x.dims.keys());
    const lying = this.transpose(x, order) as Computed;
    const at = order.indexOf(axis);
    const short = lying.dims[0] === 1 && at > 0 ? 1 : 0;
    const input = this.value(lying, lying.dims.slice(short));
    const output = this.emit({ type, attributes: { axis: at - short } }, [input], lying.dims.slice(short));
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
    return this.apply(
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
        return computed(this.emit({ type: 'MatMul', attributes: {} }, inputs, [...broadcast(p!, q!)!, m, n]), Arrangement.of(dims));
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
    const most = parts.some((part) => this.isActivation(part)) ? MOST_NUMBERS : LARGEST;
    if (sizeOf(dims) > most) this.fail(`makes a tensor of ${label(dims)}, which is too large`);
    const meets = parts.some(({ kind }) => kind === 'computed');
    return this.apply(
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
    if (sizeOf(dims) <= LARGEST && parts.every(ofOne)) {
      const fills = new Set(parts.flatMap(({ arrangement: { fill } }) => (fill === undefined ? [] : [fill])));
      if (fills.size <= 1) return computed(parts[0]!.base, Arrangement.join(parts.map(({ arrangement }) => arrangement), axis)); // prettier-ignore
    }
    const image = parts.find((part) => this.isActivation(part));
    // Parameters among themselves: each between zeros, and all together.
    if (!image) return this.#sum(parts, axis, dims);
    const maps = parts.map((part) => (this.isActivation(part) ? part : this.#asActivation(part, image)));
    const order = this.lying(maps, dims.length) ?? Array.from(dims.keys());
    const lying = maps.map((map) => this.transpose(map, order) as Computed);
    const at = order.indexOf(axis);
    const moved = order.map((each) => dims[each]!);
    const short = at > 0 && moved[0] === 1 ? 1 : 0;
    const inputs = lying.map((map) => this.value(map, map.dims.slice(short)));
    const output = this.emit({ type: 'Concat', attributes: { axis: at - short } }, inputs, moved.slice(short));
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
    return computed(this.emit({ type: 'Normalize', attributes: { groups, epsilon } }, [input], sliceDims(x.dims)), Arrangement.of(x.dims));
  }
}
