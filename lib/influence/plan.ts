/** How an influence run fits the memory it was given: decided, and told, before the work starts. */
import { freemem } from 'node:os';
import type { Program } from '../engine/engine';
import { TracinError } from '../errors';
import { formatSeconds } from '../progress';
import { formatBytes } from '../rounded';

/** What the sizes depend on; N training slices, K foreground classes, P parameters. */
export interface PlanInput {
  readonly checkpoints: number;
  readonly tests: number;
  readonly trainings: number;
  readonly classes: number;
  readonly modalities: number;
  /** H·W */
  readonly pixels: number;
  /** Bytes held already: Node, libraries, the network, the threads that decode images. */
  readonly process: number;
  /** Bytes, from the compiled programs: alike, one for each device. */
  readonly programs: readonly Program['memory'][];
  /** Whether decoded slices are kept for reading again. */
  readonly cached: boolean;
  /** Bytes of the largest checkpoint file. */
  readonly checkpointFile: number;
  /** Bytes; a share of what is free when absent. */
  readonly memory?: number | undefined;
  /** Slices computed together; chosen when absent. */
  readonly batch?: number | undefined;
  /** Test slices resident at once at most; as many as fit when absent. */
  readonly resident?: number | undefined;
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

/** How a run will go: batches, passes, bytes of memory and disk. */
export interface InfluencePlan extends Layout {
  readonly checkpoints: number;
  readonly tests: number;
  readonly trainings: number;
  readonly classes: number;
  /** Times the training slices stream past at each checkpoint. */
  readonly passes: number;
  /** Slices that go through the network in all. */
  readonly slicesToCompute: number;
  /** Bytes of the whole process, or of each device that has memory of its own. */
  readonly memory: {
    readonly devices: number;
    readonly budget: number;
    /** Held already. */
    readonly process: number;
    readonly resident: number;
    readonly scratch: number;
    /** Slices on their way, products, and a checkpoint with the next one, which is read ahead. */
    readonly batches: number;
    /** Decoded slices kept for reading again. */
    readonly cache: number;
    readonly total: number;
  };
  /** Whether every decoded slice can be kept, so that none is decoded twice. */
  readonly keepsAll: boolean;
  /** What is left of the work takes about so long; undefined before it was measured. */
  readonly seconds?: number | undefined;
  /** Bytes the study takes at its largest, while tiles and final arrays are both there. */
  readonly disk: number;
}

/**
 * Slices of a batch at most when none is told, and as a share so much longer than in a large batch a slice takes `alone`: 0.03 to 0.1 in
 * float32 as timed on a cpu, 0.3 for a network of 8 channels at 96 × 96.
 */
const CPU_BATCH = { most: 8, alone: 1 / 8 };
/** On a GPU, not timed: the regions of one slice leave most of it idle. */
const DEVICE_BATCH = { most: 32, alone: 2 };
/** Of the memory free now; the rest is for other programs. */
const DEFAULT_SHARE = 0.6;
/** Of a device's, which other programs leave alone. */
const DEVICE_SHARE = 0.9;
/** Of the budget, for decoded slices. */
const CACHE_SHARE = 1 / 8;
/** Buffers given up that wait for the garbage collector. */
const GARBAGE = 32 << 20;
/** V8 lets so much more of them wait in a thread, where decoded cases come and go: in ours, and in two that decode ahead. */
const CHURN = 3 * (64 << 20);
/** A process may hold so much more when it is run again, and once libraries, threads and the predictor have worked: before, it is not known. */
const GROWTH = 64 << 20;
/** A run is resumed in a process that may be a little larger than the one which began it. */
const TOLERANCE = 1.1;
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
  requireCount(input.resident, 'resident', 'slices');
  const budget = input.memory ?? Math.floor(freeShare(input));
  const layout = input.layout ? keptLayout(input, input.layout, budget) : chosenLayout(input, budget);
  const memory = bytesOf(input, layout, budget);
  const { checkpoints, tests, trainings, classes } = input;
  const passes = passesOf(tests, layout);
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
    memory: { devices: ownMemories(input.programs).length, budget, ...memory },
    keepsAll: input.cached && memory.cache === (tests + trainings) * imageBytes(input),
    disk: products * (2 * checkpoints + 1) + 4 * checkpoints * (tests + trainings) * classes * FLOAT32 + 2 * predicted,
  };
}

/** Times the training slices stream past. */
function passesOf(tests: number, { capacity }: Layout): number {
  return tests === 0 ? 1 : Math.ceil(tests / capacity);
}

function requireCount(value: number | undefined, name: string, unit: string): void {
  if (value === undefined || (Number.isSafeInteger(value) && value > 0)) return;
  throw new TracinError('ERR_TRACIN_USAGE', `${name} ${value} is not a number of ${unit} above zero`);
}

/** The memory that may be taken when none is told: of the device that has least, or of this process within its container's limit. */
function freeShare({ programs, process: held }: PlanInput): number {
  const free = ownMemories(programs);
  return free.length > 0 ? DEVICE_SHARE * Math.min(...free) : held + DEFAULT_SHARE * (process.availableMemory?.() ?? freemem());
}

const ownMemories = (programs: PlanInput['programs']): number[] => programs.flatMap(({ device }) => device ?? []);
const onDevices = ({ programs }: PlanInput): boolean => ownMemories(programs).length > 0;

/** Of a slice and its labels. */
function imageBytes({ modalities, pixels }: PlanInput): number {
  return pixels * (modalities * FLOAT32 + 1);
}

