/** Computes T[i, j] between every class region of the test and the training slices, into a study folder. */
import { rm } from 'node:fs/promises';
import type { SliceSource } from '../dataset/slices';
import { openEngine, type DeviceName } from '../engine';
import type { Program } from '../engine/engine';
import { sizeOf } from '../engine/layout';
import { TracinError } from '../errors';
import { fileError, replaceFile } from '../files';
import type { Graph } from '../graph/graph';
import { toJson } from '../json';
import { writeNpy } from '../npy';
import { assemble, fileCount } from './assemble';
import type { Range, Role, Side } from './batches';
import { calibrate, secondsOf } from './calibration';
import { checkCall } from './checks';
import { contractAll } from './contraction';
import { needsPrediction } from './definition';
import { studyPaths, type StudyFile } from './folder';
import type { HeadStart } from './head-start';
import { openJob, takeKernels, type InfluenceOptions, type Job } from './job';
import { unfinishedPasses } from './passes';
import { layOut, type InfluencePlan, type PlanInput } from './plan';
import { comparedSlices, samplePrecision, type PrecisionSample } from './precision';
import { predictsWhereContracted } from './predicted';
import { predictedLabels, prepareRegions } from './prepare';
import { assertSameStudy, beginStudy, tilesOf } from './resume';
import { checkShard, shareOf, type Shard } from './shard';
import { openStudy, type Study } from './study';
import { missingTiles, regionRanges, type TileFolder } from './tiles';

export type { InfluenceOptions } from './job';

/**
 * Computes T of every pair of a test and a training region into a study folder: see {@link Study} for what it holds.
 * Killed or interrupted at any point, the folder is unfinished but whole, and `resume` ends with the same bytes.
 * @throws ERR_TRACIN_USAGE, ERR_TRACIN_DATA, ERR_TRACIN_CHECKPOINT for options, data or networks that do not go together;
 *   ERR_TRACIN_GRAPH for a network that cannot be run at this size; ERR_TRACIN_MEMORY when not one test slice fits; ERR_TRACIN_STUDY when the
 *   folder holds a study already or another one; ERR_TRACIN_IO; ERR_TRACIN_ABORTED
 */
export async function computeInfluence(options: InfluenceOptions): Promise<Study> {
  checkCall('computeInfluence', options);
  options = { ...options }; // their owner may change them meanwhile
  const job = await openJob(options, options.resume ?? false);
  const { out } = job;
  try {
    if (job.standing.state !== 'complete') {
      const work = await begin(job, options);
      await computeTiles(work, options);
      await writeFiles(work, options);
    }
  } finally {
    await job.close();
  }
  const { tiles } = studyPaths(out);
  // Shared storage may keep files a while that another process has open.
  await rm(tiles, { recursive: true, force: true, maxRetries: 5 }).catch((error: unknown) => {
    throw fileError(error, 'remove', tiles);
  });
  return openStudy(out);
}

/**
 * Computes one share of a study, begun by whichever shard comes first: processes on any machines that see the folder may work at once.
 * When every shard has ended, {@link computeInfluence} with `resume` writes the study, the same bytes as without shards.
 * @returns how many tiles other shards have still to compute
 * @throws as {@link computeInfluence}
 */
export async function computeShard(options: InfluenceOptions, shard: Shard): Promise<{ readonly missing: number }> {
  checkCall('computeShard', options);
  options = { ...options }; // their owner may change them meanwhile
  checkShard('computeShard', shard);
  const job = await openJob(options, true);
  try {
    if (job.standing.state === 'complete') return { missing: 0 };
    const { tiles, plan } = await computeTiles(await begin(job, options, shard), options);
    const { missing } = await missingTiles(tiles.dir, plan);
    return { missing };
  } finally {
    await job.close();
  }
}

/**
 * What {@link computeInfluence}, or a shard of it, would take here: memory, passes, disk, time. Computes a few slices; writes nothing.
 * @throws as {@link computeInfluence}
 */
export async function planInfluence(options: InfluenceOptions, shard?: Shard): Promise<InfluencePlan> {
  checkCall('planInfluence', options);
  options = { ...options }; // their owner may change them meanwhile
  if (shard !== undefined) checkShard('planInfluence', shard);
  const job = await openJob(options, shard !== undefined || (options.resume ?? false));
  try {
    return (await planOf(job, options, shard)).plan;
  } finally {
    await job.close();
  }
}

