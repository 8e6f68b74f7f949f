/** The reference engine itself: synchronous and float64 throughout. `Program` of engine.ts runs it in a worker thread. */
import type { Lowered, Parameter } from '../../graph/lowered';
import type { Floats, Optimiser, RegionBatch, RegionLoss, TrainingBatch, TrainingLoss } from '../engine';
import { sizeOf, type Layout } from '../layout';
import { room } from '../room';
import {
  checkCapacity,
  checkDirection,
  checkFinite,
  checkImages,
  checkOptimiser,
  checkRegionBatch,
  checkRoom,
  checkTrainingBatch,
} from '../validate';
import { probabilities, regionLoss, trainingLoss } from './losses';
import { updateRunning } from './operators/batch-normalization';
import { update, type Slots } from './optimisers';
import { Passes, type Poll } from './passes';
import { planBackward, type Plan } from './plan';
import { zeros, type Tensor } from './tensor';

/** Resident query gradients, [capacity · K, P]. */
export interface Rows {
  readonly capacity: number;
  slices: number;
  readonly data: Float64Array;
}

export interface Norms {
  readonly norms: Float64Array;
  readonly losses: Float64Array;
}

const never: Poll = () => undefined;

export class ReferenceProgram {
  readonly #lowered: Lowered;
  readonly #layout: Layout;
  readonly #plan: Plan;
  /** By value: parameters, running statistics, constants and what derives from them; undefined for activations. */
  readonly #stored: readonly (Tensor | undefined)[];
  readonly #selected: readonly Parameter[];
  /** One gradient, [P], and by value the views of it that belong to the selected parameters. */
  readonly #gradient: Float64Array;
  readonly #parameterGradients: readonly (Tensor | undefined)[];
  /** How the selected parameters move in a tangent pass: made when first asked for, as the gradient is. */
  #direction: { readonly data: Float64Array; readonly tensors: readonly (Tensor | undefined)[] } | undefined;
  readonly #slots: Slots = new Map();
  readonly #slice: Passes;
  /** Passes over the last training batch's size. */
  #batch: { readonly size: number; readonly passes: Passes } | undefined;

