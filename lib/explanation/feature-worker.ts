/** The thread that compares regions feature by feature: tests × trainings × features comparisons would hold the caller's thread up. */
import type { Floats } from '../engine/engine';
import { influencedRegions } from '../influence/influenced';
import type { Normalisation } from '../influence/normalisation';
import { openStudy, type Study } from '../influence/study';
import { ParquetTable } from '../parquet';
import { serve, type Served, type ServedCall } from '../worker-thread';
import type { Features } from './files';
import { ImportanceSums, ranksOf, type FeatureScore, type ImportanceShape } from './importance';
import { compare, describe, maskOnMaps, regionMaxima, type Description, type Similarity } from './similarity';

export interface OpenArgument extends Omit<ImportanceShape, 'ranks'> {
  readonly dir: string;
  readonly learningRates: readonly number[];
  /** What training regions are ranked by. */
  readonly normalize: Normalisation;
  readonly similarity: Similarity;
  /** Spatial sizes of images and of maps. */
  readonly size: readonly number[];
  readonly mapSize: readonly number[];
}

/** Slices from position `start` on: maps [n, F, …mapSize], masks [n, K, …size]. */
export interface SlicesArgument {
  readonly start: number;
  readonly maps: Floats;
  readonly masks: Uint8Array;
}

/** Head gradients [slices, K, F, numbers of one feature] of both sides at one checkpoint. */
export interface GradientsArgument {
  readonly rate: number;
  readonly tests: Float32Array;
  readonly trainings: Float32Array;
}

export interface FeatureResult {
  /** FI, [K, F, N] by rank. */
  readonly importance: Float32Array<ArrayBuffer>;
  /** Mean of T^(k) over test regions, [K, F, N] by rank. */
  readonly split: Float32Array<ArrayBuffer>;
  /** Mean of S over features, [M, K, N]; NaN for absent regions. */
  readonly similarity: Float32Array<ArrayBuffer>;
  /** Largest of each map inside each region, [slices, K, F]; NaN for absent regions. */
  readonly maxima: Readonly<Record<'test' | 'train', Float32Array<ArrayBuffer>>>;
  /** [K][F] */
  readonly scores: readonly (readonly FeatureScore[])[];
}

export interface TableArgument extends Pick<FeatureResult, 'importance' | 'split'> {
  readonly features: Features;
}

const TYPES = { class: 'STRING', feature: 'INT32', rank: 'INT32', importance: 'FLOAT', split: 'FLOAT', selected: 'BOOLEAN' } as const;

type Shape = OpenArgument & ImportanceShape;

class Comparison {
  readonly #shape: Shape;
  readonly #sums: ImportanceSums;
  /** [M · K]; undefined for absent regions. */
  readonly #tests: (Description | undefined)[] = [];
  readonly #similarity: Float32Array<ArrayBuffer>;
  readonly #maxima: FeatureResult['maxima'];
  /** [K, N, F], by rank. */
  readonly #split: Float64Array;

  constructor(shape: Shape) {
    const { tests, trainings, classes, features } = shape;
    this.#shape = shape;
    this.#sums = new ImportanceSums(shape);
    this.#similarity = new Float32Array(tests * classes * trainings).fill(NaN);
    const maxima = (slices: number): Float32Array<ArrayBuffer> => new Float32Array(slices * classes * features).fill(NaN);
    this.#maxima = { test: maxima(tests), train: maxima(trainings) };
    this.#split = new Float64Array(classes * trainings * features);
  }

