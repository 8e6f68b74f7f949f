import type { OperatorType } from '../../../graph/lowered';
import { add, compare, div, max, min, mul, pow, prelu, sub, where } from './arithmetic';
import { averagePool, globalAveragePool } from './average-pool';
import { batchNormalization } from './batch-normalization';
import { concat } from './concat';
import { conv, convTranspose } from './convolution';
import { matmul } from './matmul';
import { maxPool } from './max-pool';
import { normalize } from './normalize';
import type { AttributesOf, Operator } from './operator';
import { elementwise, leakyRelu, relu, sigmoid } from './pointwise';
import { rearrange } from './rearrange';
import { reduce } from './reduce';
import { resize } from './resize';
import { logSoftmax, softmax } from './softmax';

/** Every operator of the lowered graph; one without an entry does not compile. */
export const OPERATORS: { readonly [T in OperatorType]: Operator<AttributesOf<T>> } = {
  Conv: conv,
  ConvTranspose: convTranspose,
  BatchNormalization: batchNormalization,
  Relu: relu,
  LeakyRelu: leakyRelu,
  Sigmoid: sigmoid,
  Elementwise: elementwise,
  PRelu: prelu,
  Normalize: normalize,
  Softmax: softmax,
  LogSoftmax: logSoftmax,
  MaxPool: maxPool,
  AveragePool: averagePool,
  GlobalAveragePool: globalAveragePool,
  Resize: resize,
  Concat: concat,
  Rearrange: rearrange,
  Reduce: reduce,
  MatMul: matmul,
  Add: add,
  Sub: sub,
  Mul: mul,
  Div: div,
  Pow: pow,
  Min: min,
  Max: max,
  Compare: compare,
  Where: where,
};
