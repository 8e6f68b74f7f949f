/** The pure-JS engine: plain TypeScript in float64, in a worker thread for each program. */
import type { Transferable } from 'node:worker_threads';
import { TracinError } from '../../errors';
import type { Graph } from '../../graph/graph';
import { lower } from '../../graph/lower';
import type { Lowered } from '../../graph/lowered';
import { WorkerThread } from '../../worker-thread';
import type {
  Block,
  CallOptions,
  CompileOptions,
  Engine,
  Floats,
  KernelTable,
  Optimiser,
  Program,
  RegionBatch,
  RegionLoss,
  TrainingBatch,
  TrainingLoss,
} from '../engine';
import { layoutOf, sizeOf, type Layout } from '../layout';
import { ownCopy } from '../own';
import { checkBlock, checkCall, checkCompile, checkObjects, checkOptimiserState, checkpointValues } from '../validate';

type Call = <T>(method: string, argument: object, options?: CallOptions & { transfer?: Transferable[] }) => Promise<T>;
type Norms = { norms: Float64Array; losses: Float64Array };

/** Copies of the arrays, whose memory can be handed over: sending a view would copy all of the buffer it looks at. */
function copied<T extends object>(batch: T): { batch: T; transfer: Transferable[] } {
  const transfer: Transferable[] = [];
  const entries = Object.entries(batch).map(([field, value]): [string, unknown] => {
    if (!ArrayBuffer.isView(value)) return [field, value];
    const copy = ownCopy(value as Uint8Array<ArrayBuffer>);
    transfer.push(copy.buffer);
    return [field, copy];
  });
  return { batch: Object.fromEntries(entries) as T, transfer };
}

class ReferenceBlock implements Block {
  readonly capacity: number;
  readonly #id: number;
  readonly #classes: number;
  readonly #call: Call;
  #slices = 0;
  #clearings = 0;
  #disposed = false;

  constructor(id: number, capacity: number, classes: number, call: Call) {
    this.capacity = capacity;
    this.#id = id;
    this.#classes = classes;
    this.#call = call;
  }

  get slices(): number {
    return this.#slices;
  }

