/** What the work costs here: measured on a few real training slices, by the program, the predictor and the data that will do it. */
import type { Block, RegionBatch } from '../engine/engine';
import type { Predictor } from '../inference/predictor';
import { spread } from '../spread';
import { mean } from '../statistics';
import { readBatch, withRegions, type Range } from './batches';
import { needsPrediction, regionLoss } from './definition';
import type { Job } from './job';
import type { InfluencePlan } from './plan';

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

export async function calibrate(job: Job, plan: InfluencePlan, signal?: AbortSignal): Promise<Costs> {
  const { definition, sources, record } = job;
  const source = sources.train;
  const program = job.programs[0]!;
  const loss = regionLoss(definition);
  const once = async (batch: RegionBatch, block?: Block): Promise<number> => {
    const began = performance.now();
    await program.contract(block, batch, loss, { signal });
    return secondsSince(began);
  };
  const predictor = needsPrediction(definition) ? await job.predictor.open() : undefined;
  const first = await readSample(job, predictor, [{ start: 0, end: 1 }], signal);
  const held = process.memoryUsage.rss();
  const single = await once(first.batches[0]!);
  const ranges = rangesOf(source.slices.length, plan.batch);
  const brief = single > SECONDS || single * plan.slicesToCompute < SHORT || plan.slicesToCompute < WORTH * slicesOf(ranges);
  if (brief) return { read: first.read!, predict: first.predict, gradients: single, row: 0, process: held };
  const { batches, read = first.read!, predict } = await readSample(job, predictor, ranges, signal, [source.slices[0]!.case]);
  // Each for the first time, as in the run: boxes not met yet cost kernels. The first of all pays for what is made once.
  const fresh: number[] = [];
  for (const batch of batches) fresh.push((await once(batch)) / (batch.end - batch.start));
  const gradients = mean(fresh.length > 1 ? fresh.slice(1) : fresh);
  if (sources.test.slices.length === 0) return { read, predict, gradients, row: 0, process: held };

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
    return { read, predict, gradients, row, process: held };
  } finally {
    block.dispose();
  }
}

/** For what a sample does not show: larger lesions elsewhere, and files. */
const UNSEEN = 1.1;

/** Seconds that all of a plan takes on so many devices; reading and computing share the processor. */
export function secondsOf(plan: InfluencePlan, { read, predict, gradients, row }: Costs, devices: number): number {
  const { checkpoints, tests, trainings, classes, passes, capacity, keepsAll } = plan;
  const again = keepsAll ? 0 : read;
  const once = (tests + trainings) * (read + predict);
  const training = (gradients + capacity * classes * row) / devices + again;
  return UNSEEN * (once + checkpoints * (tests * (gradients + again) + passes * trainings * training));
}

interface Sample {
  readonly batches: readonly (Range & RegionBatch)[];
  /** Seconds of a slice; undefined where all of them were read before. */
  readonly read: number | undefined;
  readonly predict: number;
}

/** Batches of training slices with their regions, and the seconds of reading and of predicting one slice. */
async function readSample(
  { definition, sources: { train: source } }: Job,
  predictor: Predictor | undefined,
  ranges: readonly Range[],
  signal?: AbortSignal,
  before: readonly string[] = [],
): Promise<Sample> {
  const batches: (Range & RegionBatch)[] = [];
  // Cases are decoded whole, and perhaps kept.
  const decoded = new Set(before);
  const perCase: number[] = [];
  let predict = predictor ? Infinity : 0;
  for (const range of ranges) {
    const fresh = [...casesIn(range)].filter((name) => !decoded.has(name));
    const began = performance.now();
    const found = await readBatch(source, range, signal);
    if (fresh.length > 0) perCase.push(secondsSince(began) / fresh.length);
    fresh.forEach((name) => decoded.add(name));
    const shape = [range.end - range.start, source.modalities.length, ...source.size];
    const called = performance.now();
    const predicted = await predictor?.labels(found.images, shape, { signal });
    predict = Math.min(predict, secondsSince(called) / (range.end - range.start));
    batches.push(await withRegions({ role: 'train', source }, definition, found, predicted));
  }
  const share = casesIn({ start: 0, end: source.slices.length }).size / source.slices.length;
  return { batches, read: perCase.length > 0 ? share * Math.min(...perCase) : undefined, predict };

  function casesIn({ start, end }: Range): Set<string> {
    return new Set(source.slices.slice(start, end).map((slice) => slice.case));
  }
}

/** Ranges of `length` slices, evenly spread over `total`. */
function rangesOf(total: number, length: number): Range[] {
  const starts = spread(Math.max(1, total - length + 1), Math.min(BATCHES, Math.ceil(total / length / SHARE)));
  return starts.map((start) => ({ start, end: Math.min(start + length, total) }));
}

function slicesOf(ranges: readonly Range[]): number {
  return ranges.reduce((sum, { start, end }) => sum + end - start, 0);
}

function secondsSince(began: number): number {
  return (performance.now() - began) / 1000;
}
