/** The work itself: checkpoint by checkpoint, test gradients stay resident while the training slices stream past. */
import type { Block, Floats, Program, RegionNorms } from '../engine/engine';
import { TracinError } from '../errors';
import { passRanges, tileLength, tileRanges } from './assemble';
import { regionBatches, type Range, type Role, type Side } from './batches';
import { regionLoss, type Definition } from './definition';
import { studyPaths } from './folder';
import type { Networks } from './networks';
import type { InfluencePlan } from './plan';
import { readTile, tilePath, writeTile } from './tiles';

export interface ContractionOptions {
  readonly program: Program;
  readonly networks: Pick<Networks, 'checkpoints' | 'read'>;
  readonly sides: Readonly<Record<Role, Side>>;
  readonly definition: Definition;
  readonly plan: InfluencePlan;
  readonly out: string;
  readonly signal?: AbortSignal | undefined;
  readonly onSlices: (slices: number) => void;
}

/** A pass over the training slices at one checkpoint, as far as it is not done. */
interface Pass {
  readonly checkpoint: number;
  readonly index: number;
  readonly tests: Range;
  readonly missing: readonly Range[];
  readonly normsMissing: boolean;
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
      block ??= await program.resident(plan.capacity);
      await program.load(await networks.read(checkpoints[checkpoint]!));
      for (const pass of passes) await contractPass(block, pass, options);
    }
  } finally {
    block?.dispose();
  }
}

/** What is left of a checkpoint; what is done is told as progress. */
async function unfinishedPasses(checkpoint: number, { plan, out, onSlices }: ContractionOptions): Promise<Pass[]> {
  const { classes } = plan;
  const dir = studyPaths(out).tiles;
  const passes: Pass[] = [];
  for (const [index, tests] of passRanges(plan).entries()) {
    const rows = (tests.end - tests.start) * classes;
    const normsMissing = !(await readTile(tilePath(dir, { checkpoint, pass: index, start: undefined }), rows));
    const missing: Range[] = [];
    for (const range of tileRanges(plan)) {
      const slices = range.end - range.start;
      const tile = await readTile(tilePath(dir, { checkpoint, pass: index, start: range.start }), tileLength(rows, slices, classes));
      if (tile) onSlices(slices);
      else missing.push(range);
    }
    if (normsMissing || missing.length > 0) passes.push({ checkpoint, index, tests, missing, normsMissing });
    else onSlices(tests.end - tests.start);
  }
  return passes;
}

async function contractPass(block: Block, pass: Pass, options: ContractionOptions): Promise<void> {
  const { sides, definition, plan, out, signal, onSlices } = options;
  const { checkpoint, index, tests, missing, normsMissing } = pass;
  const { classes, batch } = plan;
  const dir = studyPaths(out).tiles;
  const norms = new Float32Array((tests.end - tests.start) * classes);
  block.clear();
  for await (const slices of regionBatches(sides.test, definition, tests, batch, signal)) {
    const found = await block.append(slices, regionLoss(definition), { signal });
    norms.set(found.norms, (slices.start - tests.start) * classes);
    onSlices(slices.end - slices.start);
  }
  checkFinite(norms, 'test', classes, tests.start, checkpoint, options);
  if (normsMissing) await writeTile(tilePath(dir, { checkpoint, pass: index, start: undefined }), norms);
  for (const range of missing) {
    const tile = await contractTile(block, range, pass, options);
    await writeTile(tilePath(dir, { checkpoint, pass: index, start: range.start }), tile);
  }
}

/** Products float32 [rows, n, K] of the resident rows with the training slices of a range, then their norms [n, K]. */
async function contractTile(block: Block, range: Range, { checkpoint, tests }: Pass, options: ContractionOptions): Promise<Float32Array> {
  const { program, sides, definition, plan, signal, onSlices } = options;
  const { classes, batch } = plan;
  const rows = (tests.end - tests.start) * classes;
  const width = (range.end - range.start) * classes;
  const tile = new Float32Array(tileLength(rows, range.end - range.start, classes));
  for await (const slices of regionBatches(sides.train, definition, range, batch, signal)) {
    const found: RegionNorms & { products: Floats } = await program.contract(block, slices, regionLoss(definition), { signal });
    const part = (slices.end - slices.start) * classes;
    if (found.products.length !== rows * part) {
      throw new TracinError('ERR_TRACIN_INTERNAL', `engine gave ${found.products.length} products for ${rows} × ${part} regions`);
    }
    const column = (slices.start - range.start) * classes;
    for (let row = 0; row < rows; row++) tile.set(found.products.subarray(row * part, (row + 1) * part), row * width + column);
    tile.set(found.norms, rows * width + column);
    onSlices(slices.end - slices.start);
  }
  checkFinite(tile, 'train', classes, range.start, checkpoint, options);
  return tile;
}

/** @throws ERR_TRACIN_CHECKPOINT naming the first slice whose numbers are NaN or beyond float32. `numbers` end in axes [slices, K]. */
function checkFinite(
  numbers: Float32Array,
  role: Role,
  classes: number,
  first: number,
  checkpoint: number,
  { sides, networks, plan }: ContractionOptions,
): void {
  const at = numbers.findIndex((number) => !Number.isFinite(number));
  if (at < 0) return;
  const slices = role === 'test' ? plan.tests - first : Math.min(plan.tileSlices, plan.trainings - first);
  const { case: name, index } = sides[role].source.slices[first + (Math.floor(at / classes) % slices)]!;
  const side = role === 'test' ? 'test' : 'training';
  const message = `${networks.checkpoints[checkpoint]!.file}: gradients of ${side} case ${name}, slice ${index} are not finite: leave out this checkpoint, or that slice`;
  throw new TracinError('ERR_TRACIN_CHECKPOINT', message);
}
