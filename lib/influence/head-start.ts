/** A short run begins with its first slices: what they take says what all will take, and the run goes on with them. */
import type { Block, RegionBatch, RegionNorms } from '../engine/engine';
import type { Range } from './batches';
import type { Costs } from './calibration';
import { needsPrediction, regionLoss } from './definition';
import type { Job } from './job';
import type { InfluencePlan } from './plan';
import { readSample, stopwatch } from './sample';

/** The first test slices of the first pass. */
export interface HeadStart {
  readonly slices: Range & RegionBatch;
  /** Their labels [n, H, W], where they are predicted. */
  readonly predicted: Uint8Array | undefined;
  /** Their gradients at the last checkpoint, which is the first to be worked on, by the first program. */
  readonly block: Block;
  readonly norms: RegionNorms;
  /** What of the run is done with them. */
  readonly seconds: number;
}

/**
 * Computes the first test slices, `count` or as many as the plan's block holds. Where there are no test slices it is training slices, and
 * nothing to go on with.
 */
export async function startOn(
  job: Job,
  plan: InfluencePlan,
  count: number,
  signal?: AbortSignal,
): Promise<{ readonly costs: Costs; readonly start?: HeadStart }> {
  const { definition, networks } = job;
  const program = job.programs[0]!;
  const loss = regionLoss(definition);
  const self = plan.tests === 0;
  const end = Math.min(count, self ? plan.trainings : plan.capacity);
  const predictor = needsPrediction(definition) ? await job.predictor.open() : undefined;
  const sample = await readSample(job, self ? 'train' : 'test', [{ start: 0, end }], predictor, { signal });
  await program.load(await networks.read(networks.checkpoints.at(-1)!));
  const block = self ? undefined : await program.resident(plan.capacity);
  if (block) job.blocks.push(block);
  const slices = sample.batches[0]!;
  const watch = stopwatch(job);
  const norms = await (block ? block.append(slices, loss, { signal }) : program.contract(undefined, slices, loss, { signal }));
  const gradients = watch() / end;
  const { predict, process } = sample;
  const costs = { read: sample.read!, predict, gradients, row: 0, unseen: 1, process };
  if (!block) return { costs };
  return { costs, start: { slices, predicted: sample.predicted[0], block, norms, seconds: end * (predict + gradients) } };
}
