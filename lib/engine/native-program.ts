/** A program of a native engine: arrays checked and made here, numbers computed in the addon. */
import { TracinError } from '../errors';
import type { Graph } from '../graph/graph';
import { MOST_NUMBERS, type Lowered } from '../graph/lowered';
import { inTurns } from '../turns';
import type { Addon, AddonRegions, BlockHandle, ProgramHandle } from './addon';
import { Calls, type Coming } from './calls';
import type {
  Block,
  CallOptions,
  ContractOptions,
  Floats,
  KernelTable,
  Optimiser,
  Program,
  RegionBatch,
  RegionLoss,
  RegionNorms,
  TrainingBatch,
  TrainingLoss,
} from './engine';
import { sizeOf, type Layout } from './layout';
import { NativeBlock } from './native-block';
import { withOwnLabels } from './own';
import { room } from './room';
import { supportBoxes } from './support';
import {
  checkBlock,
  checkCapacity,
  checkKernels,
  checkObjects,
  checkOptimiser,
  checkOptimiserState,
  checkpointValues,
  checkRegionCall,
  checkRegionShapes,
  checkRoom,
  directionCheck,
  directionShape,
  imagesCheck,
  imagesShape,
  regionBatchCheck,
  trainingBatchCheck,
} from './validate';

const float32 = (data: Floats): Float32Array => (data instanceof Float32Array ? data : Float32Array.from(data));
const record = (map: ReadonlyMap<string, Floats>): Record<string, Float32Array> =>
  Object.fromEntries([...map].map(([name, data]) => [name, float32(data)]));

/** What a call about regions was given, as it is now. */
function asGiven(batch: RegionBatch, loss: RegionLoss): [RegionBatch, RegionLoss] {
  checkRegionCall(batch, loss);
  return [withOwnLabels(batch), { ...loss }];
}

/** Native failures carry a code and no stack; callers get one whose stack is theirs. `source`: the file at fault. */
export function rethrown(error: unknown, source?: string): Error {
  const code = (error as { code?: unknown }).code;
  if (error instanceof TracinError || typeof code !== 'string' || !code.startsWith('ERR_TRACIN_')) return error as Error;
  return new TracinError(code as TracinError['code'], `${source ? `${source}: ` : ''}${(error as Error).message}`, { cause: error });
}

/** For what is not staged. */
const NOWHERE = -1;

export class NativeProgram implements Program {
  readonly lowered: Lowered;
  readonly parameters: Program['parameters'];
  readonly parameterCount: number;
  readonly memory: Program['memory'];
  readonly keptSlices: number;
  readonly #addon: Addon;
  readonly #graph: Graph;
  readonly #layout: Layout;
  readonly #quantum: number;
  #handle: ProgramHandle | undefined;
  readonly #calls = new Calls();
  /** The batch made ready last. */
  #ready: Promise<unknown> = Promise.resolve();
  /** Whose numbers it holds, as far as no step has changed them. */
  #holds: Graph | undefined;
  /** Whose maps the call before left. */
  #forwarded: Float32Array | undefined;
  /** The compiled network, until its own numbers, or a checkpoint's, are loaded. */
  #unloaded: Graph | undefined;

  constructor(addon: Addon, handle: ProgramHandle, graph: Graph, lowered: Lowered, layout: Layout, quantum?: number) {
    this.#addon = addon;
    this.#quantum = quantum ?? addon.quantum(handle);
    this.#handle = handle;
    this.#graph = graph;
    this.#unloaded = graph;
    this.#layout = layout;
    this.lowered = lowered;
    this.parameters = layout.parameters;
    this.parameterCount = layout.parameterCount;
    const [fixed, slice, row, device] = addon.memory(handle);
    this.keptSlices = addon.keptSlices(handle);
    // what leaves maps computes no more slices at once than these are of
    const together = this.keptSlices > 0 ? this.keptSlices : undefined;
    this.memory = { fixed, slice, row, together, device: device < 0 ? undefined : device };
  }

