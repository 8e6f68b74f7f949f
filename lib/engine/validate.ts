/**
 * Checks on what callers hand to a program, the same for every engine. All throw one-line TracinErrors and change nothing. Those of many
 * numbers pause after every map.
 */
import { TracinError } from '../errors';
import { firstNotFinite } from '../finite';
import { assertSameNetwork } from '../graph/checkpoint';
import { assertSameConstants, constantInitializers } from '../graph/constants';
import { anyGraph, type Graph } from '../graph/graph';
import type { Lowered } from '../graph/lowered';
import { CALL, check, flag, list, mapping, object, optional, record, shape, shown, text, whole } from '../kinds';
import { atOnce, type Turns } from '../turns';
import type {
  CallOptions,
  CompileOptions,
  Floats,
  KernelTable,
  Optimiser,
  RegionBatch,
  RegionLoss,
  TrainingBatch,
  TrainingLoss,
} from './engine';
import { sizeOf, type Layout } from './layout';

function wrongData(message: string): TracinError {
  return new TracinError('ERR_TRACIN_DATA', message);
}

function wrongUse(message: string): TracinError {
  return new TracinError('ERR_TRACIN_USAGE', message);
}

const COMPILE = shape<CompileOptions>({ size: list(whole(1)), output: optional(text), parameters: optional(list(text)) });

export function checkCompile(graph: Graph, options: CompileOptions): void {
  check('compile', { graph, options }, { graph: anyGraph, options: COMPILE });
}

export function checkKernels(table: KernelTable, measure: boolean): void {
  check('chooseKernels', { table, measure }, { table: record(text), measure: flag });
}

const CALL_OPTIONS = shape<CallOptions>({ signal: CALL.signal });

/** What every call of a program takes, beside options of its own. */
export function checkCall(options: CallOptions): void {
  check('program', { options }, { options: CALL_OPTIONS });
}

/** What a program is given by name: whether it is an object at all. */
export function checkObjects(given: Readonly<Record<string, unknown>>): void {
  check('program', given, Object.fromEntries(Object.keys(given).map((name) => [name, object])));
}

/** images [B, M, …size], whatever their numbers. @returns B, at least 1 */
export function imagesShape(images: Float32Array, layout: Layout): number {
  const { modalities, size, pixels } = layout;
  const shape = `[B, ${[modalities, ...size].join(', ')}]`;
  if (!(images instanceof Float32Array)) throw wrongData(`images: expected a Float32Array ${shape}`);
  const slices = images.length / (modalities * pixels);
  if (slices === 0 || !Number.isInteger(slices)) {
    throw wrongData(`images: ${images.length} numbers are not whole slices ${shape} of the size the network is compiled for`);
  }
  return slices;
}

/** images [B, M, …size], all finite. @returns B, at least 1 */
export function* imagesCheck(images: Float32Array, layout: Layout): Turns<number> {
  const slices = imagesShape(images, layout);
  const { modalities, pixels } = layout;
  for (let map = 0; map < slices * modalities; map++, yield) {
    const at = firstNotFinite(images, map * pixels, (map + 1) * pixels);
    if (at < 0) continue;
    const [slice, modality] = [Math.floor(map / modalities), map % modalities];
    throw wrongData(`images: ${images[at]} at pixel ${at % pixels} of slice ${slice}, modality ${modality}: replace it by a number`);
  }
  return slices;
}

/** Numbers of a direction looked at between two pauses. */
const STRETCH = 1 << 16;

/** direction [P], whatever its numbers */
export function directionShape(direction: Floats, { parameterCount }: Layout): void {
  if (!(direction instanceof Float32Array || direction instanceof Float64Array) || direction.length !== parameterCount) {
    throw wrongData(`direction: expected ${parameterCount} floats, one for each selected parameter's number, got ${direction?.length}`);
  }
}

/** direction [P], all finite */
export function* directionCheck(direction: Floats, layout: Layout): Turns<void> {
  directionShape(direction, layout);
  const { parameterCount } = layout;
  for (let start = 0; start < parameterCount; start += STRETCH, yield) {
    const at = firstNotFinite(direction, start, Math.min(parameterCount, start + STRETCH));
    if (at >= 0) throw wrongData(`direction: ${direction[at]} at ${at}: replace it by a number`);
  }
}

/**
 * Whether any of the bytes is above `most`, four at a time: where one of the lower seven bits' numbers is, adding 127 − `most` carries into
 * the eighth.
 */
function anyAbove(bytes: Uint8Array, most: number): boolean {
  const ahead = -bytes.byteOffset & 3; // to where words begin
  const words = (bytes.length - ahead) >> 2;
  const oneByOne = (part: Uint8Array): boolean => part.some((byte) => byte > most);
  if (words < 1 || most > 127) return oneByOne(bytes);
  const view = new Int32Array(bytes.buffer, bytes.byteOffset + ahead, words);
  const carry = (127 - most) * 0x01010101;
  let high = 0;
  for (let i = 0; i < words; i++) high |= ((view[i]! & 0x7f7f7f7f) + carry) | view[i]!;
  return (high & 0x80808080) !== 0 || oneByOne(bytes.subarray(0, ahead)) || oneByOne(bytes.subarray(ahead + 4 * words));
}

