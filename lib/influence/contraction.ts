/** The work itself: checkpoint by checkpoint, test gradients stay resident while the training slices stream past. */
import type { Block, Program, RegionBatch, RegionNorms } from '../engine/engine';
import { TracinError } from '../errors';
import { rangesAhead, regionBatches, type Batches, type Range, type Role, type Side } from './batches';
import { regionLoss, type Definition } from './definition';
import type { Networks } from './networks';
import type { InfluencePlan } from './plan';
import { shareOf, type Shard } from './shard';
import { passRanges, tileLength, tileName, tileRanges, type TileFolder } from './tiles';

const FLOAT32 = Float32Array.BYTES_PER_ELEMENT;

export interface ContractionOptions {
  readonly program: Program;
  readonly networks: Pick<Networks, 'checkpoints' | 'read'>;
  readonly sides: Readonly<Record<Role, Side>>;
  readonly definition: Definition;
  readonly plan: InfluencePlan;
  readonly tiles: TileFolder;
  /** Only its share of the training ranges; all of them when absent. */
  readonly shard?: Shard | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onSlices: (slices: number) => void;
}

/** A pass over the training slices at one checkpoint, as far as it is not done. */
interface Pass {
  readonly checkpoint: number;
  readonly index: number;
  readonly tests: Range;
  readonly missing: readonly Range[];
  readonly testsMissing: boolean;
}

/** Computes every tile that is not there yet. */
export async function contractAll(options: ContractionOptions): Promise<void> {
  const { program, networks, plan } = options;
  const { checkpoints } = networks;
  let block: Block | undefined;
  try {
    for (let checkpoint = 0; checkpoint < checkpoints.length; checkpoint++) {
      const passes = await unfinishedPasses(checkpoint, options);
      if (passes.length === 0) continue;
      if (plan.tests > 0) block ??= await program.resident(plan.capacity);
      await program.load(await networks.read(checkpoints[checkpoint]!));
      for (const pass of passes) await contractPass(block, pass, options);
    }
  } finally {
    block?.dispose();
  }
}

/** What is left of a checkpoint; what is done is told as progress. */
async function unfinishedPasses(checkpoint: number, { plan, tiles, shard, onSlices }: ContractionOptions): Promise<Pass[]> {
  const { classes } = plan;
  const passes: Pass[] = [];
  for (const [index, tests] of passRanges(plan).entries()) {
    const count = tests.end - tests.start;
    const testsMissing = !(await tiles.has(tileName.tests(checkpoint, index), tileLength(0, count, classes) * FLOAT32));
    const missing: Range[] = [];
    for (const range of shareOf(tileRanges(plan), shard)) {
      const slices = range.end - range.start;
      const bytes = tileLength(count * classes, slices, classes) * FLOAT32;
      if (await tiles.has(tileName.products(checkpoint, index, range), bytes)) onSlices(slices);
      else missing.push(range);
    }
    if (testsMissing || missing.length > 0) passes.push({ checkpoint, index, tests, missing, testsMissing });
    else onSlices(count);
  }
  return passes;
}

async function contractPass(block: Block | undefined, pass: Pass, options: ContractionOptions): Promise<void> {
  const { program, sides, definition, plan, tiles, signal } = options;
  const { checkpoint, index, tests, missing, testsMissing } = pass;
  const found = await fill(block, pass, options);
  if (testsMissing) await tiles.write(tileName.tests(checkpoint, index), found);
  const rows = (tests.end - tests.start) * plan.classes;
  const open = (range: Range) => regionBatches(sides.train, definition, range, plan.batch, signal);
  for await (const { range, batches } of rangesAhead(missing, open)) {
    const tile = await contractTile(program, block, rows, range, batches, options);
    checkFinite(tile, 'train', range, checkpoint, options);
    await tiles.write(tileName.products(checkpoint, index, range), tile);
  }
}

/** Makes the gradients of a pass's test slices resident; @returns their norms and losses, [2, tests, K]. */
async function fill(block: Block | undefined, { checkpoint, tests }: Pass, options: ContractionOptions): Promise<Float32Array> {
  const { sides, definition, plan, signal, onSlices } = options;
  const { classes, batch } = plan;
  const found = new Float32Array(tileLength(0, tests.end - tests.start, classes));
  block?.clear();
  for await (const slices of regionBatches(sides.test, definition, tests, batch, signal)) {
    setNorms(found, await block!.append(slices, regionLoss(definition), { signal }), (slices.start - tests.start) * classes);
    onSlices(slices.end - slices.start);
  }
  checkFinite(found, 'test', tests, checkpoint, options);
  return found;
}

/** The tile of a range: products [rows, n, K] of the resident rows with its slices, then their norms and losses [n, K]. */
async function contractTile(
  program: Program,
  block: Block | undefined,
  rows: number,
  range: Range,
  batches: Batches<RegionBatch>,
  { definition, plan, signal, onSlices }: ContractionOptions,
): Promise<Float32Array> {
  const { classes } = plan;
  const width = (range.end - range.start) * classes;
  const tile = new Float32Array(tileLength(rows, range.end - range.start, classes));
  for await (const slices of batches) {
    const found = await program.contract(block, slices, regionLoss(definition), { signal });
    const part = (slices.end - slices.start) * classes;
    if (found.products.length !== rows * part) {
      throw new TracinError('ERR_TRACIN_INTERNAL', `engine gave ${found.products.length} products for ${rows} × ${part} regions`);
    }
    const column = (slices.start - range.start) * classes;
    for (let row = 0; row < rows; row++) tile.set(found.products.subarray(row * part, (row + 1) * part), row * width + column);
    setNorms(tile.subarray(rows * width), found, column);
    onSlices(slices.end - slices.start);
  }
  return tile;
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
  const at = numbers.findIndex((number) => !Number.isFinite(number));
  if (at < 0) return;
  const { case: name, index } = sides[role].source.slices[start + (Math.floor(at / plan.classes) % (end - start))]!;
  const side = role === 'test' ? 'test' : 'training';
  const message = `${networks.checkpoints[checkpoint]!.file}: gradients of ${side} case ${name}, slice ${index} are not finite: leave out this checkpoint, or that slice`;
  throw new TracinError('ERR_TRACIN_CHECKPOINT', message);
}
