/** What is left of a run: passes over the training slices, one for each checkpoint and part of the test slices. */
import type { Range } from './batches';
import type { InfluencePlan } from './plan';
import { shareOf, type Shard } from './shard';
import { passRanges, tileLength, tileName, tileRanges, type TileFolder } from './tiles';

export interface Pass {
  readonly checkpoint: number;
  readonly index: number;
  /** Whether a run begins with it. */
  readonly first: boolean;
  readonly tests: Range;
  /** Training ranges whose products are not there yet. */
  readonly missing: readonly Range[];
  /** Whether the norms and losses of its test slices are not there yet. */
  readonly testsMissing: boolean;
}

export interface Unfinished {
  /** The last checkpoint's come first, for it has just predicted and is loaded. */
  readonly passes: readonly Pass[];
  /** Slices of what is done, each as often as it is computed. */
  readonly done: number;
}

/** What of a plan, or of a shard of it, is not in a folder yet. */
export async function unfinishedPasses(plan: InfluencePlan, tiles: TileFolder, shard?: Shard): Promise<Unfinished> {
  const { checkpoints, classes } = plan;
  const ranges = shareOf(tileRanges(plan), shard);
  const passes: Pass[] = [];
  let done = 0;
  for (let checkpoint = checkpoints - 1; checkpoint >= 0; checkpoint--) {
    for (const [index, tests] of passRanges(plan).entries()) {
      const count = tests.end - tests.start;
      const missing: Range[] = [];
      for (const range of ranges) {
        const slices = range.end - range.start;
        const there = await tiles.hasNumbers(tileName.products(checkpoint, index, range), tileLength(count * classes, slices, classes));
        if (there) done += slices;
        else missing.push(range);
      }
      const testsMissing = !(await tiles.hasNumbers(tileName.tests(checkpoint, index), tileLength(0, count, classes)));
      if (!testsMissing && missing.length === 0) done += count;
      else passes.push({ checkpoint, index, first: checkpoint === checkpoints - 1 && index === 0, tests, missing, testsMissing });
    }
  }
  return { passes, done };
}
