/** A region that a person painted, held against every training region of a finished study: its T, without a study of its own. */
import { setImmediate } from 'node:timers/promises';
import { readRegionMask } from '../dataset/region-mask';
import { caseOrSlice, type SliceSource } from '../dataset/slices';
import { openedEngine, type Block, type Engine, type Floats, type Program, type RegionBatch, type RegionLoss } from '../engine/engine';
import { TracinError } from '../errors';
import { selectParameters } from '../graph/parameters';
import { regionBatches, type Range, type Role } from '../influence/batches';
import { regionLoss } from '../influence/definition';
import type { RegionInfluence } from '../influence/normalisation';
import { MOVED, reopenNetworks, reopenSides, SIDES, type ReopenedSides } from '../influence/reopen';
import { openedStudy, type Study } from '../influence/study';
import { CALL, anyPath, callback, check, oneOf, optional, shape, text, whole, type Kinds } from '../kinds';
import type { OnProgress } from '../progress';
import { addInfluence } from './map-pixels';

/** How a region meets the training slices: their tangents along its gradient, or their own gradients. Both give T. */
export const WAYS = ['tangents', 'gradients'] as const;
/** How influence on a painted region is computed; both give the same numbers. */
export type Way = (typeof WAYS)[number];

/** A painted region of a test slice, and the study whose training regions it is compared with. */
export interface PaintedOptions {
  readonly study: Study;
  readonly engine: Engine;
  /** A test slice of the study; without a slice, the only one of the case that is painted. */
  readonly test: { readonly case: string; readonly slice?: number | undefined };
  /** Class whose region the painted one is: its loss is taken over the painted pixels. */
  readonly class: string;
  /** The painted image, as of {@link readRegionMask}. */
  readonly mask: string;
  /** The faster one on the first slices when absent. */
  readonly way?: Way | undefined;
  /** Slices computed together; default 8. */
  readonly batch?: number | undefined;
  /** In place of what the study says it was computed from. */
  readonly sources?: Partial<Readonly<Record<Role, SliceSource>>> | undefined;
  /** Where data and checkpoints lie now, when not where study.json says. */
  readonly data?: string | undefined;
  readonly run?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Stage `region`, in training slices. */
  readonly onProgress?: OnProgress | undefined;
  /** One line each, for people. */
  readonly onNotice?: ((line: string) => void) | undefined;
}

const OPTIONS: Kinds<PaintedOptions> = {
  ...CALL,
  ...MOVED,
  study: openedStudy,
  engine: openedEngine,
  test: caseOrSlice,
  class: text,
  mask: anyPath,
  way: optional(oneOf(WAYS)),
  batch: optional(whole(1)),
  sources: optional(shape<NonNullable<PaintedOptions['sources']>>(SIDES)),
  onNotice: optional(callback),
};

/**
 * The influence of every training region on a painted one, by the study's definition, networks and η_t.
 * A tangent pass costs about three forward passes and serves every class of a slice; gradients cost one and, for each class that is there,
 * two more times the share of the map that its support box covers. So small regions favour gradients, large ones and networks with
 * operators over the whole map favour tangents; which is faster here is measured on the first slices.
 * @throws ERR_TRACIN_USAGE an unknown class, case or slice; ERR_TRACIN_DATA nothing painted there;
 *   otherwise, where data or checkpoints are gone or have changed, ERR_TRACIN_DATA or ERR_TRACIN_CHECKPOINT
 */
export async function paintedInfluence(options: PaintedOptions): Promise<RegionInfluence> {
  check('paintedInfluence', options, OPTIONS);
  options = { ...options }; // their owner may change them meanwhile
  const { study, engine, signal, run } = options;
  const k = study.classes.indexOf(options.class);
  if (k < 0) throw usage(`unknown class ${options.class}: choose from ${study.classes.join(', ')}`);
  const sides = await reopenSides(study, { ...options.sources, data: options.data, signal });
  let program: Program | undefined;
  try {
    const { row, mask } = await paintedSlice(options, sides);
    const networks = await reopenNetworks(study, { run, signal });
    const { size, output } = study.record;
    const parameters = selectParameters(networks.lowered, study.definition.parameters);
    program = await engine.compile(networks.graph, { size, output, parameters });
    const region = await painted(sides, study, row, k, mask);
    const meeting = new Meeting(program, region, k, options);
    const products: Float32Array[] = [];
    const norms: number[] = [];
    for (const checkpoint of networks.checkpoints) {
      await program.load(await networks.read(checkpoint));
      norms.push(await meeting.begin());
      products.push(await allProducts(meeting, sides, options, products.length));
    }
    meeting.end();
    return { row, k, pixels: mask.reduce((sum, on) => sum + on, 0), products, norms };
  } finally {
    program?.dispose();
    await sides.close();
  }
}

/** The slice and its painted pixels [H, W]. */
async function paintedSlice({ study, test, mask: file }: PaintedOptions, sides: ReopenedSides): Promise<{ row: number; mask: Uint8Array }> {
  const { slices } = study.tests;
  const own = slices.flatMap((slice, row) => (slice.case === test.case ? [row] : []));
  if (own.length === 0)
    throw usage(`unknown test case ${test.case}: the study has ${[...new Set(slices.map((one) => one.case))].slice(0, 10).join(', ')}`);
  const mask = await readRegionMask(file, sides.datasets.test ?? sides.test.source, test.case);
  const isPainted = (row: number): boolean => mask.slices?.includes(slices[row]!.index) ?? true;
  const rows = own.filter((row) => (test.slice === undefined ? isPainted(row) : slices[row]!.index === test.slice));
  const indices = own.map((row) => slices[row]!.index).join(', ');
  if (rows.length === 0) throw usage(`${file}: not painted on a test slice of ${test.case}: the study has slices ${indices}`);
  if (rows.length > 1) throw usage(`${file}: painted on ${rows.length} test slices of ${test.case}: name one of ${indices}`);
  return { row: rows[0]!, mask: mask.at(slices[rows[0]!]!.index) };
}

