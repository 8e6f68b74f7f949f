import { sizeOf } from '../layout';
import { room } from '../room';

/** Numbers in row-major order. */
export interface Tensor {
  readonly dims: readonly number[];
  readonly data: Float64Array;
}

export function zeros(dims: readonly number[]): Tensor {
  return { dims, data: room(Float64Array, sizeOf(dims), `[${dims.join(', ')}]`) };
}

/** Views of the numbers of each slice, of a tensor [B, …dims]. */
export function slicesOf({ dims: [batch = 0, ...dims], data }: Tensor): Tensor[] {
  const size = sizeOf(dims);
  return Array.from({ length: batch }, (_, n) => ({ dims, data: data.subarray(n * size, (n + 1) * size) }));
}
