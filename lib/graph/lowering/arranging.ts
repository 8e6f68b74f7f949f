/** Transposes, slices and reshapes of terms, which move no number before an operation needs it elsewhere. */
import { Applying } from './applying';
import { Arrangement } from './arrangement';
import { foldArrangement } from './fold';
import { computed, label, LARGEST, sameDims, sizeOf, type Computed, type Term } from './term';
import { sliceDims } from './values';

export class Arranging extends Applying {
  /** Transposes, slices, reshapes: the same numbers elsewhere. */
  arrange(x: Term, change: (arrangement: Arrangement) => Arrangement): Term {
    const { dims, size } = change(Arrangement.of(x.dims));
    if (!(size <= LARGEST)) this.fail(`makes a tensor of ${label(dims)}, which is too large`);
    if (x.kind === 'computed') return computed(x.base, change(x.arrangement));
    return this.apply(
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
    return this.arrange(clash ? this.settled(x) : x, (arrangement) => arrangement.take(axis, positions, fill));
  }

  /** The same numbers as a value of their own. */
  protected settled(x: Computed): Computed {
    const { dims } = x;
    return computed(this.value(x, this.isActivation(x) ? sliceDims(dims) : dims), Arrangement.of(dims));
  }

  /**
   * Where an operand lies transposed, the operation runs on all operands in the order it lies in, and its result is seen transposed:
   * maps stay maps, and the transposes that exporters put around them cancel.
   */
  protected lying(operands: readonly Term[], rank: number): readonly number[] | undefined {
    for (const operand of operands) {
      if (!this.isActivation(operand) || operand.dims.length !== rank) continue;
      const order = operand.arrangement.order();
      if (!order) continue;
      return order.some((axis, i) => axis !== i) ? order : undefined;
    }
    return undefined;
  }

  protected toRank(x: Term, rank: number): Term {
    return x.dims.length === rank ? x : this.reshape(x, [...new Array<number>(rank - x.dims.length).fill(1), ...x.dims]);
  }
}