/** Bytes held at once, in this process or on each device; a batch is computed, one waits for its turn, the next is read. */
function bytesOf(
  input: PlanInput,
  { capacity, tileSlices, batch }: Layout,
  budget: number,
): Omit<InfluencePlan['memory'], 'budget' | 'devices'> {
  const { tests, trainings, classes, pixels, programs, cached } = input;
  const program = programs[0]!;
  const own = onDevices(input);
  const sharing = own ? 1 : programs.length;
  const rows = capacity * classes;
  const image = imageBytes(input);
  const slices = 3 * batch * (image + pixels * classes);
  const products = rows * classes * (batch * (2 * FLOAT32 + FLOAT64) + 2 * tileSlices * FLOAT32);
  const held = own ? 0 : input.process;
  const resident = sharing * rows * program.row;
  const scratch = sharing * (program.fixed + Math.min(batch, program.together ?? batch) * program.slice);
  const whole = (tests + trainings) * image;
  const share = Math.floor(CACHE_SHARE * budget);
  // To keep every slice may take no more than what decoding them again leaves behind.
  const keepsAll = whole <= share + CHURN;
  const cache = !cached ? 0 : keepsAll ? whole : share;
  const garbage = GARBAGE + (cached && !keepsAll ? CHURN : 0);
  const batches = sharing * (slices + products) + (own ? 0 : 2 * input.checkpointFile + garbage);
  const total = held + resident + scratch + batches + (own ? 0 : cache);
  return { process: held, resident, scratch, batches, cache, total };
}

function chosenLayout(input: PlanInput, budget: number): Layout {
  const least = Math.min(1, input.tests);
  const fits = (layout: Layout): boolean => bytesOf(input, layout, budget).total <= budget;
  const usual = onDevices(input) ? DEVICE_BATCH : CPU_BATCH;
  // Not of a shard's share: in other batches the last digits are others.
  const most = Math.min(input.batch ?? usual.most, Math.max(input.tests, input.trainings));
  const batches = [most];
  if (input.batch === undefined) while (batches.at(-1)! > 1) batches.push(Math.ceil(batches.at(-1)! / 2));
  // Memory that a smaller batch leaves holds more test gradients, which may spare passes.
  const layouts = batches.filter((batch) => fits(tiled(input, least, batch))).map(fullest);
  if (layouts.length === 0) throw tooSmall(input, tiled(input, least, batches.at(-1)!), budget);
  const costs = layouts.map((layout) => (input.tests + passesOf(input.tests, layout) * input.trainings) * (1 + usual.alone / layout.batch));
  return layouts[costs.indexOf(Math.min(...costs))]!;

  /** With as many test slices as fit beside a batch; as many passes as that needs, all of about the same size. */
  function fullest(batch: number): Layout {
    let low = least;
    let high = Math.min(input.tests, input.resident ?? input.tests);
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (fits(tiled(input, middle, batch))) low = middle;
      else high = middle - 1;
    }
    return tiled(input, low && Math.ceil(input.tests / Math.ceil(input.tests / low)), batch);
  }
}

/** The least budget in which a layout fits: with a share of it for decoded slices, or so large that its share holds every one. */
function leastBudget(input: PlanInput, layout: Layout): number {
  if (!input.cached || onDevices(input)) return bytesOf(input, layout, 0).total;
  const { total, cache } = bytesOf(input, layout, Infinity);
  return Math.ceil(Math.min(bytesOf(input, layout, 0).total / (1 - CACHE_SHARE), Math.max(total, (cache - CHURN) / CACHE_SHARE)));
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
  if (input.memory !== undefined && leastBudget(input, layout) > TOLERANCE * budget) throw tooSmall(input, layout, budget);
  return layout;
}

function tooSmall(input: PlanInput, layout: Layout, budget: number): TracinError {
  const needed = formatBytes(leastBudget(input, layout));
  const enough = formatBytes(leastBudget({ ...input, process: input.process + GROWTH }, layout));
  const smaller = (input.batch ?? 1) > 1 ? ', or a smaller batch' : '';
  const message = `influence needs at least ${needed} of memory but was given ${formatBytes(budget)}: allow ${enough} (--memory)${smaller}`;
  return new TracinError('ERR_TRACIN_MEMORY', message);
}

/** The plan in lines for people. */
export function describePlan(plan: InfluencePlan): string[] {
  const { memory } = plan;
  const where = memory.devices === 0 ? '' : memory.devices === 1 ? ' of the device' : ` of each of ${memory.devices} devices`;
  return [
    `${plan.checkpoints} checkpoints × ${plan.tests} test and ${plan.trainings} training slices × ${plan.classes} classes`,
    `memory${where}: ${formatBytes(memory.total)} of ${formatBytes(memory.budget)} (` +
      (memory.process === 0 ? '' : `${formatBytes(memory.process)} held already, `) +
      `${formatBytes(memory.resident)} test gradients, ${formatBytes(memory.scratch)} network, ` +
      `${formatBytes(memory.total - memory.process - memory.resident - memory.scratch)} slices), batches of ${plan.batch}`,
    plan.tests === 0
      ? 'one pass over the training slices at each checkpoint, no gradient is kept'
      : `${plan.passes === 1 ? 'one pass' : `${plan.passes} passes`} over the training slices at each checkpoint, ${plan.capacity} test slices at a time`,
    `disk: ${formatBytes(plan.disk)}`,
    ...(plan.seconds === undefined ? [] : [`time: about ${formatSeconds(plan.seconds)}`]),
  ];
}
