/** What an initializer is: whole numbers are sizes and axes, floating-point ones what the operators that use them make of them. */
import type { Tensor } from '../graph';
import { FLOATING } from '../image';
import { knownTensor } from '../view';
import type { Emitter } from './emitter';
import type { Known, Term, Use, Weights } from './term';

/** What is added to scores that a softmax shall not see. */
const SHUT = -100;

/**
 * A mask by its numbers: 0 and far below in a sum, 0 and 1 in a product. Exporters store them as they store weights, but training
 * arrives at no such numbers (all zeros or all ones are fresh parameters).
 */
function isMask({ role }: Use, data: ArrayLike<number>): boolean {
  const is = role === 'bias' ? (value: number): boolean => value <= SHUT : (value: number): boolean => value === 1;
  let [shut, open] = [0, 0];
  for (let i = 0; i < data.length; i++) {
    if (is(data[i]!)) shut++;
    else if (data[i] === 0) open++;
    else return false;
  }
  return shut > 0 && (open > 0 || role === 'bias');
}

export function initializer(emit: Emitter, name: string, tensor: Tensor): Term {
  const { dims, type, data } = tensor;
  if (!FLOATING.has(type) || data instanceof BigInt64Array) return knownTensor(tensor, name);
  let numbers: Known | undefined;
  const weights: Weights = {
    kind: 'weights',
    dims,
    initializer: name,
    numbers: () => (numbers ??= knownTensor(tensor, name)),
    realise(use) {
      const alone = data.length < 2;
      if (!use.arithmetic || !(alone || isMask(use, data))) return emit.whole(emit.stored(name, dims, use.role));
      if (!alone) emit.notes.add(`'${name}' is a mask, not counted as a parameter`);
      else if (dims.length > 0) emit.notes.add(`'${name}' is one number of the arithmetic, not counted as a parameter`);
      return weights.numbers();
    },
  };
  return weights;
}
