/** The grid a synthetic patient is drawn on, its random numbers, and smooth random fields over it. */
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

export interface Grid {
  /** Voxels along x (right to left), y (front to back), z (bottom to top). */
  readonly shape: readonly [number, number, number];
  /** Voxel edges, mm. */
  readonly spacing: readonly [number, number, number];
}

/** 192 × 192 × 144 mm, whatever the number of pixels. */
export function gridOf(size: number): Grid {
  const depth = Math.max(1, Math.round(size / 2));
  return { shape: [size, size, depth], spacing: [192 / size, 192 / size, 144 / depth] };
}

export function voxelCount({ shape }: Grid): number {
  return shape[0] * shape[1] * shape[2];
}

export class Random {
  readonly #generator;

  constructor(seed: number) {
    this.#generator = xoroshiro128plus(seed);
  }

  between(low: number, high: number): number {
    return low + (high - low) * uniformFloat64(this.#generator);
  }

  /** A 32-bit seed for a generator of its own. */
  seed(): number {
    return this.#generator.next();
  }

  /** Two independent standard normal numbers (Box and Muller 1958); 32 random bits each are plenty for noise. */
  normalPair(pair: Float64Array): void {
    const radius = Math.sqrt(-2 * Math.log(((this.#generator.next() >>> 0) + 1) / 2 ** 32));
    const angle = 2 * Math.PI * ((this.#generator.next() >>> 0) / 2 ** 32);
    pair[0] = radius * Math.cos(angle);
    pair[1] = radius * Math.sin(angle);
  }

  shuffle<T>(values: readonly T[]): T[] {
    const shuffled = [...values];
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = Math.floor(this.between(0, i + 1));
      [shuffled[i], shuffled[j]] = [shuffled[j]!, shuffled[i]!];
    }
    return shuffled;
  }
}

export function smoothstep(low: number, high: number, value: number): number {
  const t = Math.min(1, Math.max(0, (value - low) / (high - low)));
  return t * t * (3 - 2 * t);
}

/** Stretches one axis of a field by a cubic B-spline through `cells` intervals: [outer, cells + 3, inner] → [outer, n, inner]. */
function stretch(field: Float32Array, outer: number, cells: number, inner: number, n: number): Float32Array {
  const stretched = new Float32Array(outer * n * inner);
  for (let i = 0; i < n; i++) {
    const place = ((i + 0.5) / n) * cells;
    const cell = Math.min(cells - 1, Math.floor(place));
    const t = place - cell;
    const weights = [(1 - t) ** 3 / 6, (3 * t ** 3 - 6 * t ** 2 + 4) / 6, (-3 * t ** 3 + 3 * t ** 2 + 3 * t + 1) / 6, t ** 3 / 6] as const;
    const [w0, w1, w2, w3] = weights;
    for (let o = 0; o < outer; o++) {
      const from = (o * (cells + 3) + cell) * inner;
      const to = (o * n + i) * inner;
      for (let k = 0; k < inner; k++) {
        stretched[to + k] =
          w0 * field[from + k]! + w1 * field[from + inner + k]! + w2 * field[from + 2 * inner + k]! + w3 * field[from + 3 * inner + k]!;
      }
    }
  }
  return stretched;
}

/** A random field of about unit variance whose features are about `wavelength` mm across. */
export function smoothField({ shape, spacing }: Grid, wavelength: number, random: Random): Float32Array {
  const cells = shape.map((n, axis) => Math.max(1, Math.round((n * spacing[axis]!) / wavelength))) as [number, number, number];
  const [cx, cy, cz] = cells;
  // A cubic B-spline keeps about 0.479 of the variance of white noise along each axis; 3 undoes that for three axes.
  const field = new Float32Array((cx + 3) * (cy + 3) * (cz + 3));
  const pair = new Float64Array(2);
  for (let i = 0; i < field.length; i++) {
    random.normalPair(pair);
    field[i] = 3 * pair[0]!;
  }
  const alongX = stretch(field, (cz + 3) * (cy + 3), cx, 1, shape[0]);
  const alongY = stretch(alongX, cz + 3, cy, shape[0], shape[1]);
  return stretch(alongY, 1, cz, shape[0] * shape[1], shape[2]);
}
