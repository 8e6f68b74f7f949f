/** Slices in memory as a source, each a case of its own. */
import type { SliceSource } from '../../lib/dataset/slices';
import type { Slices } from './tracin';

export function memorySource({ images, targets, count, size }: Slices, classes: number): SliceSource {
  const block = images.length / count;
  const pixels = size.reduce((product, n) => product * n, 1);
  const rows = <A extends Float32Array | Uint8Array>(array: A, length: number, positions: readonly number[]): A => {
    const out = array.slice(0, positions.length * length) as A;
    positions.forEach((p, i) => out.set(array.subarray(p * length, (p + 1) * length), i * length));
    return out;
  };
  return {
    classes: Array.from({ length: classes }, (_, k) => `class ${k + 1}`),
    modalities: Array.from({ length: block / pixels }, (_, m) => `m${m}`),
    size,
    slices: Array.from({ length: count }, (_, row) => ({ case: `case ${row}`, patient: `case ${row}`, index: 0 })),
    labelled: true,
    read: async (positions) => ({ images: rows(images, block, positions), labels: rows(targets, pixels, positions) }),
    fingerprint: async () => 'memory',
    close: async () => undefined,
  };
}
