import type { Tensor } from '../tensor';
import { eachPosition } from './broadcasting';
import type { AttributesOf, Operator } from './operator';

/** A matrix within a tensor: where it begins and the steps to its next row and column. */
interface Matrix {
  readonly data: Float64Array;
  readonly start: number;
  readonly row: number;
  readonly column: number;
}

/** into [m, n] += a [m, k] · b [k, n] */
function accumulate(a: Matrix, b: Matrix, into: Matrix, m: number, k: number, n: number): void {
  for (let i = 0; i < m; i++) {
    for (let l = 0; l < k; l++) {
      const factor = a.data[a.start + i * a.row + l * a.column]!;
      const [first, to] = [b.start + l * b.row, into.start + i * into.row];
      for (let j = 0; j < n; j++) into.data[to + j * into.column]! += factor * b.data[first + j * b.column]!;
    }
  }
}

/** Visits the products of matrices that make up one of tensors; axes before the last two broadcast. */
function eachProduct(
  [a, b, product]: readonly [Tensor, Tensor, Tensor],
  visit: (a: (of: Tensor) => Matrix, b: (of: Tensor) => Matrix, product: (of: Tensor) => Matrix) => void,
): void {
  const within =
    ({ dims }: Tensor, which: number) =>
    (of: Tensor): Matrix => {
      const [rows, columns] = dims.slice(-2) as [number, number];
      return { data: of.data, start: which * rows * columns, row: columns, column: 1 };
    };
  const outer = ({ dims }: Tensor): readonly number[] => dims.slice(0, -2);
  eachPosition(outer(product), [outer(a), outer(b)], (o, [i, j]) => visit(within(a, i!), within(b, j!), within(product, o)));
}

const transposed = ({ data, start, row, column }: Matrix): Matrix => ({ data, start, row: column, column: row });

/** numpy.matmul of operands of two axes or more. */
export const matmul: Operator<AttributesOf<'MatMul'>> = {
  forward([a, b], output) {
    const [m, k] = a!.dims.slice(-2) as [number, number];
    const n = b!.dims.at(-1)!;
    output.data.fill(0);
    eachProduct([a!, b!, output], (left, right, product) => accumulate(left(a!), right(b!), product(output), m, k, n));
  },
  backward([a, b], output, cotangent, [toA, toB]) {
    const [m, k] = a!.dims.slice(-2) as [number, number];
    const n = b!.dims.at(-1)!;
    eachProduct([a!, b!, output], (left, right, product) => {
      if (toA) accumulate(product(cotangent), transposed(right(b!)), left(toA), m, n, k);
      if (toB) accumulate(transposed(left(a!)), product(cotangent), right(toB), k, m, n);
    });
  },
  tangent([a, b], output, [ofA, ofB], tangent) {
    const [m, k] = a!.dims.slice(-2) as [number, number];
    const n = b!.dims.at(-1)!;
    tangent.data.fill(0);
    eachProduct([a!, b!, output], (left, right, product) => {
      if (ofA) accumulate(left(ofA), right(b!), product(tangent), m, k, n);
      if (ofB) accumulate(left(a!), right(ofB), product(tangent), m, k, n);
    });
  },
};
