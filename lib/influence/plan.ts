/** How an influence run fits the memory it was given: decided, and told, before the work starts. */
import { freemem } from 'node:os';
import type { Program } from '../engine/engine';
import { TracinError } from '../errors';

/** What the sizes depend on; N training slices, K foreground classes, P parameters. */
export interface PlanInput {
  readonly checkpoints: number;
  readonly tests: number;
  readonly trainings: number;
  readonly classes: number;
  readonly modalities: number;
  /** H·W */
  readonly pixels: number;
  /** Bytes, from the compiled programs: alike, one for each device. */
  readonly programs: readonly Program['memory'][];
  /** Bytes of the largest checkpoint file. */
  readonly checkpointFile: number;
  /** Bytes; a share of what is free when absent. */
  readonly memory?: number | undefined;
  /** Slices computed together; chosen when absent. */
  readonly batch?: number | undefined;
  /** Processes that share the work; 1 when absent. */
  readonly shards?: number | undefined;
  /** A layout to keep (of a run being resumed). */
  readonly layout?: Layout | undefined;
}

/** How the products are cut into tiles: each is one checkpoint × one pass × one range of training slices. */
export interface Layout {
  /** Test slices resident in one pass; 0 where there are none at all. */
  readonly capacity: number;
  /** Training slices of one tile. */
  readonly tileSlices: number;
  /** Slices computed together. */
  readonly batch: number;
}

export interface InfluencePlan extends Layout {
  readonly checkpoints: number;
  readonly tests: number;
  readonly trainings: number;
  readonly classes: number;
  /** Times the training slices stream past at each checkpoint. */
  readonly passes: number;
  /** Slices that go through the network in all. */
  readonly slicesToCompute: number;
  /** Bytes, of each device that has memory of its own. */
  readonly memory: {
    readonly devices: number;
    readonly budget: number;
    readonly resident: number;
    readonly scratch: number;
    readonly batches: number;
    readonly checkpoint: number;
    readonly total: number;
  };
  /** Bytes the study takes at its largest, while tiles and final arrays are both there. */
  readonly disk: number;
}

const DEFAULT_BATCH = 8;
/** Of the memory free now; the rest is for the datasets' cache and for other programs. */
const DEFAULT_SHARE = 0.6;
/** Of a device's, which holds neither. */
const DEVICE_SHARE = 0.9;
/** A killed run loses at most one tile of this many training slices. */
const TILE_SLICES = 64;
/** Tiles are checked and hashed on the JS thread: this much takes a few milliseconds. */
const TILE_BYTES = 2 << 20;
const FLOAT32 = 4;
const FLOAT64 = 8;

/**
 * Chooses batch, resident test slices and tiles.
 * @throws ERR_TRACIN_MEMORY when not even one test slice fits, saying how much would do; ERR_TRACIN_USAGE for a memory or batch that is no count
 */
export function layOut(input: PlanInput): InfluencePlan {
  requireCount(input.memory, 'memory', 'bytes');
  requireCount(input.batch, 'batch', 'slices');
  const budget = input.memory ?? Math.floor(freeShare(input));
  const layout = input.layout ? keptLayout(input, input.layout, budget) : chosenLayout(input, budget);
  const { checkpoints, tests, trainings, classes } = input;
  const passes = tests === 0 ? 1 : Math.ceil(tests / layout.capacity);
  const products = tests * classes * trainings * classes * FLOAT32;
  const predicted = (tests + trainings) * input.pixels;
  return {
    ...layout,
    checkpoints,
    tests,
    trainings,
    classes,
    passes,
    slicesToCompute: checkpoints * (tests + passes * trainings),
    memory: { devices: ownMemories(input.programs).length, budget, ...bytesOf(input, layout) },
    disk: products * (2 * checkpoints + 1) + 4 * checkpoints * (tests + trainings) * classes * FLOAT32 + 2 * predicted,
  };
}

function requireCount(value: number | undefined, name: string, unit: string): void {
  if (value === undefined || (Number.isSafeInteger(value) && value > 0)) return;
  throw new TracinError('ERR_TRACIN_USAGE', `${name} ${value} is not a number of ${unit} above zero`);
}

/** The memory that may be taken when none is told: of the device that has least, or of this process within its container's limit. */
function freeShare({ programs }: PlanInput): number {
  const free = ownMemories(programs);
  return free.length > 0 ? DEVICE_SHARE * Math.min(...free) : DEFAULT_SHARE * (process.availableMemory?.() ?? freemem());
}

