import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { generatorAt } from './random';

/** Purpose of the stream, so that order and augmentation of an epoch never share numbers. */
const ORDER = 1;

/** The order in which an epoch (from 1) visits `count` samples: a Fisher–Yates shuffle that depends on seed and epoch alone. */
export function epochOrder(count: number, seed: number, epoch: number): number[] {
  const random = generatorAt(seed, ORDER, epoch);
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = uniformInt(random, 0, i);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
