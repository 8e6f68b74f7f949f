import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openArrays } from '../../lib/dataset/arrays';
import { openDataset, type Dataset } from '../../lib/dataset/dataset';
import { readRegionMask } from '../../lib/dataset/region-mask';
import { writeNpy, type NpyData } from '../../lib/npy';
import { png, rawNifti, stringMatching, temporaryFolder, writeCase } from './support';

const dir = temporaryFolder();
const SHAPE = [6, 5, 4];
let dataset: Dataset;
beforeAll(async () => {
  mkdirSync(join(dir, 'data'));
  writeCase(join(dir, 'data'), 'P', { shape: SHAPE });
  // Row h is x = h + 1; column 0 is padding, column w is y = w − 1.
  dataset = await openDataset({ dir: join(dir, 'data'), size: [4, 7], offset: [1, -1], slices: 'all' });
});
afterAll(() => dataset.close());

let files = 0;
function painted(voxels: readonly (readonly [number, number, number])[], change: Parameters<typeof rawNifti>[0] = {}): string {
  const values = new Array<number>(120).fill(0);
  for (const [x, y, z] of voxels) values[x + 6 * (y + 5 * z)] = 3;
  const path = join(dir, `mask-${files++}.nii`);
  writeFileSync(path, rawNifti({ shape: SHAPE, datatype: 2, voxels: values, ...change }));
  return path;
}
async function put(shape: readonly number[], data: NpyData): Promise<string> {
  const path = join(dir, `mask-${files++}.npy`);
  await writeNpy(path, shape, data);
  return path;
}
const ones = (mask: Uint8Array) => [...mask.entries()].filter(([, value]) => value === 1).map(([at]) => [Math.floor(at / 7), at % 7]);

test('a painted volume gives each slice in the window', async () => {
  const mask = await readRegionMask(painted([[1, 0, 1], [3, 2, 1], [4, 4, 3], [0, 0, 2]]), dataset, 'P'); // prettier-ignore
  expect(mask.slices).toEqual([1, 3]);
  expect(ones(mask.at(1))).toEqual([[0, 1], [2, 3]]); // prettier-ignore
  expect(ones(mask.at(3))).toEqual([[3, 5]]);
  expect(mask.at(1)).toHaveLength(28);
  expect(() => mask.at(2)).toThrow(/mask-\d+\.nii: nothing is painted on slice 2 of P: ask for slices 1 to 3, or paint there$/);
});

test('an array is the slice as the network sees it, or the whole slice', async () => {
  const window = new Uint8Array(28);
  window[2 * 7 + 3] = 1;
  const seen = await readRegionMask(await put([4, 7], window), dataset, 'P');
  expect([seen.slices, ones(seen.at(0))]).toEqual([undefined, [[2, 3]]]);
  const whole = new Float32Array(30);
  whole[3 * 5 + 2] = 0.5;
  expect(ones((await readRegionMask(await put([6, 5], whole), dataset, 'P')).at(1))).toEqual([[2, 3]]);
});

test('arrays take an array', async () => {
  const images = await put([1, 1, 2, 3], Float32Array.of(1, 2, 3, 4, 5, 6));
  const source = await openArrays({ images });
  const mask = await readRegionMask(await put([2, 3], Uint8Array.of(0, 0, 1, 0, 9, 0)), source, '0');
  expect([...mask.at(0)]).toEqual([0, 0, 1, 0, 1, 0]);
  await expect(readRegionMask(painted([[1, 1, 1]]), source, '0')).rejects.toThrow('is a row of arrays and has no grid');
  await source.close();
});

test('a painted PNG fits a PNG', async () => {
  const photos = join(dir, 'photos');
  mkdirSync(join(photos, 'images'), { recursive: true });
  writeFileSync(join(photos, 'images', 'A.png'), png({ height: 2, width: 3, samples: [1, 2, 3, 4, 5, 6] }));
  writeFileSync(join(photos, 'mask.png'), png({ height: 2, width: 3, samples: [0, 0, 255, 0, 0, 0] }));
  const source = await openDataset({ dir: photos, classes: { lesion: 1 } });
  const mask = await readRegionMask(join(photos, 'mask.png'), source, 'A');
  expect([mask.slices, [...mask.at(0)]]).toEqual([[0], [0, 0, 1, 0, 0, 0]]);
  await source.close();
});

test.each([
  ['another shape', () => painted([], { shape: [6, 5, 3], voxels: [] }), 'has shape 6 × 5 × 3 against 6 × 5 × 4 of the case'],
  [
    'another affine',
    () => painted([[1, 1, 1]], { sform: [-1, 0, 0, 9, 0, -1, 0, 4, 0, 0, 1, 0] }),
    'has an affine that is 6.00 mm off of the case',
  ],
  ['nothing painted', () => painted([]), 'nothing is painted on P inside the window of 4 × 7 pixels at 1, -1'],
  ['painted outside of the window only', () => painted([[0, 0, 1], [5, 4, 2]]), 'nothing is painted on P inside the window'], // prettier-ignore
  ['an array of another shape', () => put([5, 6], new Uint8Array(30)), 'shape \\[5, 6\\] is not \\[4, 7\\] nor \\[6, 5\\]'],
  ['an array of nothing', () => put([6, 5], new Uint8Array(30)), 'nothing is painted on the image inside the window'],
  [
    'an array painted outside of the window only',
    () => put([6, 5], new Uint8Array(30).fill(1, 0, 5)),
    'nothing is painted on the image inside',
  ],
])('%s', async (_, make, message) => {
  const error = (await readRegionMask(await make(), dataset, 'P').catch((cause: unknown) => cause)) as Error;
  expect(error).toMatchObject({ code: 'ERR_TRACIN_DATA', message: stringMatching(new RegExp(`mask-\\d+\\.n.*: ${message}`)) });
  expect(error.message).not.toMatch(/\n/);
});

test('a mask or a case that is not there', async () => {
  await expect(readRegionMask(join(dir, 'nothing.nii.gz'), dataset, 'P')).rejects.toMatchObject({ code: 'ERR_TRACIN_IO' });
  await expect(readRegionMask(painted([[1, 1, 1]]), dataset, 'Q')).rejects.toThrow('has no case Q');
});
