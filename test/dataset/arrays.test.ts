import { join } from 'node:path';
import { openArrays } from '../../lib/dataset/arrays';
import { writeNpy, type NpyData } from '../../lib/npy';
import { stringContaining, stringMatching, temporaryFolder } from './support';

const dir = temporaryFolder();
let files = 0;
async function put(shape: readonly number[], data: NpyData): Promise<string> {
  const path = join(dir, `array-${files++}.npy`);
  await writeNpy(path, shape, data);
  return path;
}
const images = () =>
  put(
    [3, 2, 4, 5],
    Float32Array.from({ length: 120 }, (_, i) => i / 7),
  );
const labels = (change?: (voxels: Uint8Array) => void) => {
  const voxels = Uint8Array.from({ length: 60 }, (_, i) => i % 3);
  change?.(voxels);
  return put([3, 4, 5], voxels);
};

test('rows are cases, read in the order asked', async () => {
  const source = await openArrays({ images: await images(), labels: await labels() });
  expect(source.slices).toEqual([0, 1, 2].map((row) => ({ case: String(row), patient: String(row), index: 0 })));
  expect([source.size, source.modalities.length, source.labelled]).toEqual([[4, 5], 2, true]);
  const batch = await source.read([2, 0]);
  expect(batch.images[0]).toBe(Math.fround(80 / 7));
  expect(batch.images[40]).toBe(0);
  expect([...batch.labels!.subarray(0, 3)]).toEqual([1, 2, 0]);
  expect(await source.fingerprint()).toBe(await source.fingerprint());
  await source.close();
});

test('classes are numbered up to the largest label unless they are named', async () => {
  const path = await images();
  const numbered = await openArrays({ images: path, labels: await labels() });
  expect(numbered.classes).toEqual(['1', '2']);
  const named = await openArrays({ images: path, labels: await labels(), classes: ['NCR', 'ED', 'ET'] });
  expect(named.classes).toEqual(['NCR', 'ED', 'ET']);
  const bare = await openArrays({ images: path });
  expect([bare.classes, bare.labelled, (await bare.read([1])).labels]).toEqual([[], false, undefined]);
  await Promise.all([numbered, named, bare].map((source) => source.close()));
});

test.each([
  [
    'images that are float64',
    async () => ({ images: await put([1, 1, 2, 2], new Float64Array(4)) }),
    "the train images are float64: save them as float32, array.astype\\('float32'\\)",
  ],
  [
    'labels that are int64',
    async () => ({ images: await images(), labels: await put([3, 4, 5], new BigInt64Array(60)) }),
    'the train labels are int64: save them as uint8',
  ],
  [
    'images without modalities',
    async () => ({ images: await put([3, 4, 5], new Float32Array(60)) }),
    'shape \\(3, 4, 5\\): give \\[N, M, H, W\\]',
  ],
  ['no images', async () => ({ images: await put([0, 2, 4, 5], new Float32Array(0)) }), 'no axis may be empty'],
  [
    'another N',
    async () => ({ images: await images(), labels: await put([2, 4, 5], new Uint8Array(40)) }),
    'does not fit \\(3, 2, 4, 5\\)',
  ],
  ['another W', async () => ({ images: await images(), labels: await put([3, 4, 4], new Uint8Array(48)) }), 'does not fit'],
  [
    'a label above K',
    async () => ({ images: await images(), labels: await labels((voxels) => (voxels[45] = 4)), classes: ['a', 'b', 'c'] }),
    'row 2 has label 4 but there are 3 classes',
  ],
])('%s', async (_, options, message) => {
  await expect(openArrays({ role: 'train', ...(await options()) })).rejects.toMatchObject({
    code: 'ERR_TRACIN_DATA',
    message: stringMatching(new RegExp(`^${dir}/array-\\d+.npy: .*${message}`)),
  });
});

test('a NaN is refused with its place when its row is read', async () => {
  const data = new Float32Array(120);
  data[40 + 20 + 5 + 3] = NaN;
  const source = await openArrays({ images: await put([3, 2, 4, 5], data) });
  await expect(source.read([0, 2])).resolves.toBeDefined();
  await expect(source.read([1])).rejects.toMatchObject({ code: 'ERR_TRACIN_DATA', message: stringContaining('pixel [1, 1, 1, 3] is NaN') });
  await source.close();
});
