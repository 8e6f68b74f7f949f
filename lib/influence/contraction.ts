/** The work itself, checkpoint by checkpoint: test gradients stay resident while the training slices stream past. */
import type { Block, Program, RegionBatch, RegionNorms } from '../engine/engine';
import { TracinError } from '../errors';
import { firstNotFinite } from '../finite';
import { callAhead, readAhead } from '../read-ahead';
import { cut, readBatch, regionBatch, type Range, type Role, type Side } from './batches';
import { regionLoss, type Definition } from './definition';
import { firstRanges, type HeadStart } from './head-start';
import type { Networks } from './networks';
import type { Pass } from './passes';
import type { InfluencePlan } from './plan';
import { predicted } from './predicted';
import { tileLength, tileName, type TileFolder } from './tiles';

export interface ContractionOptions {
  /** They share the training ranges. */
  readonly programs: readonly Program[];
  readonly networks: Pick<Networks, 'checkpoints' | 'read'>;
  readonly sides: Readonly<Record<Role, Side>>;
  readonly definition: Definition;
  readonly plan: InfluencePlan;
  readonly tiles: TileFolder;
  readonly passes: readonly Pass[];
  /** The pass with which its training slices are predicted, where there is one. */
  readonly predicting?: Pass | undefined;
  /** Begun on already; its block is disposed with the others. */
  readonly start?: HeadStart | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onSlices: (slices: number) => void;
}

/** A batch of a range whose products make one tile. */
export interface Part<T> {
  readonly range: Range;
  readonly slices: T;
}

/** Some slices of a range, with their products. */
export type Contracted = Range & { readonly range: Range; readonly found: Awaited<ReturnType<Program['contract']>> };

/** A program with the resident gradients; every one holds all of a pass's test slices. */
export interface Lane {
  readonly program: Program;
  block: Block | undefined;
}

/** Computes the tiles that passes lack. */
export async function contractAll(options: ContractionOptions): Promise<void> {
  const { programs, networks, passes, plan, start } = options;
  const lanes = programs.map((program, i): Lane => ({ program, block: i === 0 ? start?.block : undefined }));
  try {
    const left = [...new Set(passes.map(({ checkpoint }) => checkpoint))];
    const graphs = readAhead(left.length, (item) => networks.read(networks.checkpoints[left[item]!]!));
    let next = 0;
    for await (const graph of graphs) {
      await together(lanes, options.signal, async (lane) => {
        if (plan.tests > 0) lane.block ??= await lane.program.resident(plan.capacity);
        await lane.program.load(graph);
      });
      const loaded = left[next++];
      for (const pass of passes) if (pass.checkpoint === loaded) await contractPass(lanes, pass, options);
    }
  } finally {
    for (const { block } of lanes) block?.dispose();
  }
}

async function contractPass(lanes: readonly Lane[], pass: Pass, options: ContractionOptions): Promise<void> {
  const { tiles, sides, definition, signal } = options;
  const { checkpoint, index, tests, missing, testsMissing } = pass;
  // The first training slices are read while those of the test are made resident.
  const streams = lanes.map((lane, i): Stream => {
    const share = missing.filter((_range, n) => n % lanes.length === i);
    if (pass !== options.predicting) {
      const { first, batches } = trainingBatches(share, options, (part) => regionBatch(sides.train, definition, part, signal));
      return { first, contracted: (laneSignal) => contracted(lane, batches, { ...options, signal: laneSignal }) };
    }
    const { first, batches } = trainingBatches(share, options, (part) => readBatch(sides.train.source, part, signal));
    return { first, contracted: (laneSignal) => predicted(lane, batches, { ...options, signal: laneSignal }) };
  });
  try {
    const found = await fill(lanes, pass, options);
    if (testsMissing) await tiles.write(tileName.tests(checkpoint, index), found);
    const rows = (tests.end - tests.start) * options.plan.classes;
    await together(lanes, signal, (_lane, laneSignal, i) => contractTiles(rows, pass, streams[i]!.contracted(laneSignal), options));
  } finally {
    for (const { first } of streams) await first?.catch(() => undefined);
  }
}

/** The training slices of a pass. */
interface Stream {
  readonly first: Promise<unknown> | undefined;
  readonly contracted: (signal: AbortSignal) => AsyncIterable<Contracted>;
}

/** The batches of all ranges, one after another; reading the first begins at once. */
function trainingBatches<T>(
  ranges: readonly Range[],
  { plan }: ContractionOptions,
  read: (part: Range) => Promise<T>,
): { readonly first: Promise<unknown> | undefined; readonly batches: AsyncGenerator<Part<T>> } {
  const parts = ranges.flatMap((range) => cut(range, plan.batch).map((part) => ({ range, part })));
  const load = async (item: number): Promise<Part<T>> => {
    const { range, part } = parts[item]!;
    return { range, slices: await read(part) };
  };
  const first = parts.length > 0 ? load(0) : undefined;
  first?.catch(() => undefined); // met when it is asked for
  return { first, batches: readAhead(parts.length, (item) => (item === 0 ? first! : load(item))) };
}