  /** Parameters and statistics are 0 until `load`. */
  constructor(lowered: Lowered, layout: Layout) {
    this.#lowered = lowered;
    this.#layout = layout;
    this.#plan = planBackward(lowered, new Set(layout.parameters.map(({ name }) => name)));
    this.#stored = lowered.values.map((value) => {
      if (value.kind === 'activation') return undefined;
      return value.kind === 'constant' ? { dims: value.dims, data: value.data } : zeros(value.dims);
    });
    this.#gradient = room(Float64Array, layout.parameterCount, 'gradient');
    this.#selected = layout.parameters.map(({ name }) => lowered.parameters.find((parameter) => parameter.name === name)!);
    this.#parameterGradients = this.#byParameter(this.#gradient);
    this.#slice = this.#passes(1);
  }

  /** @param values parameters and running statistics by name @param source for messages */
  load(values: ReadonlyMap<string, Floats>, source: string): void {
    checkFinite(values, source);
    this.#eachState((name, { data }) => data.set(values.get(name)!));
    this.#slice.derive();
  }

  forward(images: Float32Array, features: boolean, poll: Poll = never): { logits: Float64Array; features?: Float64Array } {
    const slices = checkImages(images, this.#layout);
    const head = this.#lowered.operations[this.#lowered.head]!.inputs[0]!;
    const logits = room(Float64Array, slices * this.#layout.logits * this.#layout.pixels, 'logits');
    const maps = features ? room(Float64Array, slices * sizeOf(this.#lowered.values[head]!.dims), 'features') : undefined;
    for (let n = 0; n < slices; n++) {
      const { data } = this.#slice.forward(part(images, n, slices), 'running', poll);
      logits.set(data, n * data.length);
      const map = this.#slice.value(head).data;
      maps?.set(map, n * map.length);
    }
    return maps ? { logits, features: maps } : { logits };
  }

  /** logits and their derivatives along the direction [P], [B, C, …size] */
  tangent(direction: Floats, images: Float32Array, poll: Poll = never): { logits: Float64Array; tangents: Float64Array } {
    const slices = checkImages(images, this.#layout);
    checkDirection(direction, this.#layout);
    if (!this.#direction) {
      const data = room(Float64Array, direction.length, 'direction');
      this.#direction = { data, tensors: this.#byParameter(data) };
    }
    this.#direction.data.set(direction);
    const [logits, tangents] = ['logits', 'tangents'].map((what) =>
      room(Float64Array, slices * this.#layout.logits * this.#layout.pixels, what),
    );
    for (let n = 0; n < slices; n++) {
      const { data } = this.#slice.forward(part(images, n, slices), 'running', poll);
      logits!.set(data, n * data.length);
      tangents!.set(this.#slice.tangent(this.#direction.tensors, poll).data, n * data.length);
    }
    return { logits: logits!, tangents: tangents! };
  }

  /** gradients [B, K, P] */
  gradients(batch: RegionBatch, loss: RegionLoss, poll: Poll = never): Norms & { gradients: Float64Array } {
    const slices = checkRegionBatch(batch, loss, this.#layout);
    const P = this.#layout.parameterCount;
    const gradients = room(Float64Array, slices * this.#layout.classes * P, 'gradients');
    const norms = this.#eachRegion(batch, slices, loss, poll, (region, gradient) => gradients.set(gradient, region * P));
    return { ...norms, gradients };
  }

  resident(capacity: number): Rows {
    checkCapacity(capacity);
    return {
      capacity,
      slices: 0,
      data: room(Float64Array, capacity * this.#layout.classes * this.#layout.parameterCount, 'resident block'),
    };
  }

  /** Rows count once all of the batch is there. */
  append(rows: Rows, batch: RegionBatch, loss: RegionLoss, poll: Poll = never): Norms {
    const slices = checkRegionBatch(batch, loss, this.#layout);
    checkRoom(rows, slices);
    const { classes, parameterCount: P } = this.#layout;
    const first = rows.slices * classes;
    rows.data.fill(0, first * P, (first + slices * classes) * P);
    const norms = this.#eachRegion(batch, slices, loss, poll, (region, gradient) => rows.data.set(gradient, (first + region) * P));
    rows.slices += slices;
    return norms;
  }

  /** products [R, B, K] */
  contract(rows: Rows | undefined, batch: RegionBatch, loss: RegionLoss, poll: Poll = never): Norms & { products: Float64Array } {
    const slices = checkRegionBatch(batch, loss, this.#layout);
    const { classes, parameterCount: P } = this.#layout;
    const count = (rows?.slices ?? 0) * classes;
    const regions = slices * classes;
    const products = room(Float64Array, count * regions, 'products');
    const norms = this.#eachRegion(batch, slices, loss, poll, (region, gradient) => {
      for (let r = 0; r < count; r++) products[r * regions + region] = dot(rows!.data, r * P, gradient);
    });
    return { ...norms, products };
  }

  /** Trains the selected parameters; @returns the loss before the step */
  step(batch: TrainingBatch, loss: TrainingLoss, optimiser: Optimiser, poll: Poll = never): number {
    const slices = checkTrainingBatch(batch, loss, this.#layout);
    checkOptimiser(optimiser);
    if (this.#batch?.size !== slices) this.#batch = { size: slices, passes: this.#passes(slices) };
    const { passes } = this.#batch;
    const logits = passes.forward(batch.images, 'batch', poll);
    const cotangent = zeros(logits.dims);
    const before = trainingLoss(loss, probabilities(logits), batch.targets, cotangent);
    this.#gradient.fill(0);
    passes.backward(cotangent, 'batch', poll);
    // From here on nothing stops half-way: an aborted step has changed nothing.
    for (const operation of this.#lowered.operations) {
      if (operation.type !== 'BatchNormalization') continue;
      const [x, , , mean, variance] = operation.inputs.map((v) => passes.value(v));
      updateRunning(x!, mean!, variance!, operation.attributes.momentum);
    }
    for (const parameter of this.#selected) {
      update(optimiser, parameter, this.#stored[parameter.value]!.data, this.#parameterGradients[parameter.value]!.data, this.#slots);
    }
    passes.derive();
    return before;
  }

  /** Copies of parameters and running statistics by name. */
  snapshot(): Map<string, Float64Array> {
    const copies = new Map<string, Float64Array>();
    this.#eachState((name, { data }) => copies.set(name, data.slice()));
    return copies;
  }

  optimiserState(): Map<string, Float64Array> {
    return new Map([...this.#slots].map(([slot, data]) => [slot, data.slice()]));
  }

  restoreOptimiserState(state: ReadonlyMap<string, Floats>): void {
    this.#slots.clear();
    for (const [slot, data] of state) this.#slots.set(slot, Float64Array.from(data));
  }

  /** By value, the parts of an array [P] that belong to the selected parameters. */
  #byParameter(array: Float64Array): readonly (Tensor | undefined)[] {
    const tensors: (Tensor | undefined)[] = [];
    this.#selected.forEach(({ value, dims, size }, i) => {
      const { offset } = this.#layout.parameters[i]!;
      tensors[value] = { dims, data: array.subarray(offset, offset + size) };
    });
    return tensors;
  }

  #passes(batch: number): Passes {
    return new Passes(this.#lowered, this.#plan, this.#stored, this.#parameterGradients, batch);
  }

  #eachState(visit: (name: string, tensor: Tensor) => void): void {
    this.#lowered.values.forEach(({ kind, name }, v) => {
      if (kind === 'parameter' || kind === 'statistic') visit(name, this.#stored[v]!);
    });
  }

  /**
   * One forward a slice, one backward for each of its regions that is there.
   * @param visit gets the region's place in [B, K] and its gradient, overwritten by the next; absent regions are not visited
   */
  #eachRegion(
    batch: RegionBatch,
    slices: number,
    loss: RegionLoss,
    poll: Poll,
    visit: (region: number, gradient: Float64Array) => void,
  ): Norms {
    const { classes } = this.#layout;
    const norms = new Float64Array(slices * classes);
    const losses = new Float64Array(slices * classes);
    for (let n = 0; n < slices; n++) {
      const logits = this.#slice.forward(part(batch.images, n, slices), 'running', poll);
      const given = probabilities(logits);
      const cotangent = zeros(logits.dims);
      const targets = part(batch.targets, n, slices);
      for (let region = n * classes; region < (n + 1) * classes; region++) {
        const mask = part(batch.masks, region, slices * classes);
        if (!mask.includes(1)) continue;
        losses[region] = regionLoss(loss, given, targets, mask, (region % classes) + 1, cotangent);
        this.#gradient.fill(0);
        this.#slice.backward(cotangent, 'running', poll);
        norms[region] = dot(this.#gradient, 0, this.#gradient);
        visit(region, this.#gradient);
      }
    }
    return { norms, losses };
  }
}

/** Part i of `parts` equal ones. */
function part<T extends Float32Array | Uint8Array>(array: T, i: number, parts: number): T {
  const length = array.length / parts;
  return array.subarray(i * length, (i + 1) * length) as T;
}

function dot(rows: Float64Array, start: number, vector: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < vector.length; i++) sum += rows[start + i]! * vector[i]!;
  return sum;
}