/** Where the first byte above `most` is, −1 where there is none. */
function* firstAbove(bytes: Uint8Array, most: number, pixels: number): Turns<number> {
  for (let start = 0; start < bytes.length; start += pixels, yield) {
    const map = bytes.subarray(start, start + pixels);
    if (anyAbove(map, most)) return start + map.findIndex((byte) => byte > most);
  }
  return -1;
}

/** targets [B, …size] */
function targetsShape(targets: Uint8Array, slices: number, { size, pixels }: Layout): void {
  if (!(targets instanceof Uint8Array) || targets.length !== slices * pixels) {
    throw wrongData(`targets: expected a Uint8Array [${[slices, ...size].join(', ')}], got ${targets?.length} numbers`);
  }
}

/** targets [B, …size] in 0..K */
function* targetsCheck(targets: Uint8Array, slices: number, layout: Layout): Turns<void> {
  targetsShape(targets, slices, layout);
  const { classes, pixels } = layout;
  const wrong = yield* firstAbove(targets, classes, pixels);
  if (wrong < 0) return;
  const [slice, pixel] = [Math.floor(wrong / pixels), wrong % pixels];
  throw wrongData(`targets: label ${targets[wrong]} at pixel ${pixel} of slice ${slice}: the network knows 0 to ${classes}`);
}

/** The shapes of a batch, whatever its numbers. @returns B */
export function checkRegionShapes({ images, targets, masks }: RegionBatch, layout: Layout): number {
  const slices = imagesShape(images, layout);
  targetsShape(targets, slices, layout);
  const { classes, size, pixels } = layout;
  if (!(masks instanceof Uint8Array) || masks.length !== slices * classes * pixels) {
    throw wrongData(`masks: expected a Uint8Array [${[slices, classes, ...size].join(', ')}], got ${masks?.length} numbers`);
  }
  return slices;
}

/** @returns B */
export function* regionBatchCheck(batch: RegionBatch, loss: RegionLoss, layout: Layout): Turns<number> {
  checkRegionCall(batch, loss);
  const slices = checkRegionShapes(batch, layout);
  yield* imagesCheck(batch.images, layout);
  yield* targetsCheck(batch.targets, slices, layout);
  const { masks } = batch;
  const { classes, pixels } = layout;
  const wrong = yield* firstAbove(masks, 1, pixels);
  if (wrong < 0) return slices;
  const [slice, pixel] = [Math.floor(wrong / (classes * pixels)), wrong % pixels];
  throw wrongData(`masks: ${masks[wrong]} at pixel ${pixel} of slice ${slice}: a mask holds 0 and 1 only`);
}

/** What a call about regions is given, beside the arrays in it. */
export function checkRegionCall(batch: RegionBatch, loss: RegionLoss): void {
  checkObjects({ batch, loss });
  if (loss.kind !== 'dice' && loss.kind !== 'cross-entropy') {
    throw wrongUse(`loss: ${String(loss.kind)} is unknown; use dice or cross-entropy`);
  }
  if (loss.reduction !== 'mean' && loss.reduction !== 'sum') {
    throw wrongUse(`reduction: ${String(loss.reduction)} is unknown; use mean or sum`);
  }
  if (loss.kind === 'dice' && loss.reduction === 'sum') throw wrongUse('reduction: sum is for cross-entropy; use mean with dice');
}

/** @returns B */
export function* trainingBatchCheck(batch: TrainingBatch, loss: TrainingLoss, layout: Layout): Turns<number> {
  checkObjects({ batch, loss });
  if (!['dice', 'cross-entropy', 'dice+ce'].includes(loss.kind)) {
    throw wrongUse(`loss: ${String(loss.kind)} is unknown; use dice, cross-entropy or dice+ce`);
  }
  const weights = loss.classWeights;
  if (weights && (weights.length !== layout.logits || !weights.every((w) => Number.isFinite(w) && w >= 0))) {
    throw wrongUse(`classWeights: expected ${layout.logits} weights that are not negative (background first), got [${weights.join(', ')}]`);
  }
  const slices = yield* imagesCheck(batch.images, layout);
  yield* targetsCheck(batch.targets, slices, layout);
  return slices;
}

export const checkImages = (images: Float32Array, layout: Layout): number => atOnce(imagesCheck(images, layout));
export const checkDirection = (direction: Floats, layout: Layout): void => atOnce(directionCheck(direction, layout));
export const checkRegionBatch = (batch: RegionBatch, loss: RegionLoss, layout: Layout): number =>
  atOnce(regionBatchCheck(batch, loss, layout));