  /** What the worker calls it. */
  get id(): number {
    if (this.#disposed) throw new TracinError('ERR_TRACIN_USAGE', 'block: it is disposed; ask the program for another');
    return this.#id;
  }

  isOf(call: Call): boolean {
    return call === this.#call;
  }

  async append(regions: RegionBatch, loss: RegionLoss, options: CallOptions = {}): Promise<Norms> {
    checkCall(options);
    checkObjects({ batch: regions, loss });
    const { batch, transfer } = copied(regions);
    const clearings = this.#clearings;
    const norms = await this.#call<Norms>('append', { block: this.id, batch, loss }, { ...options, transfer });
    if (clearings === this.#clearings) this.#slices += norms.norms.length / this.#classes;
    return norms;
  }

  clear(): void {
    this.#slices = 0;
    this.#clearings++;
    this.#send('clear', this.id);
  }

  dispose(): void {
    if (!this.#disposed) this.#send('forget', this.#id);
    this.#disposed = true;
  }

  /** A worker that is gone has forgotten the rows already. */
  #send(method: string, block: number): void {
    this.#call(method, { block }).catch(() => undefined);
  }
}

class ReferenceWorkerProgram implements Program {
  readonly lowered: Lowered;
  readonly parameters: Program['parameters'];
  readonly parameterCount: number;
  readonly memory: Program['memory'];
  readonly #graph: Graph;
  readonly #layout: Layout;
  readonly #worker: WorkerThread;
  #disposed = false;

  constructor(graph: Graph, lowered: Lowered, layout: Layout) {
    this.#graph = graph;
    this.#layout = layout;
    this.lowered = lowered;
    this.parameters = layout.parameters;
    this.parameterCount = layout.parameterCount;
    const bytes = (kinds: readonly string[]): number =>
      lowered.values.reduce((sum, { kind, dims }) => sum + (kinds.includes(kind) ? sizeOf(dims) : 0), 0) * Float64Array.BYTES_PER_ELEMENT;
    // one slice at a time: its activations and their cotangents, whatever the batch
    const row = layout.parameterCount * Float64Array.BYTES_PER_ELEMENT;
    this.memory = {
      fixed: 2 * bytes(['activation', 'derived']) + bytes(['parameter', 'statistic', 'constant']) + row,
      slice: layout.classes * row,
      row,
    };
    this.#worker = new WorkerThread('engine/reference/worker', { lowered, layout });
  }

  readonly keptSlices = 0;

  async load(checkpoint: Graph): Promise<void> {
    await this.#call('load', { values: checkpointValues(this.lowered, this.#graph, checkpoint), source: checkpoint.source });
  }

  chooseKernels(): Promise<KernelTable> {
    return Promise.resolve({});
  }

  /** float64 is what it computes in. */
  useFloat32(): Promise<boolean> {
    return Promise.resolve(false);
  }

  async forward(
    images: Float32Array,
    options: CallOptions & { readonly features?: boolean } = {},
  ): Promise<{ logits: Floats; features?: Floats }> {
    checkCall(options);
    const { batch, transfer } = copied({ images });
    return this.#call('forward', { ...batch, features: options.features ?? false }, { ...options, transfer });
  }

  async tangent(direction: Floats, images: Float32Array, options: CallOptions = {}): Promise<{ logits: Floats; tangents: Floats }> {
    checkCall(options);
    const { batch, transfer } = copied({ direction, images });
    return this.#call('tangent', batch, { ...options, transfer });
  }

  async gradients(regions: RegionBatch, loss: RegionLoss, options: CallOptions = {}): Promise<Norms & { gradients: Float64Array }> {
    checkCall(options);
    checkObjects({ batch: regions, loss });
    const { batch, transfer } = copied(regions);
    return this.#call('gradients', { batch, loss }, { ...options, transfer });
  }

  async resident(capacity: number): Promise<Block> {
    const id = await this.#call<number>('resident', { capacity });
    return new ReferenceBlock(id, capacity, this.#layout.classes, this.#call);
  }

  async contract(
    block: Block | undefined,
    regions: RegionBatch,
    loss: RegionLoss,
    options: CallOptions = {},
  ): Promise<Norms & { products: Float64Array }> {
    checkCall(options);
    checkObjects({ batch: regions, loss });
    checkBlock(block, (own) => own instanceof ReferenceBlock && own.isOf(this.#call));
    const { batch, transfer } = copied(regions);
    return this.#call('contract', { block: (block as ReferenceBlock | undefined)?.id, batch, loss }, { ...options, transfer });
  }

  async step(trainingBatch: TrainingBatch, loss: TrainingLoss, optimiser: Optimiser, options: CallOptions = {}): Promise<number> {
    checkCall(options);
    checkObjects({ batch: trainingBatch, loss, optimiser });
    const { batch, transfer } = copied(trainingBatch);
    return this.#call('step', { batch, loss, optimiser }, { ...options, transfer });
  }

  snapshot(): Promise<Map<string, Floats>> {
    return this.#call('snapshot', {});
  }

  optimiserState(): Promise<Map<string, Floats>> {
    return this.#call('optimiserState', {});
  }

  async restoreOptimiserState(state: ReadonlyMap<string, Floats>): Promise<void> {
    checkOptimiserState(state, this.#layout);
    return this.#call('restoreOptimiserState', { state });
  }

  dispose(): void {
    this.#disposed = true;
    void this.#worker.close();
  }

  readonly #call: Call = async (method, argument, options) => {
    if (this.#disposed) throw new TracinError('ERR_TRACIN_USAGE', 'program: it is disposed; compile another');
    return this.#worker.call(method, argument, options);
  };
}

export function openReferenceEngine(): Engine {
  return {
    name: 'reference',
    device: 'reference',
    precision: 'f32',
    description: 'reference: TypeScript, float64, 1 thread',
    async compile(graph: Graph, options: CompileOptions): Promise<Program> {
      checkCompile(graph, options);
      const lowered = lower(graph, options.size, { output: options.output });
      const program = new ReferenceWorkerProgram(graph, lowered, layoutOf(lowered, options));
      try {
        await program.load(graph);
      } catch (error) {
        program.dispose();
        throw error;
      }
      return program;
    },
  };
}
