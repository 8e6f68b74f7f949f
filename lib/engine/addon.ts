/** The native module: found, checked, declared. */
import { dirname, join } from 'node:path';
import { existsSync } from 'node:fs';
import { TracinError } from '../errors';
import type { KernelTable, Precision } from './engine';

declare const handle: unique symbol;
/** Opaque to us; the addon checks what it is given. */
export interface ProgramHandle {
  readonly [handle]: 'program';
}
export interface BlockHandle {
  readonly [handle]: 'block';
}

export interface AddonRegions {
  slices: number;
  images: Float32Array;
  targets: Uint8Array;
  masks: Uint8Array;
  boxes: Int32Array | null;
  /** The images are those of the forward pass just before, at most {@link Addon.keptSlices}: its maps serve. */
  forwarded: boolean;
  /** The place where images, targets and masks were staged; −1: nowhere. */
  staged: number;
  dice: boolean;
  sum: boolean;
  /** [B, K], written */
  norms: Float32Array;
  losses: Float32Array;
}

export interface AddonTraining {
  slices: number;
  images: Float32Array;
  targets: Uint8Array;
  dice: boolean;
  crossEntropy: boolean;
  classWeights: readonly number[];
}

/** Which engine, and how it computes. */
export interface AddonChoice {
  readonly engine: 'cpu' | 'cuda';
  readonly threads: number;
  /** Index of the GPU. */
  readonly device: number;
  readonly precision: Precision;
}

/** Arrays handed over are read or written off the JavaScript thread: leave them alone until the promise settles. */
export interface Addon {
  /** Opens libtracin-cuda.so; throws ERR_TRACIN_ENGINE in the words of the system's loader. */
  openCuda(library: string): void;
  /** Throws ERR_TRACIN_ENGINE where the driver is missing or too old. */
  cudaDevices(): number;
  /** Why the engine cannot compute so here, or ''. */
  missing(choice: AddonChoice): string;
  describe(choice: AddonChoice): string;
  compile(network: object, choice: AddonChoice): Promise<ProgramHandle>;
  /** Bytes: [whatever the batch, for each slice of it, for each resident row, free on the device or −1] */
  memory(program: ProgramHandle): [number, number, number, number];
  /** What edges of support boxes at the logits are best multiples of. */
  quantum(program: ProgramHandle): number;
  keptSlices(program: ProgramHandle): number;
  /** Whether all images are finite, no target is above `classes` and no mask above 1; a call may run meanwhile. */
  sound(program: ProgramHandle, batch: Pick<AddonRegions, 'images' | 'targets' | 'masks'>, classes: number): Promise<boolean>;
  /**
   * Brings arrays of a call to come to the device while another call runs: its `load`, or images, targets and masks of a batch. The place is 0
   * or 1, free again when that call has ended; @returns whether they are there
   */
  stage(program: ProgramHandle, place: number, arrays: readonly (Float32Array | Uint8Array)[]): Promise<boolean>;
  load(program: ProgramHandle, arrays: Record<string, Float32Array>, staged: number): Promise<void>;
  /** What the table lacks is measured, or follows a rule; @returns the table in force */
  chooseKernels(program: ProgramHandle, table: KernelTable, measure: boolean): Promise<KernelTable>;
  useFloat32(program: ProgramHandle): Promise<boolean>;
  forward(
    program: ProgramHandle,
    slices: number,
    images: Float32Array,
    logits: Float32Array,
    features: Float32Array | null,
    abort: Int32Array,
  ): Promise<void>;
  /** direction [P], the parameters as the file has them, in gradient order */
  tangent(
    program: ProgramHandle,
    slices: number,
    images: Float32Array,
    direction: Float32Array,
    logits: Float32Array,
    tangents: Float32Array,
    abort: Int32Array,
  ): Promise<void>;
  gradients(program: ProgramHandle, regions: AddonRegions, gradients: Float32Array, abort: Int32Array): Promise<void>;
  resident(program: ProgramHandle, capacity: number, classes: number): Promise<BlockHandle>;
  append(program: ProgramHandle, block: BlockHandle, regions: AddonRegions, abort: Int32Array): Promise<void>;
  contract(
    program: ProgramHandle,
    block: BlockHandle | null,
    regions: AddonRegions,
    products: Float32Array,
    abort: Int32Array,
  ): Promise<void>;
  step(program: ProgramHandle, batch: AddonTraining, optimiser: object, abort: Int32Array): Promise<number>;
  /** Fills the arrays, by name. */
  snapshot(program: ProgramHandle, into: Record<string, Float32Array>): Promise<void>;
  /** Numbers in each slot the optimiser has. */
  optimiserSlots(program: ProgramHandle): Record<string, number>;
  optimiserState(program: ProgramHandle, into: Record<string, Float32Array>): Promise<void>;
  restoreOptimiserState(program: ProgramHandle, state: Record<string, Float32Array>): Promise<void>;
  clearBlock(block: BlockHandle): void;
  disposeProgram(program: ProgramHandle): void;
  disposeBlock(block: BlockHandle): void;
}

