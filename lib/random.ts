/** Random numbers addressed by what they are for, so that a resumed run needs no generator state. */
import type { RandomGenerator } from 'pure-rand/types/RandomGenerator';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

/** Finaliser of MurmurHash3 (Appleby): every input bit reaches every output bit. */
function mix(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

/** A generator of its own for each address, e.g. (seed, epoch, sample): the same numbers whatever was drawn before. */
export function generatorAt(...address: readonly number[]): RandomGenerator {
  let hash = address.length;
  for (const part of address) hash = mix(Math.imul(hash, 0x9e3779b1) + part);
  return xoroshiro128plus(hash);
}

/** The numbers 0 … count − 1 in a random order, by a Fisher–Yates shuffle. */
export function shuffledOrder(count: number, random: RandomGenerator): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = uniformInt(random, 0, i);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
