/** The one table of operators. A new operator is its entry here, its kind in `lowered.ts` if engines run it, and one place in each engine. */
import type { Operation, OperatorType } from '../lowered';
import { add, mul, sub } from './arithmetic';
import { concat } from './concat';
import { conv, convTranspose } from './convolution';
import { cast, constant, dropout, gather, identity, shape, slice, unsqueeze } from './known';
import type { Box, OperationEntry, VanishingEntry } from './operator';
import { batchNormalization, leakyRelu, relu, sigmoid, softmax } from './pointwise';
import { averagePool, globalAveragePool, maxPool } from './pooling';
import { resize } from './resize';

export type { Box } from './operator';

/** Operators that engines run. */
export const OPERATORS: { readonly [T in OperatorType]: OperationEntry<T> } = {
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

/** Operators gone after lowering. */
export const VANISHING: ReadonlyMap<string, VanishingEntry> = new Map([
  ['Constant', constant],
  ['Identity', identity],
  ['Dropout', dropout],
  ['Shape', shape],
  ['Cast', cast],
  ['Unsqueeze', unsqueeze],
  ['Gather', gather],
  ['Slice', slice],
]);

/** An entry whose attributes' type is not known, as code that handles every operator sees it. */
export function operationEntry(type: OperatorType): OperationEntry<OperatorType> {
  return OPERATORS[type];
}

export function isOperatorType(name: string): name is OperatorType {
  return Object.hasOwn(OPERATORS, name);
}

/**
 * Where on an input of an operation the cotangent can be non-zero, when that of its result is zero outside `output`.
 * @param input spatial sizes of the input
 */
export function inputBox(operation: Operation, output: Box, input: readonly number[]): Box {
  return operationEntry(operation.type).box(operation.attributes, output, input);
}
