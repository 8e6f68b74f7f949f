import { BoundedCache } from '../../lib/dataset/bounded-cache';
import type { SliceSource } from '../../lib/dataset/slices';
import { epochBatches } from '../../lib/training/batches';
import { keepSlices } from '../../lib/training/kept-slices';

const [CASES, SLICES, SIDE] = [10, 6, 4];
const CASE_BYTES = SLICES * SIDE * SIDE * 5;

/** Of one modality, of which a cache keeps two cases; counts the cases that are decoded. */
function volumes() {
  const counts = { decoded: 0 };
  const load = (): Promise<number> => Promise.resolve(++counts.decoded);
  const cache = new BoundedCache<string, number>(2 * CASE_BYTES, load, () => CASE_BYTES);
  const slices = Array.from({ length: CASES * SLICES }, (_, i) => {
    const name = String(Math.floor(i / SLICES));
    return { case: name, patient: name, index: i % SLICES };
  });
  const source: SliceSource = {
    classes: ['ED'],
    modalities: ['t1'],
    size: [SIDE, SIDE],
    slices,
    labelled: true,
    cache,
    async read(positions) {
      for (const position of positions) await cache.get(slices[position]!.case);
      return { images: new Float32Array(positions.length * SIDE * SIDE), labels: new Uint8Array(positions.length * SIDE * SIDE) };
    },
    fingerprint: () => Promise.resolve(''),
    close: () => Promise.resolve(),
  };
  const epoch = async (): Promise<number> => {
    const before = counts.decoded;
    const options = { batch: 4, augmentation: { flips: false, shift: 0 }, seed: 1, epoch: 1 };
    for await (const _ of epochBatches(source, options));
    return counts.decoded - before;
  };
  return { source, cache, epoch };
}

test('where memory has room, no case is decoded more than once in all epochs', async () => {
  const { source, epoch } = volumes();
  expect(keepSlices({ train: source }, 100 * CASES * CASE_BYTES)).toBeUndefined();
  expect(await epoch()).toBe(CASES);
  expect(await epoch()).toBe(0);
});

test('where it has not, that is told, and what fits is kept; what a cache keeps already is not taken from it', async () => {
  const { source, cache, epoch } = volumes();
  const told = keepSlices({ train: source }, 5 * CASE_BYTES);
  expect(told).toMatch(/^decoded slices take 4\.7 KiB, of which 1\.5 KiB fit the memory: /);
  await epoch();
  expect(await epoch()).toBeGreaterThan(CASES);
  expect(cache.raise(0)).toBe(3 * CASE_BYTES);
  expect(keepSlices({ train: source }, 0)).toMatch(/of which 1\.5 KiB/);
});

test('training and validation slices of one folder share a cache', () => {
  const { source, cache } = volumes();
  expect(keepSlices({ train: source, validation: source }, 100 * CASES * CASE_BYTES)).toBeUndefined();
  expect(cache.raise(0)).toBe(2 * CASES * CASE_BYTES);
});