/** The nearest folder above this file with a package.json: the package's root, compiled or not. */
function packageRoot(): string {
  let folder = __dirname;
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return folder;
}

/**
 * How the engines are built from the package's C++ sources: by the checkout's own script, where it is, else by what that script calls.
 * @param cuda with the CUDA engine
 */
export function buildWords(root = packageRoot(), cuda = false): string {
  if (existsSync(join(root, 'scripts', 'build.mjs'))) return `\`${cuda ? 'TRACIN_CUDA=ON ' : ''}npm run build\` in ${root}`;
  // `compile` by itself configures a fresh folder only
  // --yes: npx would ask before it fetches, and gives up where nobody can answer
  const configure = cuda ? 'npx --yes cmake-js configure --CDTRACIN_CUDA=ON && ' : '';
  return `\`${configure}npx --yes cmake-js compile\` in ${root} (takes a C++20 compiler, CMake and oneDNN)`;
}

let loaded: { readonly addon: Addon; readonly file: string } | undefined;

/**
 * How long the engine's threads wait actively for each other, in OpenMP's turns, unless the user chose. Measured on two cores: 1000 costs
 * nothing when the machine is ours, while the default of 300000 made a run beside another busy process five times slower.
 * Read by the OpenMP library when it is loaded, that is with the addon.
 */
function waitBriefly(): void {
  if (!process.env.OMP_WAIT_POLICY) process.env.GOMP_SPINCOUNT ??= '1000';
}

/**
 * The addon, from TRACIN_ADDON, the build folder, or a prebuilt package of this platform.
 * @param engine what it is wanted for
 * @throws ERR_TRACIN_ENGINE listing every place tried and how to build it
 */
export function loadAddon(engine: AddonChoice['engine']): Addon {
  return locateAddon(engine).addon;
}

/** The addon and the file it came from. */
export function locateAddon(engine: AddonChoice['engine']): { readonly addon: Addon; readonly file: string } {
  if (loaded) return loaded;
  const root = packageRoot();
  const places = [
    ...(process.env.TRACIN_ADDON ? [process.env.TRACIN_ADDON] : []),
    join(root, 'build', 'Release', 'tracin.node'),
    `@tracin-seg/${process.platform}-${process.arch}`,
  ];
  const failures: string[] = [];
  waitBriefly();
  for (const place of places) {
    try {
      // eslint-disable-next-line @typescript-eslint/no-require-imports
      const addon = require(place) as Addon;
      const reason = addon.missing({ engine: 'cpu', threads: 1, device: 0, precision: 'f32' });
      if (reason) throw new Error(reason);
      return (loaded = { addon, file: require.resolve(place) });
    } catch (error) {
      failures.push(`${place} (${error instanceof Error ? error.message.split('\n')[0] : String(error)})`);
    }
  }
  throw new TracinError(
    'ERR_TRACIN_ENGINE',
    `${engine}: the addon did not load from ${failures.join(', ')}: build it with ${buildWords(root)}`,
  );
}
