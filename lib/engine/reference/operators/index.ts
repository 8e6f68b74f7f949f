import type { OperatorType } from '../../../graph/lowered';
import { add, mul, sub } from './arithmetic';
import { averagePool, globalAveragePool } from './average-pool';
import { batchNormalization } from './batch-normalization';
import { concat } from './concat';
import { conv, convTranspose } from './convolution';
import { maxPool } from './max-pool';
import type { AttributesOf, Operator } from './operator';
import { leakyRelu, relu, sigmoid } from './pointwise';
import { resize } from './resize';
import { softmax } from './softmax';

/** Every operator of the lowered graph; one without an entry does not compile. */
export const OPERATORS: { readonly [T in OperatorType]: Operator<AttributesOf<T>> } = {
  Conv: conv,
  ConvTranspose: convTranspose,
  BatchNormalization: batchNormalization,
  Relu: relu,
  LeakyRelu: leakyRelu,
  Sigmoid: sigmoid,
  Softmax: softmax,
  MaxPool: maxPool,
  AveragePool: averagePool,
  GlobalAveragePool: globalAveragePool,
  Resize: resize,
  Concat: concat,
  Add: add,
  Sub: sub,
  Mul: mul,
};
