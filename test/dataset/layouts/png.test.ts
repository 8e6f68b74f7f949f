/** Folders of PNG images. */
import { join } from 'node:path';
import { describeLayout } from '../../../lib/dataset/dataset';
import { readPng } from '../../../lib/dataset/png';
import { readNpy } from '../../../lib/npy';
import { png, stringMatching } from '../support';
import { folder, grey, openAt, type Content } from './support';

const photographs = (files: Record<string, Content> = {}) =>
  folder({
    'classes.json': { background: 0, lesion: 255, vessel: 10 },
    'images/A.png': png({ height: 2, width: 3, type: 2, samples: Array.from({ length: 18 }, (_, i) => i + 1) }),
    'images/B.png': png({ height: 4, width: 2, type: 6, samples: Array.from({ length: 32 }, (_, i) => 3 * i + 1) }),
    'labels/A.png': grey([0, 10, 255, 255, 0, 10]),
    ...files,
  });

describe('PNG folders', () => {
  test('colours are modalities, rows H, label numbers classes; PNG goes out', async () => {
    const dir = photographs();
    const dataset = await openAt(dir);
    expect(describeLayout(dataset.layout)).toBe('layout png: modalities red, green, blue; labels 0 background, 10 vessel, 255 lesion');
    expect([dataset.size, dataset.cases.map((one) => one.labelled)]).toEqual([
      [4, 3],
      [true, false],
    ]);
    const { images, labels: read } = await dataset.read([0]);
    // Two rows in a window of four: one row of padding above and below.
    expect([...read!]).toEqual([0, 0, 0, 0, 1, 2, 2, 0, 1, 0, 0, 0]);
    const std = Math.sqrt(26.25);
    expect(images[3]).toBeCloseTo((1 - 8.5) / std, 5);
    expect(images[4]).toBeCloseTo((4 - 8.5) / std, 5);
    expect(images[12 + 8]).toBeCloseTo((17 - 9.5) / std, 5);
    expect(dataset.geometry('A')).toMatchObject({ shape: [2, 3, 1], affine: undefined });
    expect(dataset.endings('A')).toEqual({ labels: '.png', map: '.npy' });
    await dataset.writeLabels('A', join(dir, 'A.png'), new Map([[0, read!]]));
    expect((await readPng(join(dir, 'A.png'))).pixels).toEqual((await readPng(join(dir, 'labels', 'A.png'))).pixels);
    await dataset.writeMap('A', join(dir, 'A.npy'), new Map([[0, Float32Array.from({ length: 12 }, (_, i) => i)]]));
    const map = await readNpy(join(dir, 'A.npy'));
    expect([map.shape, [...map.data]]).toEqual([
      [2, 3],
      [3, 4, 5, 6, 7, 8],
    ]);
  });

  test('grey of 16 bits, indexed labels', async () => {
    const samples = [1, 500, 65_535, 40_000];
    const indexed = png({ height: 2, width: 2, type: 3, bits: 1, samples: [0, 1, 1, 0] });
    const dir = folder({ 'images/A.png': grey(samples, 2, 16), 'labels/A.png': indexed, 'classes.json': { nucleus: 1 } });
    const dataset = await openAt(dir, { normalisation: 'paper' });
    const { images, labels: read } = await dataset.read([0]);
    expect([...read!]).toEqual([0, 1, 1, 0]);
    samples.forEach((value, i) => expect(images[i]).toBeCloseTo((2 * value) / 65_535 - 1, 5));
    expect(dataset.modalities).toEqual(['grey']);
  });

  test.each([
    [
      'a label of another size',
      { 'labels/A.png': grey([0, 0, 0]) },
      /A: labels\/A\.png has shape 1 × 3 × 1 against 2 × 3 × 1 of images\/A\.png/,
    ],
    ['grey among colours', { 'images/B.png': grey([1, 2, 3]) }, /images\/B\.png: has 1 channel where 3 are expected/],
    [
      'colours as labels',
      { 'labels/A.png': png({ height: 2, width: 3, type: 2, samples: new Array<number>(18).fill(0) }) },
      /labels\/A\.png: has 3 channels where 1 is expected/,
    ],
    [
      'an indexed image',
      { 'images/A.png': png({ height: 2, width: 3, type: 3, samples: [1, 2, 3, 4, 5, 6] }), 'images/B.png': null },
      /images\/A\.png: the image has indexed colours/,
    ],
    [
      'a number of no class',
      { 'labels/A.png': grey([0, 9, 0, 0, 0, 0]) },
      /labels\/A\.png: label 9 at voxel \(0, 1, 0\) is not one of 0 background, 10 vessel, 255 lesion/,
    ],
    ['no classes', { 'classes.json': null }, /classes\.json is missing/],
    ['classes that are a list', { 'classes.json': ['a'] }, /classes\.json: is not an object/],
    ['no class', { 'classes.json': { background: 0 } }, /classes\.json: names no class/],
    [
      'a truncated image',
      { 'images/A.png': grey([1, 2, 3, 4, 5, 6], 3).subarray(0, 50), 'images/B.png': null, 'labels/A.png': grey([0, 0, 10, 0, 0, 0]) },
      /images\/A\.png: ends before the image does/,
    ],
  ])('%s', async (_, files, message) => {
    const readAll = async (): Promise<unknown> => (await openAt(photographs(files))).read([0]);
    const error = (await readAll().catch((cause: unknown) => cause)) as Error;
    expect(error).toMatchObject({ code: 'ERR_TRACIN_DATA', message: stringMatching(message) });
    expect(error.message).not.toMatch(/\n/);
  });
});
