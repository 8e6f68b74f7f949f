import { generatorAt, shuffledOrder } from '../random';

/** Purpose of the stream, so that order and augmentation of an epoch never share numbers. */
const ORDER = 1;

/** The order in which an epoch (from 1) visits `count` samples, which depends on seed and epoch alone. */
export function epochOrder(count: number, seed: number, epoch: number): number[] {
  return shuffledOrder(count, generatorAt(seed, ORDER, epoch));
}
