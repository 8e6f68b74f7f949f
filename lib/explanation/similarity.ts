/** S(z_j, z'_i)_k: how alike two regions are in feature k, by what the last hidden layer shows inside them. */
import type { Floats } from '../engine/engine';

/**
 * max-ratio: min(f, f') / max(f, f') of the maps' maxima over the regions (0 where they differ in sign).
 * cosine: of the two masked maps, place by place. cosine-centred: of the two regions, each cropped to its box and resampled to 32 × 32.
 * A feature that shows nothing in either region is alike (1), in one of them unlike (0).
 */
export const SIMILARITIES = ['max-ratio', 'cosine', 'cosine-centred'] as const;
/** How alike the feature maps of two regions are, by which formula. */
export type Similarity = (typeof SIMILARITIES)[number];

/** Maps of one slice, [F, …size] lying in `maps` from `offset`. */
export interface FeatureMaps {
  readonly maps: Floats;
  readonly offset: number;
  readonly features: number;
  /** [H, W]; any number of axes. */
  readonly size: readonly number[];
}

/** A region as one kind of similarity sees it. */
export interface Description {
  /** [F]; of maxima, or of the lengths of the vectors compared. */
  readonly strengths: Float64Array;
  /** What is multiplied, feature by feature: [places, F], or nothing for max-ratio. */
  readonly values: Float32Array;
  /** Where the values lie, rising; the same places for every region of cosine-centred. */
  readonly places: Int32Array;
}

/** Samples along each axis of a centred region. */
const RESAMPLED = 32;

const NOWHERE = new Int32Array(0);

/** Describes a region that is not empty. `mask` [H, W], on the grid of the maps. */
export function describe(kind: Similarity, maps: FeatureMaps, mask: Uint8Array): Description {
  if (kind === 'max-ratio') return { strengths: regionMaxima(maps, mask), values: new Float32Array(0), places: NOWHERE };
  const { values, places } = kind === 'cosine' ? masked(maps, mask) : centred(maps, mask);
  return { strengths: lengths(values, maps.features), values, places };
}

/** S of two regions for every feature, [F], into `out`. */
export function compare(kind: Similarity, a: Description, b: Description, out: Float64Array): Float64Array {
  if (kind === 'max-ratio') return ratios(a.strengths, b.strengths, out);
  const features = out.length;
  out.fill(0);
  for (let i = 0, j = 0; i < a.places.length && j < b.places.length;) {
    const [at, other] = [a.places[i]!, b.places[j]!];
    if (at === other) {
      for (let k = 0; k < features; k++) out[k]! += a.values[i * features + k]! * b.values[j * features + k]!;
    }
    if (at <= other) i++;
    if (other <= at) j++;
  }
  for (let k = 0; k < features; k++) {
    const [ours, theirs] = [a.strengths[k]!, b.strengths[k]!];
    out[k] = ours === 0 || theirs === 0 ? Number(ours === theirs) : out[k]! / (ours * theirs);
  }
  return out;
}

function ratios(a: Float64Array, b: Float64Array, out: Float64Array): Float64Array {
  for (let k = 0; k < out.length; k++) {
    const [x, y] = [a[k]!, b[k]!];
    if (x === y) out[k] = 1;
    else if (x * y <= 0) out[k] = 0;
    else out[k] = Math.min(Math.abs(x), Math.abs(y)) / Math.max(Math.abs(x), Math.abs(y));
  }
  return out;
}

/** f(r)_k = max over the region of map k, [F]. */
export function regionMaxima({ maps, offset, features, size }: FeatureMaps, mask: Uint8Array): Float64Array {
  const pixels = size.reduce((product, n) => product * n, 1);
  const maxima = new Float64Array(features).fill(-Infinity);
  for (let k = 0; k < features; k++) {
    const first = offset + k * pixels;
    let most = -Infinity;
    for (let i = 0; i < pixels; i++) if (mask[i] === 1 && maps[first + i]! > most) most = maps[first + i]!;
    maxima[k] = most;
  }
  return maxima;
}