/** Works on all lanes at once; the first failure stops the others, and is told once they have stopped. */
async function together(
  lanes: readonly Lane[],
  signal: AbortSignal | undefined,
  work: (lane: Lane, signal: AbortSignal, index: number) => Promise<void>,
): Promise<void> {
  const failed = new AbortController();
  const either = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal;
  let first: { readonly error: unknown } | undefined;
  const guarded = async (lane: Lane, i: number): Promise<void> => {
    try {
      await work(lane, either, i);
    } catch (error) {
      first ??= { error };
      failed.abort();
    }
  };
  await Promise.all(lanes.map(guarded));
  if (first) throw first.error;
}

/** Makes the gradients of a pass's test slices resident; @returns their norms and losses, [2, tests, K]. */
async function fill(lanes: readonly Lane[], { checkpoint, first, tests }: Pass, options: ContractionOptions): Promise<Float32Array> {
  const { sides, definition, plan, start, signal, onSlices } = options;
  const { classes } = plan;
  const found = new Float32Array(tileLength(0, tests.end - tests.start, classes));
  const head = first && plan.tests > 0 ? firstRanges(plan) : [];
  const parts = [...head, ...cut({ start: head.at(-1)?.end ?? tests.start, end: tests.end }, plan.batch)];
  const begun = first ? start : undefined;
  const told = ({ start: from, end }: Range, norms: RegionNorms): void => {
    setNorms(found, norms, (from - tests.start) * classes);
    onSlices(end - from);
  };
  const append = async (some: readonly Lane[], slices: Range & RegionBatch): Promise<RegionNorms | undefined> => {
    let norms: RegionNorms | undefined;
    await together(some, signal, async ({ block }, laneSignal, i) => {
      const own = await block!.append(slices, regionLoss(definition), { signal: laneSignal });
      if (i === 0) norms = own;
    });
    return norms;
  };
  for (const { block } of lanes) if (block !== begun?.block) block?.clear();
  for (const part of begun?.parts ?? []) {
    if (lanes.length > 1) await append(lanes.slice(1), await regionBatch(sides.test, definition, part, signal));
    told(part, part);
  }
  const left = parts.slice(begun?.parts.length ?? 0);
  const batches = readAhead(left.length, (item) => regionBatch(sides.test, definition, left[item]!, signal));
  const appended = callAhead(batches, async (slices) => ({ slices, norms: (await append(lanes, slices))! }));
  for await (const { slices, norms } of appended) told(slices, norms);
  checkFinite(found, 'test', tests, checkpoint, options);
  return found;
}

/** The tiles of a pass: products [rows, n, K] of the resident rows with the n slices of a range, then their norms and losses [n, K]. */
async function contractTiles(
  rows: number,
  { checkpoint, index }: Pass,
  all: AsyncIterable<Contracted>,
  options: ContractionOptions,
): Promise<void> {
  const { plan, tiles, onSlices } = options;
  const { classes } = plan;
  let tile = new Float32Array(0);
  for await (const { range, start, end, found } of all) {
    const width = (range.end - range.start) * classes;
    if (start === range.start) tile = new Float32Array(tileLength(rows, range.end - range.start, classes));
    const part = (end - start) * classes;
    if (found.products.length !== rows * part) {
      throw new TracinError('ERR_TRACIN_INTERNAL', `engine gave ${found.products.length} products for ${rows} × ${part} regions`);
    }
    const column = (start - range.start) * classes;
    for (let row = 0; row < rows; row++) tile.set(found.products.subarray(row * part, (row + 1) * part), row * width + column);
    setNorms(tile.subarray(rows * width), found, column);
    onSlices(end - start);
    if (end < range.end) continue;
    checkFinite(tile, 'train', range, checkpoint, options);
    await tiles.write(tileName.products(checkpoint, index, range), tile);
  }
}

/** The products of batches, in order; the engine has the next batch already while those of one are looked at. */
function contracted(
  { program, block }: Lane,
  batches: AsyncIterable<Part<Range & RegionBatch>>,
  { definition, signal }: ContractionOptions,
): AsyncGenerator<Contracted> {
  return callAhead(batches, async ({ range, slices }) => {
    const found = await program.contract(block, slices, regionLoss(definition), { signal });
    return { range, start: slices.start, end: slices.end, found };
  });
}

/** Puts norms and losses of some regions at their place in both halves of `into`. */
function setNorms(into: Float32Array, { norms, losses }: RegionNorms, at: number): void {
  into.set(norms, at);
  into.set(losses, into.length / 2 + at);
}

/** @throws ERR_TRACIN_CHECKPOINT naming the first slice whose numbers are NaN or beyond float32. `numbers` end in axes [slices, K]. */
function checkFinite(
  numbers: Float32Array,
  role: Role,
  { start, end }: Range,
  checkpoint: number,
  { sides, networks, plan }: ContractionOptions,
): void {
  const at = firstNotFinite(numbers);
  if (at < 0) return;
  const { case: name, index } = sides[role].source.slices[start + (Math.floor(at / plan.classes) % (end - start))]!;
  const side = role === 'test' ? 'test' : 'training';
  const message = `${networks.checkpoints[checkpoint]!.file}: gradients of ${side} case ${name}, slice ${index} are not finite: leave out this checkpoint, or that slice`;
  throw new TracinError('ERR_TRACIN_CHECKPOINT', message);
}