/** The slice with the painted region as the only one. */
async function painted({ test }: ReopenedSides, study: Study, row: number, k: number, mask: Uint8Array): Promise<RegionBatch> {
  for await (const slice of regionBatches(test, study.definition, { start: row, end: row + 1 }, 1)) {
    const masks = new Uint8Array(slice.masks.length);
    masks.set(mask, k * mask.length);
    return { ...slice, masks };
  }
  throw new TracinError('ERR_TRACIN_INTERNAL', `no slice at row ${row}`);
}

/** Products [N·K] at one checkpoint. */
async function allProducts(meeting: Meeting, { train }: ReopenedSides, options: PaintedOptions, checkpoint: number): Promise<Float32Array> {
  const { study, batch = 8, signal, onProgress } = options;
  const count = study.trainings.slices.length;
  const classes = study.classes.length;
  const all = new Float32Array(count * classes);
  for await (const slices of regionBatches(train, study.definition, { start: 0, end: count }, batch, signal)) {
    all.set(await meeting.products(slices), slices.start * classes);
    onProgress?.({ stage: 'region', done: checkpoint * count + slices.end, total: study.checkpoints.length * count });
  }
  return all;
}

/** One region's gradient at the checkpoint at hand, and its products with whatever slices come. */
class Meeting {
  readonly #program: Program;
  readonly #region: RegionBatch;
  readonly #k: number;
  readonly #classes: number;
  readonly #loss: RegionLoss;
  readonly #options: PaintedOptions;
  #way: Way | undefined;
  /** Batches both ways have been tried on: the first also pays for what is made once. */
  #tried = 0;
  #direction: Floats | undefined;
  #block: Block | undefined;

  constructor(program: Program, region: RegionBatch, k: number, options: PaintedOptions) {
    this.#program = program;
    this.#region = region;
    this.#k = k;
    this.#classes = options.study.classes.length;
    this.#loss = regionLoss(options.study.definition);
    this.#options = options;
    this.#way = options.way;
  }

  /** At the checkpoint that is loaded. @returns ‖∇L‖² */
  async begin(): Promise<number> {
    const { signal } = this.#options;
    const { gradients, norms } = await this.#program.gradients(this.#region, this.#loss, { signal });
    const { parameterCount: P } = this.#program;
    this.#direction = gradients.subarray(this.#k * P, (this.#k + 1) * P);
    if (this.#way !== 'tangents') {
      this.#block ??= await this.#program.resident(1);
      this.#block.clear();
      await this.#block.append(this.#region, this.#loss, { signal });
    }
    return norms[this.#k]!;
  }

  /** [n, K] */
  async products(slices: Range & RegionBatch): Promise<Float32Array> {
    if (this.#way) return this.#by(this.#way, slices);
    const times: number[] = [];
    let found = new Float32Array();
    for (const way of WAYS) {
      const start = performance.now();
      found = await this.#by(way, slices);
      times.push(performance.now() - start);
    }
    if (++this.#tried === 2 || slices.end === this.#options.study.trainings.slices.length) {
      this.#way = times[0]! <= times[1]! ? 'tangents' : 'gradients';
      const [tangents, gradients] = times.map((ms) => `${ms.toPrecision(3)} ms`);
      this.#options.onNotice?.(
        `${slices.end - slices.start} slices took ${tangents} by tangents, ${gradients} by gradients: going on by ${this.#way}`,
      );
      if (this.#way === 'tangents') this.end();
    }
    return found;
  }

  /** Gives back what gradients were kept in. */
  end(): void {
    this.#block?.dispose();
    this.#block = undefined;
  }

  async #by(way: Way, slices: Range & RegionBatch): Promise<Float32Array<ArrayBuffer>> {
    return way === 'tangents' ? this.#byTangents(slices) : this.#byGradients(slices);
  }

  async #byGradients(slices: Range & RegionBatch): Promise<Float32Array<ArrayBuffer>> {
    const { products } = await this.#program.contract(this.#block, slices, this.#loss, { signal: this.#options.signal });
    const width = (slices.end - slices.start) * this.#classes;
    return Float32Array.from(products.subarray(this.#k * width, (this.#k + 1) * width));
  }

  async #byTangents({ images, targets, masks, start, end }: Range & RegionBatch): Promise<Float32Array<ArrayBuffer>> {
    const moved = await this.#program.tangent(this.#direction!, images, { signal: this.#options.signal });
    const count = end - start;
    const pixels = targets.length / count;
    const products = new Float32Array(count * this.#classes);
    const map = new Float64Array(pixels);
    for (let region = 0; region < products.length; region++) {
      const n = Math.floor(region / this.#classes);
      const mask = masks.subarray(region * pixels, (region + 1) * pixels);
      if (!mask.includes(1)) continue;
      const own = <A extends Floats | Uint8Array>(of: A): A => of.subarray((n * of.length) / count, ((n + 1) * of.length) / count) as A;
      map.fill(0);
      const label = (region % this.#classes) + 1;
      addInfluence(map, { logits: own(moved.logits), tangents: own(moved.tangents), targets: own(targets), mask, label }, this.#loss, 1);
      products[region] = map.reduce((sum, term) => sum + term, 0);
      await setImmediate();
    }
    return products;
  }
}

function usage(message: string): TracinError {
  return new TracinError('ERR_TRACIN_USAGE', message);
}
