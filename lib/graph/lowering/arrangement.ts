/**
 * Where the numbers of a rearranged tensor come from, as numpy's views have it: position p of `dims` reads offset + Σ p·strides of a flat
 * source, or of `table`, which lists positions of the source (−1 where there is a fill). Transposes, slices and the like compose
 * without touching a number, and a pair that cancels is seen to.
 */

const product = (dims: readonly number[]): number => dims.reduce((all, size) => all * size, 1);

export function rowMajor(dims: readonly number[]): number[] {
  const strides = dims.map(() => 1);
  for (let axis = dims.length - 2; axis >= 0; axis--) strides[axis] = strides[axis + 1]! * dims[axis + 1]!;
  return strides;
}

export class Arrangement {
  /** @param fill what positions without a source hold, undefined where every position has one */
  private constructor(
    readonly dims: readonly number[],
    readonly strides: readonly number[],
    readonly offset: number,
    readonly table: Int32Array | undefined,
    readonly fill: number | undefined,
  ) {}

  /** A source of those dims as it lies. */
  static of(dims: readonly number[]): Arrangement {
    return new Arrangement(dims, rowMajor(dims), 0, undefined, undefined);
  }

  /** Nothing but `fill`. */
  static filled(dims: readonly number[], fill: number): Arrangement {
    return Arrangement.#listed(dims, new Int32Array(product(dims)).fill(-1), fill);
  }

  static #listed(dims: readonly number[], table: Int32Array, fill: number | undefined): Arrangement {
    return new Arrangement(dims, rowMajor(dims), 0, table, fill);
  }

  /** Arrangements of one source behind each other along an axis; they agree in their other dims and in their fill. */
  static join(parts: readonly Arrangement[], axis: number): Arrangement {
    const dims = [...parts[0]!.dims];
    dims[axis] = parts.reduce((sum, part) => sum + part.dims[axis]!, 0);
    const inner = product(dims.slice(axis + 1));
    const table = new Int32Array(product(dims));
    let at = 0;
    for (const part of parts) {
      const indices = part.indices();
      const run = part.dims[axis]! * inner;
      const whole = dims[axis] * inner;
      for (let outer = 0; outer * run < indices.length; outer++)
        table.set(indices.subarray(outer * run, (outer + 1) * run), outer * whole + at);
      at += run;
    }
    return Arrangement.#listed(dims, table, parts.find(({ fill }) => fill !== undefined)?.fill);
  }

  get size(): number {
    return product(this.dims);
  }

  /** Whether the numbers lie behind each other. */
  get #contiguous(): boolean {
    const strides = rowMajor(this.dims);
    return this.dims.every((size, axis) => size === 1 || this.strides[axis] === strides[axis]);
  }

  /** Whether it is a source of `size` numbers as it lies, under whatever dims. */
  isIdentity(size: number): boolean {
    if (this.size !== size || this.offset !== 0 || !this.#contiguous) return false;
    return !this.table || (this.table.length === size && this.table.every((position, i) => position === i));
  }

  /** The source position of every number in order, −1 where there is the fill. */
  indices(): Int32Array {
    let at: Int32Array = Int32Array.of(this.offset);
    this.dims.forEach((size, axis) => {
      const stride = this.strides[axis]!;
      const next = new Int32Array(at.length * size);
      for (let i = 0, k = 0; i < at.length; i++) for (let j = 0; j < size; j++) next[k++] = at[i]! + j * stride;
      at = next;
    });
    const { table } = this;
    return table ? at.map((i) => table[i]!) : at;
  }

  /**
   * The order of axes under which the numbers lie behind each other, undefined where none does. Axes of size 1 come first where they are
   * before all others, and keep their places among themselves.
   */
  order(): readonly number[] | undefined {
    const axes = Array.from(this.dims.keys());
    const order = axes.sort((a, b) => {
      const [short, other] = [this.dims[a] === 1, this.dims[b] === 1];
      if (short || other) return short && other ? a - b : short ? -1 : 1;
      return this.strides[b]! - this.strides[a]! || a - b;
    });
    return this.transpose(order).#contiguous ? order : undefined;
  }

  /** Result axis i is axis order[i]. */
  transpose(order: readonly number[]): Arrangement {
    const pick = (list: readonly number[]): number[] => order.map((axis) => list[axis]!);
    return new Arrangement(pick(this.dims), pick(this.strides), this.offset, this.table, this.fill);
  }

  /** Other dims of the same product. */
  reshape(dims: readonly number[]): Arrangement {
    if (this.#contiguous) return new Arrangement(dims, rowMajor(dims), this.offset, this.table, this.fill);
    return Arrangement.#listed(dims, this.indices(), this.fill);
  }

  /** Numpy broadcasting to dims of at least the rank. */
  expand(dims: readonly number[]): Arrangement {
    const before = dims.length - this.dims.length;
    const strides = dims.map((size, axis) =>
      axis < before || (this.dims[axis - before] === 1 && size !== 1) ? 0 : this.strides[axis - before]!,
    );
    return new Arrangement(dims, strides, this.offset, this.table, this.fill);
  }

  /** `length` positions along an axis: start, start + step, … */
  slice(axis: number, start: number, step: number, length: number): Arrangement {
    const stride = this.strides[axis]!;
    const dims = this.dims.with(axis, length);
    return new Arrangement(dims, this.strides.with(axis, stride * step), this.offset + start * stride, this.table, this.fill);
  }

  /** Those positions along an axis; −1 is the fill, which must be the arrangement's own where it has one. */
  take(axis: number, positions: readonly number[], fill?: number): Arrangement {
    const step = positions.length > 1 ? positions[1]! - positions[0]! : 1;
    const regular = positions.length > 0 && positions.every((position, i) => position >= 0 && position === positions[0]! + i * step);
    if (regular) return this.slice(axis, positions[0]!, step, positions.length);
    // Worked out in the order the numbers lie in, so that a transpose before and after still cancel.
    const order = this.order() ?? Array.from(this.dims.keys());
    const lying = this.transpose(order);
    const at = order.indexOf(axis);
    const source = lying.indices();
    const [length, inner] = [lying.dims[at]!, product(lying.dims.slice(at + 1))];
    const dims = lying.dims.with(at, positions.length);
    const table = new Int32Array(product(dims));
    let k = 0;
    for (let outer = 0; outer < source.length; outer += length * inner) {
      for (const position of positions) {
        if (position < 0) table.fill(-1, k, k + inner);
        else table.set(source.subarray(outer + position * inner, outer + (position + 1) * inner), k);
        k += inner;
      }
    }
    const filled = positions.includes(-1) ? fill : undefined;
    return Arrangement.#listed(dims, table, filled ?? this.fill).transpose(inverse(order));
  }
}

export function inverse(order: readonly number[]): number[] {
  const result: number[] = [];
  order.forEach((axis, i) => (result[axis] = i));
  return result;
}
