/** FI(n)_{k,i}, how alike the n-th ranked training regions are to their test regions in feature k, and which features that singles out. */
import { byFalling, candidatesOf } from '../influence/candidates';
import { influenceOf, type Normalisation } from '../influence/normalisation';
import type { Study } from '../influence/study';
import { quantile } from '../statistics';
import { generatorAt, shuffledOrder } from '../random';

/**
 * Of the regions of a test slice, where each training region of the same class stands by falling influence: [K, N], from 0; −1 where either
 * is absent or nothing influences the test region.
 * @param influenced of the slice, see `influencedRegions`
 */
export async function ranksOf(study: Study, test: number, influenced: readonly boolean[], normalize: Normalisation): Promise<Int32Array> {
  const [trainings, classes] = [study.trainings.slices.length, study.classes.length];
  const ranks = new Int32Array(classes * trainings).fill(-1);
  const influence = await influenceOf(study, test, normalize);
  for (let k = 0; k < classes; k++) {
    if (!influenced[k]) continue;
    const ranked = byFalling(candidatesOf(study, influence, k, [k], 'slice'));
    for (const [rank, { row }] of ranked.entries()) ranks[k * trainings + row] = rank;
  }
  return ranks;
}

/** The first and the middle third of n ranks, [from, to); undefined where there are too few to tell thirds apart. */
export function thirds(n: number): { readonly first: readonly [number, number]; readonly middle: readonly [number, number] } | undefined {
  if (n < 3) return undefined;
  const [one, two] = [Math.round(n / 3), Math.round((2 * n) / 3)];
  return { first: [0, one], middle: [one, two] };
}

/** The contrast, mean over the first third of n ranks minus mean over the middle third, as a sum over ranks by weights / scale. */
export interface RankWeights {
  /** Whole numbers, so that no rounding sets a feature that is the same everywhere above its own shuffles. */
  readonly weights: Int32Array;
  readonly scale: number;
}

/** Undefined below three ranks. */
export function rankWeights(n: number): RankWeights | undefined {
  const parts = thirds(n);
  if (!parts) return undefined;
  const { first, middle } = parts;
  const [ofFirst, ofMiddle] = [middle[1] - middle[0], first[1] - first[0]];
  const weights = Int32Array.from({ length: n }, (_, rank) => (rank < first[1] ? ofFirst : rank < middle[1] ? -ofMiddle : 0));
  return { weights, scale: ofFirst * ofMiddle };
}

export interface ImportanceShape {
  readonly tests: number;
  readonly trainings: number;
  readonly classes: number;
  /** F */
  readonly features: number;
  /** As of {@link ranksOf}, [M, K, N]. */
  readonly ranks: Int32Array;
  readonly shuffles: number;
  readonly seed: number;
}

/** One feature for one class. */
export interface FeatureScore {
  readonly feature: number;
  /** null where a class has fewer than three training regions. */
  readonly contrast: number | null;
  /** 95th percentile of the contrasts of shuffled ranks. */
  readonly threshold: number | null;
  /** Whether the contrast beats it. */
  readonly selected: boolean;
}

const LEVEL = 0.95;
/** Purpose of the stream of random numbers. */
const SHUFFLE = 71;

/**
 * Sums S over the pairs of regions as they come, in any order.
 * The shuffles give the training regions of a class other places among themselves, the same for every test region: rankings of different
 * test regions resemble one another, so shuffling each on its own would make chance look smaller than it is.
 */
export class ImportanceSums {
  readonly #shape: ImportanceShape;
  /** [K, N, F], by rank. */
  readonly #sums: Float64Array;
  /** Contrasts times scale and regions, as ranked and then shuffled, [K, 1 + shuffles, F]: summed alike, since what is equal must not differ. */
  readonly #contrasts: Float64Array;
  /** Ranked test regions of each class, [K]. */
  readonly #regions: number[];
  /** Training regions of each class, [K]. */
  readonly #candidates: number[];
  readonly #weights: (RankWeights | undefined)[];
  /**
   * [K], of [N, 1 + shuffles]: whose rank a training region takes, its own at first. In the order in which they are looked up, for each of
   * millions of pairs of regions.
   */
  readonly #places: Int32Array[];