/** A study begun. */
interface Work {
  readonly job: Job;
  readonly plan: InfluencePlan;
  readonly tiles: TileFolder;
  readonly shard: Shard | undefined;
  readonly start: HeadStart | undefined;
}

async function begin(job: Job, options: InfluenceOptions, shard?: Shard): Promise<Work> {
  const { out, standing, record, sources } = job;
  const { plan, start } = await planOf(job, options, shard);
  options.onPlan?.(plan);
  for (const cache of new Set(Object.values(sources).map((source: SliceSource) => source.cache))) cache?.limit(plan.memory.cache);
  if (standing.state === 'unfinished') return { job, plan, shard, start, tiles: tilesOf(out, standing) };
  const begun = await beginStudy(out, record, plan);
  if (begun.record === record) return { job, plan, shard, start, tiles: tilesOf(out, begun) };
  // Another shard was first, and may have chosen other kernels and another layout.
  start?.block.dispose();
  assertSameStudy(out, begun.record, record);
  await takeKernels(job.programs, begun.record.kernels);
  const theirs = { job: { ...job, record: begun.record }, plan: layOut({ ...planInput(job, options, shard), layout: begun.layout }) };
  return { ...theirs, shard, start: undefined, tiles: tilesOf(out, begun) };
}

/** What the sizes of a plan depend on. */
function planInput({ networks, sources, programs, record }: Job, { memory, batch, resident }: InfluenceOptions, shard?: Shard): PlanInput {
  return {
    checkpoints: networks.checkpoints.length,
    tests: sources.test.slices.length,
    trainings: sources.train.slices.length,
    classes: record.classes.length,
    modalities: sources.train.modalities.length,
    pixels: sizeOf(record.size),
    process: process.memoryUsage.rss(),
    cached: sources.train.cache !== undefined,
    programs: programs.map(({ memory: bytes }) => bytes),
    checkpointFile: networks.largestFile,
    memory,
    batch,
    resident,
    shards: shard?.count,
  };
}

/** The plan as far as the sizes say it, then as measured on a few slices, where there is anything left to compute. */
async function planOf(
  job: Job,
  options: InfluenceOptions,
  shard?: Shard,
): Promise<{ readonly plan: InfluencePlan; readonly start?: HeadStart | undefined }> {
  const { programs, standing } = job;
  const layout = standing.state === 'unfinished' ? standing.layout : undefined;
  const input = { ...planInput(job, options, shard), layout };
  const sized = layOut(input);
  const { missing, all: tiles } = await missingTiles(studyPaths(job.out).tiles, sized, shard);
  if (missing === 0) return { plan: { ...sized, seconds: 0 } };
  const { costs, start } = await calibrate(job, sized, options.signal);
  const plan = layOut({ ...input, process: costs.process });
  const { tests, trainings, classes } = plan;
  const sampled = comparedSlices('test', tests, classes) + comparedSlices('train', trainings, classes);
  const compared = shard || !isCompared(job) ? 0 : sampled;
  const predicting = predictsWhereContracted(job.definition, programs[0]!);
  const whole = secondsOf(plan, costs, { devices: programs.length, predicting, compared });
  const all = (whole * missing) / tiles / (shard?.count ?? 1);
  const seconds = Math.max(0, all - (start?.seconds ?? 0));
  if (start && plan.capacity === sized.capacity && plan.batch === sized.batch) return { plan: { ...plan, seconds }, start };
  start?.block.dispose();
  return { plan: { ...plan, seconds } };
}

function counter({ onProgress }: InfluenceOptions, stage: string, total: number): (more?: number) => void {
  let done = 0;
  return (more = 1) => onProgress?.({ stage, done: Math.min((done += more), total), total });
}