  addTests(slices: SlicesArgument): void {
    for (const { row, k, description } of this.#described(slices, 'test')) this.#tests[row * this.#shape.classes + k] = description;
  }

  addTrainings(slices: SlicesArgument, call: ServedCall): void {
    const { similarity, tests, trainings, classes, features } = this.#shape;
    const found = new Float64Array(features);
    for (const { row, k, description } of this.#described(slices, 'train')) {
      call.throwIfAborted();
      for (let test = 0; test < tests; test++) {
        const ours = this.#tests[test * classes + k];
        if (!ours) continue;
        compare(similarity, ours, description, found);
        this.#sums.add(test, k, row, found);
        this.#similarity[(test * classes + k) * trainings + row] = found.reduce((sum, one) => sum + one, 0) / features;
      }
    }
  }

  /** Adds η T^(k) of one checkpoint, the products of the gradients of regions of one class, of one test slice. */
  addSplit({ rate, tests, trainings }: GradientsArgument, test: number): void {
    const { classes, features, ranks, trainings: count } = this.#shape;
    const per = trainings.length / (count * classes * features);
    for (let k = 0; k < classes; k++) {
      for (let row = 0; row < count; row++) {
        const rank = ranks[(test * classes + k) * count + row]!;
        if (rank < 0) continue;
        const [ours, theirs, to] = [test * classes + k, row * classes + k, (k * count + rank) * features];
        for (let f = 0; f < features; f++) {
          let product = 0;
          for (let i = 0; i < per; i++) product += tests[(ours * features + f) * per + i]! * trainings[(theirs * features + f) * per + i]!;
          this.#split[to + f]! += rate * product;
        }
      }
    }
  }

  result(): FeatureResult {
    return {
      importance: this.#sums.importance(),
      split: this.#sums.curves(this.#split),
      similarity: this.#similarity,
      maxima: this.#maxima,
      scores: this.#sums.scores(),
    };
  }

  *#described(
    { start, maps, masks }: SlicesArgument,
    role: 'test' | 'train',
  ): Generator<{ row: number; k: number; description: Description }> {
    const { similarity, classes, features, size, mapSize } = this.#shape;
    const [pixels, mapPixels] = [size, mapSize].map((axes) => axes.reduce((product, n) => product * n, 1)) as [number, number];
    for (let slice = 0; slice * classes * pixels < masks.length; slice++) {
      for (let k = 0; k < classes; k++) {
        const from = (slice * classes + k) * pixels;
        const mask = maskOnMaps(masks.subarray(from, from + pixels), size, mapSize);
        if (!mask.includes(1)) continue;
        const ofSlice = { maps, offset: slice * features * mapPixels, features, size: mapSize };
        const row = start + slice;
        this.#maxima[role].set(regionMaxima(ofSlice, mask), (row * classes + k) * features);
        yield { row, k, description: describe(similarity, ofSlice, mask) };
      }
    }
  }
}

serve(() => {
  let study: Study;
  let influenced: boolean[][];
  let shape: Shape;
  let comparison: Comparison;
  let gradients: GradientsArgument;
  return {
    async open(argument: OpenArgument): Promise<Served> {
      const { dir, learningRates, tests, classes, trainings } = argument;
      study = (await openStudy(dir)).reweighted(learningRates);
      influenced = await influencedRegions(study);
      shape = { ...argument, ranks: new Int32Array(tests * classes * trainings) };
      return { result: undefined };
    },
    /** Of one test slice; all of them before anything is compared. */
    async rank(test: number): Promise<Served> {
      const { ranks, classes, trainings, normalize } = shape;
      ranks.set(await ranksOf(study, test, influenced[test]!, normalize), test * classes * trainings);
      return { result: undefined };
    },
    ranked(): Served {
      comparison = new Comparison(shape);
      return { result: undefined };
    },
    tests(slices: SlicesArgument): Served {
      comparison.addTests(slices);
      return { result: undefined };
    },
    trainings(slices: SlicesArgument, call: ServedCall): Served {
      comparison.addTrainings(slices, call);
      return { result: undefined };
    },
    gradients(argument: GradientsArgument): Served {
      gradients = argument;
      return { result: undefined };
    },
    /** Of one test slice, by the gradients handed over last. */
    split(test: number): Served {
      comparison.addSplit(gradients, test);
      return { result: undefined };
    },
    /** features.parquet: a row for each class, feature and rank. */
    async table({ features, importance, split }: TableArgument): Promise<Served> {
      const table = await ParquetTable.open(features.tool, TYPES);
      for (const [k, { class: name, trainings, features: scores }] of features.classes.entries()) {
        const columns = { class: [] as string[], feature: [] as number[], rank: [] as number[], importance: [] as number[], split: [] as number[], selected: [] as boolean[] }; // prettier-ignore
        for (const { feature, selected } of scores) {
          const from = (k * features.features + feature) * (importance.length / (features.classes.length * features.features));
          for (let rank = 0; rank < trainings && !Number.isNaN(importance[from]); rank++) {
            columns.class.push(name);
            columns.feature.push(feature);
            columns.rank.push(rank + 1);
            columns.importance.push(importance[from + rank]!);
            columns.split.push(split[from + rank]!);
            columns.selected.push(selected);
          }
        }
        await table.add(columns);
      }
      await table.finish();
      return table.taken();
    },
    result(): Served {
      const result = comparison.result();
      const arrays = [result.importance, result.split, result.similarity, result.maxima.test, result.maxima.train];
      return { result, transfer: arrays.map(({ buffer }) => buffer) };
    },
  };
});
