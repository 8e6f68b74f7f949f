/** What the work costs here: measured on a few real slices, by the program, the predictor and the data that will do it. */
import type { Block, RegionBatch } from '../engine/engine';
import { spread } from '../spread';
import { mean } from '../statistics';
import type { Range } from './batches';
import { needsPrediction, regionLoss } from './definition';
import { startOn, type HeadStart } from './head-start';
import type { Job } from './job';
import type { InfluencePlan } from './plan';
import { readSample, secondsSince } from './sample';

/** Seconds of a slice, and bytes of this process. */
export interface Costs {
  /** Reading it where it is not kept yet. */
  readonly read: number;
  /** Predicting it; 0 where nothing is predicted. */
  readonly predict: number;
  /** Its gradients. */
  readonly gradients: number;
  /** Its products with one resident row. */
  readonly row: number;
  /** Times as many seconds, for what was not looked at. */
  readonly unseen: number;
  /** Held once libraries, threads and predictor have worked, but before the engine has. */
  readonly process: number;
}

/** Batches looked at, evenly spread over the training slices: one of so many, and no more than that. */
const SHARE = 32;
const BATCHES = 3;
/** One slice that takes longer is sample enough; filling resident rows may take as long. */
const SECONDS = 1;
/** Work so short is not worth more than one slice either. */
const SHORT = 5;
/** A batch is computed so often alone, and with resident rows; the best counts. */
const ROUNDS = 4;
/** The batches are computed a few times over: work not this many times as long is not worth that either. */
const WORTH = 40;
/** Resident rows that no processor keeps in its caches. */
const ROW_BYTES = 256 << 20;

/** For what a sample of many does not show: larger lesions elsewhere, and files. */
const UNSEEN = 1.1;

/** @returns the costs; of short work also the first of it, done, to go on with */
export async function calibrate(
  job: Job,
  plan: InfluencePlan,
  signal?: AbortSignal,
): Promise<{ readonly costs: Costs; readonly start?: HeadStart }> {
  const { definition, sources, record } = job;
  const source = sources.train;
  const ranges = rangesOf(source.slices.length, plan.batch);
  if (plan.slicesToCompute < WORTH * slicesOf(ranges)) return startOn(job, plan, signal);
  const program = job.programs[0]!;
  const loss = regionLoss(definition);
  const once = async (batch: RegionBatch, block?: Block): Promise<number> => {
    const began = performance.now();
    await program.contract(block, batch, loss, { signal });
    return secondsSince(began);
  };
  const predictor = needsPrediction(definition) ? await job.predictor.open() : undefined;
  const first = await readSample(job, 'train', [{ start: 0, end: 1 }], predictor, { signal });
  const held = { unseen: UNSEEN, process: first.process };
  const single = await once(first.batches[0]!);
  if (single * plan.slicesToCompute < SHORT) return startOn(job, plan, signal);
  if (single > SECONDS) return { costs: { read: first.read!, predict: first.predict, gradients: single, row: 0, ...held } };
  const {
    batches,
    read = first.read!,
    predict,
  } = await readSample(job, 'train', ranges, predictor, {
    signal,
    before: [source.slices[0]!.case],
  });
  // Each for the first time, as in the run: boxes not met yet cost kernels. The first of all pays for what is made once.
  const fresh: number[] = [];
  for (const batch of batches) fresh.push((await once(batch)) / (batch.end - batch.start));
  const gradients = mean(fresh.length > 1 ? fresh.slice(1) : fresh);
  if (sources.test.slices.length === 0) return { costs: { read, predict, gradients, row: 0, ...held } };

  const classes = record.classes.length;
  const enough = Math.ceil(Math.min(ROW_BYTES / program.memory.row / classes, SECONDS / gradients, plan.slicesToCompute / SHARE));
  const capacity = Math.max(plan.batch, Math.min(plan.capacity, enough));
  const block = await program.resident(capacity);
  try {
    for (let next = 0; ; next++) {
      const batch = batches[next % batches.length]!;
      if (block.slices + batch.end - batch.start > capacity) break;
      await block.append(batch, loss, { signal });
    }
    // In turns, for the rows' share is small beside what a machine's pace changes meanwhile.
    let [alone, withRows] = [Infinity, Infinity];
    const batch = batches[0]!;
    for (let round = 0; round < ROUNDS; round++) {
      alone = Math.min(alone, await once(batch));
      withRows = Math.min(withRows, await once(batch, block));
    }
    const row = Math.max(0, withRows - alone) / (batch.end - batch.start) / (block.slices * classes);
    return { costs: { read, predict, gradients, row, ...held } };
  } finally {
    block.dispose();
  }
}

/** A slice in float32 takes so many times as long as in less: 1.3 to 1.6 as measured on a processor with AVX-512 BF16, 1.5 with AMX. */
const FLOAT32 = 1.5;

/** Of a prediction, where its forward pass serves the gradients: all of it as timed on two networks; by operations 0.6 in small boxes. */
const SPARED = 0.75;

/** What a run does beside predicting all slices, then computing their gradients. */
export interface Ways {
  /** Programs that share the training slices. */
  readonly devices: number;
  /** Whether training slices are predicted where they are contracted, in one forward pass. */
  readonly predicting: boolean;
  /** Slices computed once more in float32. */
  readonly compared: number;
}

/** Seconds that all of a plan takes; reading and computing share the processor. */
export function secondsOf(plan: InfluencePlan, costs: Costs, { devices, predicting, compared }: Ways): number {
  const { read, predict, gradients, row, unseen } = costs;
  const { checkpoints, tests, trainings, classes, passes, capacity, keepsAll } = plan;
  const again = keepsAll ? 0 : read;
  const regions = read + predict;
  const trainingRegions = predicting ? read - again + ((1 - SPARED) * predict) / devices : regions;
  const once = tests * regions + trainings * trainingRegions;
  const training = (gradients + capacity * classes * row) / devices + again;
  const comparison = compared * (FLOAT32 * gradients + again);
  return unseen * (once + checkpoints * (tests * (gradients + again) + passes * trainings * training) + comparison);
}

/** Ranges of `length` slices, evenly spread over `total`. */
function rangesOf(total: number, length: number): Range[] {
  const starts = spread(Math.max(1, total - length + 1), Math.min(BATCHES, Math.ceil(total / length / SHARE)));
  return starts.map((start) => ({ start, end: Math.min(start + length, total) }));
}

function slicesOf(ranges: readonly Range[]): number {
  return ranges.reduce((sum, { start, end }) => sum + end - start, 0);
}
