/** The contract every engine fulfils. Notation of docs/method.md: K foreground classes, C = K + 1 logits, M modalities. */
import type { Graph } from '../graph/graph';
import type { Lowered } from '../graph/lowered';
import { kindOf, type Kind } from '../kinds';

/** float64 from `reference`, float32 from `cpu` and `cuda`. */
export type Floats = Float32Array | Float64Array;

/** What computes: plain TypeScript, C++ on oneDNN, or CUDA. */
export type EngineName = 'reference' | 'cpu' | 'cuda';

/** What the operands of products are rounded to; sums are float32 or wider. `reference` computes in float64 whatever is asked. */
export const PRECISIONS = ['f32', 'tf32', 'bf16'] as const;
/** What the operands of products are rounded to; sums are float32 or wider. */
export type Precision = (typeof PRECISIONS)[number];

/** What every call of a program takes. */
export interface CallOptions {
  /** Polled between slices (and between layers where a slice is long); the call rejects with ERR_TRACIN_ABORTED. */
  readonly signal?: AbortSignal | undefined;
}

/** What {@link Program.contract} takes besides. */
export interface ContractOptions extends CallOptions {
  /** The images are those of the call just before, a {@link Program.forward} of at most {@link Program.keptSlices}: the maps that it left serve. */
  readonly forwarded?: boolean | undefined;
}

/** Loss of a class over its mask. dice: D_c of the method; cross-entropy: mean (or sum) over the mask of −log p_y. */
export interface RegionLoss {
  readonly kind: 'dice' | 'cross-entropy';
  /** Only cross-entropy knows a sum. */
  readonly reduction: 'mean' | 'sum';
}

/** B slices with, for each class, the pixels that speak for it. Spatial axes written H, W; any rank works. */
export interface RegionBatch {
  /** [B, M, H, W] */
  readonly images: Float32Array;
  /** [B, H, W], 0..K */
  readonly targets: Uint8Array;
  /** [B, K, H, W], 1 inside the region of class k + 1. An all-zero mask is an absent region: loss and gradient 0. */
  readonly masks: Uint8Array;
}

/** B slices with their labels. */
export interface TrainingBatch {
  /** [B, M, H, W] */
  readonly images: Float32Array;
  /** [B, H, W] */
  readonly targets: Uint8Array;
}

/**
 * dice: 1 − mean over foreground classes of 2 Σ y p / (Σ y² + Σ p² + 1e-7), sums over the whole batch.
 * cross-entropy: Σ w_y (−log p_y) / Σ w_y over all pixels of the batch. dice+ce: their sum.
 */
export interface TrainingLoss {
  readonly kind: 'dice' | 'cross-entropy' | 'dice+ce';
  /** [C] weights of the cross-entropy; all 1 when absent. */
  readonly classWeights?: readonly number[] | undefined;
}

/**
 * sgd: v ← μ v + (g + λ θ); θ ← θ − η v.  adam: g ← g + λ θ, then Kingma & Ba 2015 with bias correction, `step` counted from 1.
 * Weight decay λ applies to kernels and matrices only, never to biases, scales, shifts or slopes.
 */
export type Optimiser =
  | { readonly kind: 'sgd'; readonly learningRate: number; readonly momentum: number; readonly weightDecay: number }
  | {
      readonly kind: 'adam';
      readonly learningRate: number;
      readonly beta1: number;
      readonly beta2: number;
      readonly epsilon: number;
      readonly weightDecay: number;
      readonly step: number;
    };

/** The image size, output and parameters that a network is compiled for. */
export interface CompileOptions {
  /** Spatial size of the images, [H, W]. */
  readonly size: readonly number[];
  /** Name of the graph output that is taken as logits; the first one of full size when absent. */
  readonly output?: string | undefined;
  /** Names of the parameters to differentiate; all trainable ones when absent. Gradients follow this order: see `Program.parameters`. */
  readonly parameters?: readonly string[] | undefined;
}

/** Squared gradient norms and losses of the regions of a batch, [B, K]; 0 for absent regions. */
export interface RegionNorms {
  readonly norms: Floats;
  readonly losses: Floats;
}

/** Query gradients kept where the engine wants them, K rows for each appended slice (absent regions: zero rows). */
export interface Block {
  /** Room, in slices. */
  readonly capacity: number;
  /** Slices appended so far. */
  readonly slices: number;
  /** @throws as {@link Program}; ERR_TRACIN_USAGE when it is full or disposed */
  append(batch: RegionBatch, loss: RegionLoss, options?: CallOptions): Promise<RegionNorms>;
  /** Forgets the rows, keeps the room; calls made before still find them. */
  clear(): void;
  /** Frees the room once calls made before have ended. */
  dispose(): void;
}

/** Names of kernels by what they compute: of engines that choose between several. */
export type KernelTable = Readonly<Record<string, string>>;