  constructor(shape: ImportanceShape) {
    const { tests, trainings, classes, features, ranks, shuffles, seed } = shape;
    this.#shape = shape;
    this.#sums = new Float64Array(classes * trainings * features);
    this.#contrasts = new Float64Array(classes * (1 + shuffles) * features);
    const each = <T>(make: (k: number) => T): T[] => Array.from({ length: classes }, (_, k) => make(k));
    const rowOf = (test: number, k: number): Int32Array =>
      ranks.subarray((test * classes + k) * trainings, (test * classes + k + 1) * trainings);
    const rowsOf = (k: number): Int32Array[] =>
      Array.from({ length: tests }, (_, test) => rowOf(test, k)).filter((row) => row.some((rank) => rank >= 0));
    this.#regions = each((k) => rowsOf(k).length);
    const present = each((k) => Array.from(rowsOf(k)[0] ?? []).flatMap((rank, row) => (rank >= 0 ? [row] : [])));
    this.#candidates = present.map((rows) => rows.length);
    this.#weights = this.#candidates.map(rankWeights);
    this.#places = each((k) => {
      const rows = present[k]!;
      const places = new Int32Array(trainings * (1 + shuffles)).fill(-1);
      for (let i = 0; i <= shuffles; i++) {
        const order = i === 0 ? [...rows.keys()] : shuffledOrder(rows.length, generatorAt(seed, SHUFFLE, k, i - 1));
        rows.forEach((row, n) => (places[row * (1 + shuffles) + i] = rows[order[n]!]!));
      }
      return places;
    });
  }

  /** S [F] of class k of a test and a training slice, both present; nothing where the pair has no rank. */
  add(test: number, k: number, training: number, similarity: Float64Array): void {
    const { trainings, classes, features, ranks, shuffles } = this.#shape;
    const first = (test * classes + k) * trainings;
    const rank = ranks[first + training]!;
    if (rank < 0) return;
    const at = (k * trainings + rank) * features;
    for (let f = 0; f < features; f++) this.#sums[at + f]! += similarity[f]!;
    const weights = this.#weights[k]?.weights;
    if (!weights) return;
    const [contrasts, places] = [this.#contrasts, this.#places[k]!];
    const from = training * (1 + shuffles);
    let to = k * (1 + shuffles) * features;
    for (let i = 0; i <= shuffles; i++, to += features) {
      const weight = weights[ranks[first + places[from + i]!]!]!;
      if (weight === 0) continue;
      for (let f = 0; f < features; f++) contrasts[to + f]! += weight * similarity[f]!;
    }
  }

  /** FI, float32 [K, F, N] by rank; NaN beyond the last rank of a class. */
  importance(): Float32Array<ArrayBuffer> {
    return this.curves(this.#sums);
  }

  /** From sums [K, N, F] over test regions by rank to means, float32 [K, F, N]; NaN beyond the last rank of a class. */
  curves(sums: Float64Array): Float32Array<ArrayBuffer> {
    const { trainings, features } = this.#shape;
    const curves = new Float32Array(sums.length).fill(NaN);
    for (const [k, count] of this.#regions.entries()) {
      for (let rank = 0; rank < this.#candidates[k]!; rank++) {
        for (let f = 0; f < features; f++)
          curves[(k * features + f) * trainings + rank] = sums[(k * trainings + rank) * features + f]! / count;
      }
    }
    return curves;
  }

  /** [K][F] */
  scores(): FeatureScore[][] {
    const { shuffles, features } = this.#shape;
    return this.#regions.map((regions, k) =>
      Array.from({ length: features }, (_, feature): FeatureScore => {
        const scale = this.#weights[k]?.scale ?? NaN;
        const all = Float64Array.from(
          { length: 1 + shuffles },
          (_, i) => this.#contrasts[(k * (1 + shuffles) + i) * features + feature]! / (scale * regions),
        );
        const [contrast = NaN] = all;
        if (!Number.isFinite(contrast)) return { feature, contrast: null, threshold: null, selected: false };
        const threshold = quantile(all.subarray(1), LEVEL);
        return { feature, contrast, threshold, selected: contrast > threshold };
      }),
    );
  }
}