export const checkTrainingBatch = (batch: TrainingBatch, loss: TrainingLoss, layout: Layout): number =>
  atOnce(trainingBatchCheck(batch, loss, layout));

export function checkOptimiser(optimiser: Optimiser): void {
  checkObjects({ optimiser });
  const within = (field: string, value: number, ok: (value: number) => boolean, range: string): void => {
    if (!Number.isFinite(value) || !ok(value)) throw wrongUse(`optimiser: ${field} ${value} must be ${range}`);
  };
  within('learningRate', optimiser.learningRate, (x) => x >= 0, 'at least 0');
  within('weightDecay', optimiser.weightDecay, (x) => x >= 0, 'at least 0');
  if (optimiser.kind === 'sgd') {
    within('momentum', optimiser.momentum, (x) => x >= 0 && x < 1, 'in [0, 1)');
  } else if (optimiser.kind === 'adam') {
    within('beta1', optimiser.beta1, (x) => x >= 0 && x < 1, 'in [0, 1)');
    within('beta2', optimiser.beta2, (x) => x >= 0 && x < 1, 'in [0, 1)');
    within('epsilon', optimiser.epsilon, (x) => x > 0, 'above 0');
    within('step', optimiser.step, (x) => Number.isInteger(x) && x >= 1, 'a whole number counted from 1');
  } else {
    throw wrongUse(`optimiser: ${String((optimiser as { kind: unknown }).kind)} is unknown; use sgd or adam`);
  }
}

/** What products are taken with: a block that the program itself made, or none. */
export function checkBlock(block: unknown, isOwn: (block: unknown) => boolean): void {
  if (block === undefined || isOwn(block)) return;
  throw wrongUse(`contract: block is ${shown(block)}: give one that this program's resident() made, or undefined for norms alone`);
}

/** Whether `slices` more fit a block. */
export function checkRoom(block: { readonly capacity: number; readonly slices: number }, slices: number): void {
  if (block.slices + slices > block.capacity) {
    throw wrongUse(`block: ${slices} slices do not fit beside ${block.slices} in a block of ${block.capacity}; ask for a larger one`);
  }
}

export function checkCapacity(capacity: number): void {
  if (!Number.isInteger(capacity) || capacity < 1) throw wrongUse(`capacity: ${capacity} must be a whole number of slices, at least 1`);
}

/**
 * The numbers a program loads from a checkpoint, parameters and running statistics by name, as the checkpoint holds them (not copied).
 * @param network the Graph the program was compiled from
 * @throws ERR_TRACIN_CHECKPOINT when the checkpoint is of another network
 */
export function checkpointValues(lowered: Lowered, network: Graph, checkpoint: Graph): Map<string, Floats> {
  check('load', { checkpoint }, { checkpoint: anyGraph });
  assertSameNetwork(network, checkpoint);
  const wrong = (message: string): TracinError => new TracinError('ERR_TRACIN_CHECKPOINT', `${checkpoint.source}: ${message}`);
  // Constants are part of the compiled program: a checkpoint that has others would run with the wrong ones.
  assertSameConstants(network, checkpoint, constantInitializers(network, lowered));
  const values = new Map<string, Floats>();
  for (const { kind, name } of lowered.values) {
    if (kind !== 'parameter' && kind !== 'statistic') continue;
    const data = checkpoint.initializers.get(name)?.data;
    if (!data || data instanceof BigInt64Array) throw wrong(`initializer ${name} is not of floating-point numbers`);
    values.set(name, data);
  }
  return values;
}

/** @throws ERR_TRACIN_CHECKPOINT naming the first value that is NaN or infinite (a training that diverged). */
export function checkFinite(values: ReadonlyMap<string, Floats>, source: string): void {
  for (const [name, data] of values) {
    const at = firstNotFinite(data);
    if (at < 0) continue;
    throw new TracinError(
      'ERR_TRACIN_CHECKPOINT',
      `${source}: initializer ${name} holds ${data[at]} at ${at}: use a checkpoint before it diverged`,
    );
  }
}

/** Every slot is `velocity/NAME`, `m/NAME` or `v/NAME` of a selected parameter and as long as it. */
export function checkOptimiserState(state: ReadonlyMap<string, Floats>, layout: Layout): void {
  check('restoreOptimiserState', { state }, { state: mapping });
  const sizes = new Map(layout.parameters.map(({ name, dims }) => [name, sizeOf(dims)]));
  for (const [slot, data] of state) {
    const [, name = ''] = /^(?:velocity|m|v)\/(.*)$/s.exec(slot) ?? [];
    const size = sizes.get(name);
    if (size === undefined)
      throw wrongData(`optimiser state: ${slot} belongs to no selected parameter: resume with the parameters it was saved with`);
    if (data?.length !== size)
      throw wrongData(`optimiser state: ${slot} has ${data?.length} numbers, its parameter ${size}: it is of another network`);
  }
}