async function computeTiles(work: Work, options: InfluenceOptions): Promise<Work> {
  const { job, plan, tiles, shard, start } = work;
  const { signal, onNotice = () => undefined } = options;
  const { sources, definition, networks, programs, record } = job;
  const painted = job.painting?.painted;
  const slicesOf = (ranges: readonly Range[]) => ranges.reduce((sum, { start, end }) => sum + end - start, 0);
  const trainings = slicesOf(shareOf(regionRanges(plan, 'train'), shard));
  const { passes, done } = await unfinishedPasses(plan, tiles, shard);
  const predicting = predictsWhereContracted(definition, programs[0]!) ? passes.find(({ first }) => first) : undefined;
  const later = predicting?.missing ?? [];
  await prepareRegions({
    sources,
    definition,
    classes: record.classes,
    painted,
    openPredictor: () => job.predictor.open(),
    begun: start?.predicted,
    later,
    plan,
    tiles,
    shard,
    signal,
    onSlices: counter(options, 'regions', plan.tests + trainings - slicesOf(later)),
    onNotice,
  });
  await job.predictor.close();
  const sides = sidesOf(work);
  const onSlices = counter(options, 'influence', plan.checkpoints * (plan.tests + plan.passes * trainings));
  if (done > 0) onSlices(done);
  await contractAll({ programs, networks, sides, definition, plan, tiles, passes, predicting, start, signal, onSlices });
  await assertUnchanged(job);
  return work;
}

/** @throws ERR_TRACIN_DATA where the slices just read need not be those that the study says it is of */
async function assertUnchanged({ out, sources, record: { datasets } }: Job): Promise<void> {
  for (const role of ['test', 'train'] as const) {
    if ((await sources[role].fingerprint()) === datasets[role].fingerprint) continue;
    const message = `the ${role === 'test' ? 'test' : 'training'} data changed while they were read`;
    throw new TracinError('ERR_TRACIN_DATA', `${message}: delete ${out} and compute the study again`);
  }
}

function sidesOf({ job: { definition, sources, record, painting }, plan, tiles }: Work): Record<Role, Side> {
  const labels = (role: Role) => (needsPrediction(definition) ? predictedLabels(tiles, plan, role, sizeOf(record.size)) : undefined);
  return {
    test: { role: 'test', source: sources.test, predicted: labels('test'), painted: painting?.painted },
    train: { role: 'train', source: sources.train, predicted: labels('train') },
  };
}

async function writeFiles(work: Work, options: InfluenceOptions): Promise<void> {
  const { job, plan, tiles } = work;
  const { out, sources, definition, networks, record, painting } = job;
  const paths = studyPaths(out);
  if (painting) {
    const { painted } = painting;
    await writeNpy(paths.painted, [painted.length, ...record.size], Buffer.concat(painted.map(({ mask }) => mask)));
  }
  const learningRates = networks.checkpoints.map(({ learningRate }) => learningRate);
  const onFile = counter(options, 'writing', fileCount(plan, definition));
  const { classes } = record;
  await assemble({ out, plan, tiles, sources, classes, definition, learningRates, signal: options.signal, onFile });
  const againstF32 = await precisionOf(work, options);
  await replaceFile(paths.study, toJson({ ...record, ...(againstF32 && { againstF32 }) }));
}

/** Whether there is anything to say of what less than float32 costs in accuracy: not of float32 itself, nor without scores. */
function isCompared({ record, sources }: Job): boolean {
  return record.engine.precision !== 'f32' && sources.test.slices.length > 0;
}

async function precisionOf(work: Work, { signal }: InfluenceOptions): Promise<PrecisionSample | undefined> {
  const { networks, definition, record, programs, out } = work.job;
  if (!isCompared(work.job)) return undefined;
  const { products } = studyPaths(out);
  const open = (checkpoint: Graph): Promise<Program> => openFloat32(programs, checkpoint, record);
  return samplePrecision({ open, networks, sides: sidesOf(work), definition, batch: work.plan.batch, products, signal });
}

/** The first of the programs, which have done their work, if it can; else another takes their place. */
async function openFloat32(programs: readonly Program[], checkpoint: Graph, record: StudyFile): Promise<Program> {
  const [program, ...others] = programs;
  others.forEach((other) => other.dispose());
  if (await program!.useFloat32()) {
    await program!.load(checkpoint);
    return program!;
  }
  program!.dispose();
  const { engine } = await openEngine((record.engine.device?.split(',')[0] as DeviceName | undefined) ?? 'auto');
  const { size, output, parameters } = record;
  return engine.compile(checkpoint, { size, output, parameters });
}