const ownMemories = (programs: PlanInput['programs']): number[] => programs.flatMap(({ device }) => device ?? []);

/** Bytes held at once; the next batch is read while one is computed, so batches count twice. */
function bytesOf(input: PlanInput, { capacity, tileSlices, batch }: Layout): Omit<InfluencePlan['memory'], 'budget' | 'devices'> {
  const { classes, modalities, pixels, programs } = input;
  const program = programs[0]!;
  const together = ownMemories(programs).length > 0 ? 1 : programs.length;
  const rows = capacity * classes;
  const images = 2 * batch * pixels * (modalities * FLOAT32 + 1);
  const masks = batch * pixels * classes;
  const products = rows * classes * (batch * FLOAT64 + tileSlices * FLOAT32);
  const resident = together * rows * program.row;
  const batches = together * (images + masks + products);
  const checkpoint = 2 * input.checkpointFile;
  const scratch = together * (program.fixed + batch * program.slice);
  return { resident, scratch, batches, checkpoint, total: resident + scratch + batches + checkpoint };
}

function chosenLayout(input: PlanInput, budget: number): Layout {
  const least = Math.min(1, input.tests);
  const fits = (layout: Layout): boolean => bytesOf(input, layout).total <= budget;
  const { tests, trainings, shards = 1 } = input;
  let batch = Math.min(input.batch ?? DEFAULT_BATCH, Math.max(tests, Math.ceil(trainings / shards)));
  if (input.batch === undefined) while (batch > 1 && !fits(tiled(input, least, batch))) batch = Math.ceil(batch / 2);
  if (!fits(tiled(input, least, batch))) throw tooSmall(bytesOf(input, tiled(input, least, batch)).total, budget, input.batch);
  let low = least;
  let high = input.tests;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (fits(tiled(input, middle, batch))) low = middle;
    else high = middle - 1;
  }
  // As many passes as that needs, all of about the same size.
  return tiled(input, low && Math.ceil(input.tests / Math.ceil(input.tests / low)), batch);
}

function tiled({ classes, trainings, programs, shards = 1 }: PlanInput, capacity: number, batch: number): Layout {
  const bySize = Math.floor(TILE_BYTES / (capacity * classes * classes * FLOAT32));
  const slices = Math.max(1, Math.min(TILE_SLICES, bySize, Math.ceil(trainings / (shards * programs.length))));
  // Whole batches to a tile, so that none is cut short.
  return { capacity, batch, tileSlices: Math.max(1, Math.floor(slices / batch)) * batch };
}

/** The tiles there are must be completed as they were begun; only the batch may change. */
function keptLayout(input: PlanInput, kept: Layout, budget: number): Layout {
  const layout = { ...kept, batch: input.batch ?? kept.batch };
  const { total } = bytesOf(input, layout);
  if (input.memory !== undefined && total > budget) throw tooSmall(total, budget, undefined);
  return layout;
}

function tooSmall(needed: number, budget: number, batch: number | undefined): TracinError {
  const smaller = batch !== undefined && batch > 1 ? ', or a smaller batch' : '';
  const message = `influence needs at least ${formatBytes(needed)} of memory but was given ${formatBytes(budget)}: allow more (--memory)${smaller}`;
  return new TracinError('ERR_TRACIN_MEMORY', message);
}

/** Rounded up to a tenth, so that what a message asks for is enough. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : Math.ceil(value * 10) / 10} ${units[unit]}`;
}

/** The plan in lines for people. */
export function describePlan(plan: InfluencePlan): string[] {
  const { memory } = plan;
  const where = memory.devices === 0 ? '' : memory.devices === 1 ? ' of the device' : ` of each of ${memory.devices} devices`;
  return [
    `${plan.checkpoints} checkpoints × ${plan.tests} test and ${plan.trainings} training slices × ${plan.classes} classes`,
    `memory${where}: ${formatBytes(memory.total)} of ${formatBytes(memory.budget)} (${formatBytes(memory.resident)} test gradients, ` +
      `${formatBytes(memory.scratch)} network, ${formatBytes(memory.batches + memory.checkpoint)} slices and checkpoint), batches of ${plan.batch}`,
    `${plan.passes === 1 ? 'one pass' : `${plan.passes} passes`} over the training slices at each checkpoint, ${plan.capacity} test slices at a time`,
    `disk: ${formatBytes(plan.disk)}`,
  ];
}