  async load(checkpoint: Graph): Promise<void> {
    const values = checkpointValues(this.lowered, this.#graph, checkpoint);
    const arrays = record(values);
    const staged = this.#holds === checkpoint ? NOWHERE : this.#stage(Object.values(arrays), this.#calls.coming());
    await this.#run({}, (program) => this.#take(program, checkpoint, arrays, staged), checkpoint.source);
  }

  async #take(
    program: ProgramHandle,
    checkpoint: Graph,
    arrays: Record<string, Float32Array>,
    staged: number | Promise<number> = NOWHERE,
  ): Promise<void> {
    if (this.#holds === checkpoint) return;
    this.#holds = undefined;
    this.#forwarded = undefined;
    await this.#addon.load(program, arrays, await staged);
    this.#holds = checkpoint;
    this.#unloaded = undefined;
  }

  async chooseKernels(table: KernelTable, measure: boolean): Promise<KernelTable> {
    checkKernels(table, measure);
    return this.#run({}, (program) => this.#addon.chooseKernels(program, table, measure));
  }

  useFloat32(): Promise<boolean> {
    return this.#run({}, (program) => this.#addon.useFloat32(program));
  }

  async forward(
    images: Float32Array,
    options: CallOptions & { readonly features?: boolean } = {},
  ): Promise<{ logits: Floats; features?: Floats }> {
    return this.#compute(options, async (program, abort) => {
      await inTurns(imagesCheck(images, this.#layout));
      const slices = imagesShape(images, this.#layout);
      const logits = room(Float32Array, slices * this.#layout.logits * this.#layout.pixels, 'logits');
      const head = this.lowered.operations[this.lowered.head]!.inputs[0]!;
      const features = options.features ? room(Float32Array, slices * sizeOf(this.lowered.values[head]!.dims), 'features') : null;
      await this.#addon.forward(program, slices, images, logits, features, abort);
      if (slices <= this.keptSlices) this.#forwarded = images;
      return features ? { logits, features } : { logits };
    });
  }

  async tangent(direction: Floats, images: Float32Array, options: CallOptions = {}): Promise<{ logits: Floats; tangents: Floats }> {
    return this.#compute(options, async (program, abort) => {
      await inTurns(imagesCheck(images, this.#layout));
      await inTurns(directionCheck(direction, this.#layout));
      const slices = imagesShape(images, this.#layout);
      directionShape(direction, this.#layout);
      const [logits, tangents] = ['logits', 'tangents'].map((what) =>
        room(Float32Array, slices * this.#layout.logits * this.#layout.pixels, what),
      );
      await this.#addon.tangent(program, slices, images, float32(direction), logits!, tangents!, abort);
      return { logits: logits!, tangents: tangents! };
    });
  }

  async gradients(batch: RegionBatch, loss: RegionLoss, options: CallOptions = {}): Promise<RegionNorms & { gradients: Floats }> {
    const given = asGiven(batch, loss);
    return this.#compute(options, async (program, abort) => {
      const regions = await this.#regions(...given);
      imagesShape(regions.images, this.#layout);
      const gradients = room(Float32Array, regions.norms.length * this.parameterCount, 'gradients');
      await this.#addon.gradients(program, regions, gradients, abort);
      return { gradients, norms: regions.norms, losses: regions.losses };
    });
  }

  async resident(capacity: number): Promise<Block> {
    checkCapacity(capacity);
    const rows = capacity * this.#layout.classes;
    const bytes = rows * this.memory.row;
    if (rows > MOST_NUMBERS || bytes > Number.MAX_SAFE_INTEGER)
      throw new TracinError(
        'ERR_TRACIN_MEMORY',
        `resident block: ${bytes} bytes of ${rows} rows do not fit the memory: ask for fewer slices`,
      );
    const handle = await this.#run({}, (program) => this.#addon.resident(program, capacity, this.#layout.classes));
    return new NativeBlock(this, handle, capacity);
  }

  /** Block.append: the rows are this program's gradients. */
  async append(block: NativeBlock, batch: RegionBatch, loss: RegionLoss, options: CallOptions): Promise<RegionNorms> {
    const { handle, clearings } = block;
    const prepared = this.#prepare(batch, loss);
    return this.#compute(options, async (program, abort) => {
      const regions = await prepared;
      imagesShape(regions.images, this.#layout);
      checkRoom({ capacity: block.capacity, slices: block.held }, regions.slices);
      await this.#addon.append(program, handle, regions, abort);
      block.held += regions.slices;
      if (clearings === block.clearings) block.slices += regions.slices;
      return { norms: regions.norms, losses: regions.losses };
    });
  }

  /** Block.clear, in its turn: calls before still find the rows. */
  clear(block: NativeBlock): void {
    const { handle } = block;
    const cleared = this.#run({}, () => {
      this.#addon.clearBlock(handle);
      block.held = 0;
      return Promise.resolve();
    });
    cleared.catch(() => undefined); // disposed of meanwhile, and its rows with it
  }

  async contract(
    block: Block | undefined,
    batch: RegionBatch,
    loss: RegionLoss,
    options: ContractOptions = {},
  ): Promise<RegionNorms & { products: Floats }> {
    checkBlock(block, (own) => own instanceof NativeBlock && own.isOf(this));
    const resident = block as NativeBlock | undefined;
    const handle = resident?.handle ?? null;
    const prepared = this.#prepare(batch, loss);
    return this.#compute(options, async (program, abort, images) => {
      const { forwarded = false } = options;
      const regions = { ...(await prepared), forwarded };
      imagesShape(regions.images, this.#layout);
      if (forwarded && images !== batch.images) {
        throw new TracinError(
          'ERR_TRACIN_USAGE',
          'contract: the call before was no forward pass of these images: ask for one first, or leave out `forwarded`',
        );
      }
      const products = room(Float32Array, (resident?.held ?? 0) * this.#layout.classes * regions.norms.length, 'products');
      await this.#addon.contract(program, handle, regions, products, abort);
      return { products, norms: regions.norms, losses: regions.losses };
    });
  }

  async step(batch: TrainingBatch, loss: TrainingLoss, optimiser: Optimiser, options: CallOptions = {}): Promise<number> {
    checkObjects({ batch, loss, optimiser });
    const { images, targets } = withOwnLabels(batch);
    const { kind } = loss;
    const classWeights = loss.classWeights && [...loss.classWeights];
    const rule = { ...optimiser };
    return this.#compute(options, async (program, abort) => {
      await inTurns(trainingBatchCheck({ images, targets }, { kind, classWeights }, this.#layout));
      checkOptimiser(rule);
      const slices = imagesShape(images, this.#layout);
      const training = {
        slices,
        images,
        targets,
        dice: kind !== 'cross-entropy',
        crossEntropy: kind !== 'dice',
        classWeights: classWeights ?? [],
      };
      this.#holds = undefined;
      return this.#addon.step(program, training, rule, abort);
    });
  }

  async snapshot(): Promise<Map<string, Floats>> {
    const stored = this.lowered.values.filter(({ kind }) => kind === 'parameter' || kind === 'statistic');
    const into = Object.fromEntries(stored.map(({ name, dims }) => [name, room(Float32Array, sizeOf(dims), name)]));
    await this.#compute({}, (program) => this.#addon.snapshot(program, into));
    return new Map(Object.entries(into));
  }

  async optimiserState(): Promise<Map<string, Floats>> {
    return this.#run({}, async (program) => {
      const slots = Object.entries(this.#addon.optimiserSlots(program));
      const into = Object.fromEntries(slots.map(([name, size]) => [name, room(Float32Array, size, name)]));
      await this.#addon.optimiserState(program, into);
      return new Map(Object.entries(into));
    });
  }

  async restoreOptimiserState(state: ReadonlyMap<string, Floats>): Promise<void> {
    checkOptimiserState(state, this.#layout);
    await this.#run({}, (program) => this.#addon.restoreOptimiserState(program, record(state)));
  }

  /** Calls in flight finish first; the memory goes when the last of them has ended. */
  dispose(): void {
    const handle = this.#handle;
    this.#handle = undefined;
    if (handle) void this.#calls.ended().finally(() => this.#addon.disposeProgram(handle));
  }

  /** Block.dispose: calls made before still find the rows. */
  disposeBlock(handle: BlockHandle): void {
    void this.#calls.ended().finally(() => this.#addon.disposeBlock(handle));
  }

  /** A batch checked and its boxes made, now: the call before may still be computing. One after another, so that the first is ready first. */
  #prepare(batch: RegionBatch, loss: RegionLoss): Promise<AddonRegions> {
    const given = asGiven(batch, loss);
    const coming = this.#calls.coming();
    const prepared = this.#ready.then(() => this.#regions(...given));
    this.#ready = prepared.catch(() => undefined);
    const staged = prepared.then(async (regions) => {
      const { images, targets, masks } = regions;
      return { ...regions, staged: await this.#stage([images, targets, masks], coming) };
    });
    staged.catch(() => undefined); // the call that asked for it tells what is wrong, in its turn
    return staged;
  }

  /** Arrays on their way to the device as soon as the call before computes; @returns where they are. A call can do without. */
  async #stage(arrays: readonly (Float32Array | Uint8Array)[], { place, free }: Coming): Promise<number> {
    if (this.memory.device === undefined) return NOWHERE;
    await free;
    if (!this.#handle) return NOWHERE;
    const staged = await this.#addon.stage(this.#handle, place, arrays).catch(() => false);
    return staged ? place : NOWHERE;
  }

  /** As `regionBatchCheck`, off this thread where nothing is wrong. @returns B */
  async #checked(batch: RegionBatch, loss: RegionLoss): Promise<number> {
    const slices = checkRegionShapes(batch, this.#layout);
    const sound = this.#handle && (await this.#addon.sound(this.#handle, batch, this.#layout.classes));
    return sound ? slices : inTurns(regionBatchCheck(batch, loss, this.#layout));
  }

  async #regions(batch: RegionBatch, loss: RegionLoss): Promise<AddonRegions> {
    const slices = await this.#checked(batch, loss);
    const regions = slices * this.#layout.classes;
    const { images, targets, masks } = batch;
    return {
      slices,
      images,
      targets,
      masks,
      boxes: await inTurns(supportBoxes(this.lowered, masks, this.#quantum)),
      forwarded: false,
      staged: NOWHERE,
      dice: loss.kind === 'dice',
      sum: loss.reduction === 'sum',
      norms: new Float32Array(regions),
      losses: new Float32Array(regions),
    };
  }

  /** A call that needs the network's numbers: its own are loaded only now, for most programs are given a checkpoint's first. */
  #compute<T>(
    options: CallOptions,
    call: (program: ProgramHandle, abort: Int32Array, forwarded: Float32Array | undefined) => Promise<T>,
  ): Promise<T> {
    return this.#run(options, async (program, abort) => {
      const forwarded = this.#forwarded;
      this.#forwarded = undefined;
      if (this.#unloaded) await this.#take(program, this.#unloaded, record(checkpointValues(this.lowered, this.#graph, this.#unloaded)));
      return call(program, abort, forwarded);
    });
  }

  async #run<T>(options: CallOptions, call: (program: ProgramHandle, abort: Int32Array) => Promise<T>, source?: string): Promise<T> {
    const handle = this.#handle;
    if (!handle) throw new TracinError('ERR_TRACIN_USAGE', 'program: it is disposed; compile another');
    return this.#calls.run(options, (abort) => call(handle, abort)).catch((error: unknown) => Promise.reject(rethrown(error, source)));
  }
}
