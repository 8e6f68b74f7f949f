/** Several processes, on one machine or many, computing one study: each takes every n-th range of training slices. */
import { TracinError } from '../errors';
import { check, shape, whole } from '../kinds';
import type { Range } from './batches';

/** `index` of `count`, from 1. */
export interface Shard {
  readonly index: number;
  readonly count: number;
}

/** @throws ERR_TRACIN_USAGE for a shard there cannot be */
export function checkShard(call: string, shard: Shard): void {
  check(call, { shard }, { shard: shape<Shard>({ index: whole(1), count: whole(1) }) });
  const { index, count } = shard;
  if (index <= count) return;
  throw new TracinError('ERR_TRACIN_USAGE', `shard ${index}/${count}: give whole numbers, from 1/${count} to ${count}/${count}`);
}

export function shareOf(ranges: readonly Range[], shard: Shard | undefined): readonly Range[] {
  return shard ? ranges.filter((_, i) => i % shard.count === shard.index - 1) : ranges;
}
