/** A short run begins with its first slices: what they take says what all will take, and the run goes on with them. */
import type { Block, RegionNorms } from '../engine/engine';
import type { Range } from './batches';
import type { Costs } from './calibration';
import { needsPrediction, regionLoss } from './definition';
import type { Job } from './job';
import type { InfluencePlan } from './plan';
import { readSample, stopwatch } from './sample';

/** The first test slices of the first pass. */
export interface HeadStart {
  /** Ranges of them, with their norms and losses. */
  readonly parts: readonly (Range & RegionNorms)[];
  /** Their labels [n, H, W], where they are predicted. */
  readonly predicted: Uint8Array | undefined;
  /** Their gradients at the last checkpoint, which is the first to be worked on, by the first program. */
  readonly block: Block;
  /** What of the run is done with them. */
  readonly seconds: number;
}

/** The first slices pay for what is made once. Few are computed before anything is told, and of more the others are the measure. */
const FIRST = 2;
/** Of the work, at most. */
const SHARE = 16;

/**
 * The first slices of a run, no more than the plan's block holds and a batch after the first few; where there are no test slices, training
 * slices. These batches are computed whether or not a run begins with them, which its pace decides: in others the last digits are others.
 */
export function firstRanges({ tests, trainings, capacity, batch, slicesToCompute }: InfluencePlan): Range[] {
  const [most, room] = tests === 0 ? [2 * FIRST, trainings] : [FIRST + batch, capacity];
  const end = Math.min(Math.max(FIRST, Math.floor(slicesToCompute / SHARE)), most, room);
  // one alone is no measure of a batch
  return end < 2 * FIRST ? [{ start: 0, end }] : [FIRST, end].map((to, i) => ({ start: i * FIRST, end: to }));
}

/** Computes the first test slices. Where there are none it is training slices, and nothing to go on with. */
export async function startOn(
  job: Job,
  plan: InfluencePlan,
  signal?: AbortSignal,
): Promise<{ readonly costs: Costs; readonly start?: HeadStart }> {
  const { definition, networks } = job;
  const program = job.programs[0]!;
  const loss = regionLoss(definition);
  const self = plan.tests === 0;
  const ranges = firstRanges(plan);
  const predictor = needsPrediction(definition) ? await job.predictor.open() : undefined;
  const sample = await readSample(job, self ? 'train' : 'test', ranges, predictor, { signal });
  await program.load(await networks.read(networks.checkpoints.at(-1)!));
  const block = self ? undefined : await program.resident(plan.capacity);
  if (block) job.blocks.push(block);
  const parts: (Range & RegionNorms)[] = [];
  let gradients = 0;
  for (const slices of sample.batches) {
    const watch = stopwatch(job);
    const { norms, losses } = await (block
      ? block.append(slices, loss, { signal })
      : program.contract(undefined, slices, loss, { signal }));
    gradients = watch() / (slices.end - slices.start);
    parts.push({ start: slices.start, end: slices.end, norms, losses });
  }
  const { predict, process } = sample;
  const costs = { read: sample.read!, predict, gradients, row: 0, unseen: 1, process };
  if (!block) return { costs };
  const predicted = predictor && Buffer.concat(sample.predicted.map((labels) => labels!));
  return { costs, start: { parts, predicted, block, seconds: ranges.at(-1)!.end * (predict + gradients) } };
}
