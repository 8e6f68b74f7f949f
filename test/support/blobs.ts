/** Slices in memory: blobs of two classes whose brightness tells them apart, in noise. A small network learns them in seconds. */
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import type { SliceBatch, SliceId, SliceSource } from '../../lib/dataset/slices';

export interface BlobOptions {
  readonly slices: number;
  readonly side?: number;
  readonly seed?: number;
  readonly labelled?: boolean;
  /** Two slices a case. */
  readonly role?: string;
}

/** [2, side, side] and [side, side]: one disc of each class, class 1 bright in the first modality, class 2 in the second. */
function blob(seed: number, side: number): { image: Float32Array; labels: Uint8Array } {
  const random = xoroshiro128plus(seed);
  const image = Float32Array.from({ length: 2 * side * side }, () => 0.3 * (uniformFloat64(random) - 0.5));
  const labels = new Uint8Array(side * side);
  for (const label of [1, 2]) {
    const [cy, cx] = [uniformInt(random, 4, side - 5), uniformInt(random, 4, side - 5)];
    const radius = uniformInt(random, 2, 4);
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) {
        if ((y - cy) ** 2 + (x - cx) ** 2 > radius ** 2) continue;
        labels[y * side + x] = label;
        image[(label - 1) * side * side + y * side + x]! += 1;
      }
    }
  }
  return { image, labels };
}

export function blobs({ slices, side = 24, seed = 1, labelled = true, role = 'case' }: BlobOptions): SliceSource {
  const made = Array.from({ length: slices }, (_, i) => blob(seed * 1000 + i, side));
  const ids: SliceId[] = made.map((_, i) => ({ case: `${role}-${i >> 1}`, patient: `${role}-${i >> 1}`, index: i & 1 }));
  return {
    classes: ['bright', 'dark, but not black'],
    modalities: ['first', 'second'],
    size: [side, side],
    slices: ids,
    labelled,
    async read(positions): Promise<SliceBatch> {
      const images = new Float32Array(positions.length * 2 * side * side);
      const labels = new Uint8Array(positions.length * side * side);
      positions.forEach((position, i) => {
        images.set(made[position]!.image, i * 2 * side * side);
        labels.set(made[position]!.labels, i * side * side);
      });
      return { images, labels: labelled ? labels : undefined };
    },
    fingerprint: async () => `blobs-${slices}-${side}-${seed}`,
    close: async () => undefined,
  };
}
