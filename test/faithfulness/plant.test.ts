import { corrupt } from '../../lib/dataset/phantom/faults';
import type { SliceSource } from '../../lib/dataset/slices';
import { drawFaults, withFaults } from '../../lib/faithfulness/plant';

const [HEIGHT, WIDTH] = [4, 6];
const labels = Uint8Array.from({ length: 2 * HEIGHT * WIDTH }, (_, i) => [0, 2, 1, 3, 2, 0][i % WIDTH]!);
const source = (classes: readonly string[]): SliceSource => ({
  classes,
  modalities: ['T1'],
  size: [HEIGHT, WIDTH],
  labelled: true,
  slices: ['A', 'B'].map((patient) => ({ case: patient, patient, index: 0 })),
  read: async (positions) => ({
    images: new Float32Array(positions.length * HEIGHT * WIDTH),
    labels: Uint8Array.from(positions.flatMap((p) => [...labels.subarray(p * HEIGHT * WIDTH, (p + 1) * HEIGHT * WIDTH)])),
  }),
  fingerprint: async () => 'own',
  close: async () => undefined,
});
const BRATS = ['NCR/NET', 'ED', 'ET'];

test('the labels of faulty patients are corrupted row by row, the others stay', async () => {
  const shifted = withFaults(source(BRATS), new Map([['B', { fault: 'shift', amount: 1 }]]));
  const { labels: found } = await shifted.read([1, 0]);
  const one = [0, 0, 2, 1, 3, 2];
  expect([...found!.subarray(0, HEIGHT * WIDTH)]).toEqual([...one, ...one, ...one, ...one]);
  expect(found!.subarray(HEIGHT * WIDTH)).toEqual(labels.subarray(0, HEIGHT * WIDTH));
  const eroded = withFaults(source(BRATS), new Map([['A', { fault: 'erode', amount: 1 }]]));
  const slice = labels.subarray(0, HEIGHT * WIDTH);
  expect((await eroded.read([0])).labels).toEqual(corrupt(slice, [WIDTH, HEIGHT, 1], 'erode', 1));
  expect(await eroded.fingerprint()).not.toBe(await shifted.fingerprint());
});

test('classes of another kind are refused', () => {
  expect(() => withFaults(source(['lesion']), new Map())).toThrow(/not lesion/);
});

test('drawn faults: a share of the patients, every kind, the same for a seed', () => {
  const names = Array.from({ length: 40 }, (_, i) => `P${i}`);
  const faults = drawFaults(names, 0.25, 4);
  expect(faults.size).toBe(10);
  expect(new Set([...faults.values()].map(({ fault }) => fault)).size).toBe(4);
  expect([...drawFaults(names, 0.25, 4)]).toEqual([...faults]);
  expect([...drawFaults(names, 0.25, 5).keys()]).not.toEqual([...faults.keys()]);
  expect(drawFaults(['A', 'B'], 0.01, 1).size).toBe(1);
});