/** Values [places, F] of the region's own pixels. */
function masked({ maps, offset, features, size }: FeatureMaps, mask: Uint8Array): Pick<Description, 'values' | 'places'> {
  const pixels = size.reduce((product, n) => product * n, 1);
  const places = Int32Array.from(mask.keys()).filter((i) => mask[i] === 1);
  const values = new Float32Array(places.length * features);
  for (const [n, i] of places.entries()) {
    for (let k = 0; k < features; k++) values[n * features + k] = maps[offset + k * pixels + i]!;
  }
  return { values, places };
}

/** Values [32 · 32, F]: the masked maps inside the region's box, sampled linearly at the middles of 32 equal parts of each side. */
function centred({ maps, offset, features, size }: FeatureMaps, mask: Uint8Array): Pick<Description, 'values' | 'places'> {
  const pixels = size.reduce((product, n) => product * n, 1);
  const corners = samples(size, mask);
  const count = corners.length;
  const values = new Float32Array(count * features);
  for (const [n, terms] of corners.entries()) {
    for (const [i, weight] of terms) {
      if (mask[i] !== 1) continue;
      for (let k = 0; k < features; k++) values[n * features + k]! += weight * maps[offset + k * pixels + i]!;
    }
  }
  return { values, places: Int32Array.from({ length: count }, (_, n) => n) };
}

/** For each sample the pixels it lies between and their weights. */
function samples(size: readonly number[], mask: Uint8Array): [pixel: number, weight: number][][] {
  let found: [pixel: number, weight: number][][] = [[[0, 1]]];
  for (const [axis, taps] of boxOf(size, mask)
    .map(([from, to]) => axisTaps(from, to))
    .entries()) {
    const stride = size.slice(axis + 1).reduce((product, n) => product * n, 1);
    found = found.flatMap((terms) =>
      taps.map((two) =>
        terms.flatMap(([pixel, weight]) => two.map(([at, share]): [number, number] => [pixel + at * stride, weight * share])),
      ),
    );
  }
  return found;
}

/** Linear interpolation at the middles of 32 equal parts of the pixels [from, to). */
function axisTaps(from: number, to: number): [at: number, share: number][][] {
  return Array.from({ length: RESAMPLED }, (_, n) => {
    const at = Math.min(to - 1, Math.max(from, from + ((n + 0.5) * (to - from)) / RESAMPLED - 0.5));
    const low = Math.floor(at);
    const share = at - low;
    return share === 0 ? [[low, 1]] : [[low, 1 - share], [low + 1, share]]; // prettier-ignore
  });
}

/** The smallest box [from, to) around a region, axis by axis. */
function boxOf(size: readonly number[], mask: Uint8Array): [from: number, to: number][] {
  const box = size.map((n): [number, number] => [n, 0]);
  for (let i = mask.indexOf(1); i >= 0; i = mask.indexOf(1, i + 1)) {
    for (let axis = size.length - 1, rest = i; axis >= 0; axis--) {
      const at = rest % size[axis]!;
      rest = (rest - at) / size[axis]!;
      box[axis] = [Math.min(box[axis]![0], at), Math.max(box[axis]![1], at + 1)];
    }
  }
  return box;
}

/** Euclidean lengths [F] of the columns of values [places, F]. */
function lengths(values: Float32Array, features: number): Float64Array {
  const squares = new Float64Array(features);
  for (let i = 0; i < values.length; i++) squares[i % features]! += values[i]! ** 2;
  return squares.map(Math.sqrt);
}

/**
 * A mask on the grid of the maps, where that is another than the images': inside is where any of its pixels is.
 * @param mask [H, W] of the images
 */
export function maskOnMaps(mask: Uint8Array, size: readonly number[], mapSize: readonly number[]): Uint8Array {
  if (size.join() === mapSize.join()) return mask;
  const onMaps = new Uint8Array(mapSize.reduce((product, n) => product * n, 1));
  for (let i = mask.indexOf(1); i >= 0; i = mask.indexOf(1, i + 1)) {
    let place = 0;
    for (let axis = size.length - 1, rest = i, stride = 1; axis >= 0; axis--) {
      const at = rest % size[axis]!;
      rest = (rest - at) / size[axis]!;
      place += stride * Math.floor((at * mapSize[axis]!) / size[axis]!);
      stride *= mapSize[axis]!;
    }
    onMaps[place] = 1;
  }
  return onMaps;
}
