import { sizeOf } from '../layout';

/** Numbers of a value in row-major order; an activation's dims begin with the batch axis. */
export interface Tensor {
  readonly dims: readonly number[];
  readonly data: Float64Array;
}

export function zeros(dims: readonly number[]): Tensor {
  return { dims, data: new Float64Array(sizeOf(dims)) };
}