/**
 * A network compiled for one image size, holding one checkpoint's parameters at a time. Calls run one after another. Labels, losses and
 * optimisers are taken as they are at the call; images and directions are read until its promise settles: leave them alone as long.
 * @throws every call: ERR_TRACIN_DATA for arrays of other shapes than it says, or numbers that are not finite; ERR_TRACIN_USAGE once it is
 *   disposed; ERR_TRACIN_ABORTED; ERR_TRACIN_MEMORY; ERR_TRACIN_ENGINE for a device that failed
 */
export interface Program {
  readonly lowered: Lowered;
  /** The selected parameters in gradient order, with their offset into P. */
  readonly parameters: readonly { readonly name: string; readonly dims: readonly number[]; readonly offset: number }[];
  /** P, numbers in one gradient. */
  readonly parameterCount: number;
  /**
   * Bytes held once it has run: `fixed`, `slice` more for each slice of the largest batch, `row` for each resident row (one class of one slice).
   * `together`: slices of a batch that it computes at once, where that is a limit; more of them wait, and take no more memory.
   * `device`: bytes that were free on the device when it was compiled, where the engine keeps all that in memory of its own.
   */
  readonly memory: {
    readonly fixed: number;
    readonly slice: number;
    readonly row: number;
    readonly together?: number | undefined;
    readonly device?: number | undefined;
  };

  /** Slices of which {@link forward} leaves the maps for a {@link contract} of the same images; 0 of an engine that leaves none. */
  readonly keptSlices: number;

  /**
   * Takes initializers (parameters and running statistics) from a checkpoint of the same network; the optimiser keeps its slots.
   * @throws ERR_TRACIN_CHECKPOINT for one of another network, or with numbers that are not finite
   */
  load(checkpoint: Graph): Promise<void>;
  /**
   * Takes the kernels of a table, and the engine's rule for what it lacks; with `measure`, what it lacks is timed instead. With equal tables
   * a processor computes equal bytes; without a call the rule is in force.
   * @returns the table in force; empty of an engine that has no choice
   */
  chooseKernels(table: KernelTable, measure: boolean): Promise<KernelTable>;
  /** From now on computes in float32, whatever it was compiled for; false of an engine that would have to compile another for that. */
  useFloat32(): Promise<boolean>;
  /** images [B, M, H, W] → logits [B, C, H, W]; with `features`, also the head's input [B, F, H, W]. Running statistics are used. */
  forward(images: Float32Array, options?: CallOptions & { readonly features?: boolean }): Promise<{ logits: Floats; features?: Floats }>;
  /**
   * Forward mode: tangents [B, C, H, W] = J_θ f(θ, z) · v, how fast the logits change when the selected parameters move along v.
   * Running statistics are used and do not move.
   * @param direction v [P], in gradient order
   */
  tangent(direction: Floats, images: Float32Array, options?: CallOptions): Promise<{ logits: Floats; tangents: Floats }>;
  /** [B, K, P], for small work and tests. */
  gradients(batch: RegionBatch, loss: RegionLoss, options?: CallOptions): Promise<RegionNorms & { gradients: Floats }>;
  /** Room for the gradients of `capacity` slices, empty. */
  resident(capacity: number): Promise<Block>;
  /**
   * products [R, B, K] of every resident row (R = block.slices · K) with every region of the batch, one layer at a time:
   * no [B, K, P] is formed. Without a block: norms and losses alone. Last digits of gradients may differ where they are `forwarded`, for
   * maps are whole then, and of another batch.
   */
  contract(
    block: Block | undefined,
    batch: RegionBatch,
    loss: RegionLoss,
    options?: ContractOptions,
  ): Promise<RegionNorms & { products: Floats }>;
  /** One training step on the loaded parameters (BatchNormalization by batch statistics, running ones updated); the loss before it. */
  step(batch: TrainingBatch, loss: TrainingLoss, optimiser: Optimiser, options?: CallOptions): Promise<number>;
  /** Initializers as they stand now (parameters and running statistics), row-major. */
  snapshot(): Promise<Map<string, Floats>>;
  /** The optimiser's slots: `velocity/NAME` (sgd) or `m/NAME`, `v/NAME` (adam); empty before the first step. */
  optimiserState(): Promise<Map<string, Floats>>;
  /** Goes on with slots that {@link optimiserState} gave. */
  restoreOptimiserState(state: ReadonlyMap<string, Floats>): Promise<void>;
  dispose(): void;
}

/** What compiles networks, and runs them. */
export interface Engine {
  readonly name: EngineName;
  /** What `--device` calls it: its name, of GPUs with the index, e.g. `cuda:1`. */
  readonly device: string;
  readonly precision: Precision;
  /** One line for people: what runs it, e.g. `cpu: oneDNN 2.6.3, avx512_core_amx, 2 threads`. */
  readonly description: string;
  /** @throws ERR_TRACIN_GRAPH for a network that cannot be run at this size; ERR_TRACIN_USAGE for a parameter that it does not have */
  compile(graph: Graph, options: CompileOptions): Promise<Program>;
}

/** An engine of whichever make. */
export const openedEngine: Kind<Engine> = kindOf("the one that `const { engine } = await openEngine('auto')` opens", (value) => {
  return typeof (value as Partial<Engine> | null | undefined)?.compile === 'function';
});
