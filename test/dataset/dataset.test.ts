import { mkdirSync, readFileSync, renameSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { BRATS_LABELS } from '../../lib/dataset/brats';
import { openDataset, type Dataset, type DatasetOptions } from '../../lib/dataset/dataset';
import { writeLabelDescription } from '../../lib/dataset/label-description';
import { findCases } from '../../lib/dataset/layouts';
import { readVolume } from '../../lib/dataset/nifti';
import { rawNifti, stringContaining, stringMatching, temporaryFolder, writeCase } from './support';

const root = temporaryFolder();
let folders = 0;
function folder(): string {
  const dir = join(root, `data-${folders++}`);
  mkdirSync(dir);
  return dir;
}
const opened: Dataset[] = [];
async function openAt(dir: string, options: Partial<DatasetOptions> = {}): Promise<Dataset> {
  const dataset = await openDataset({ dir, size: 4, slices: 'all', ...options });
  opened.push(dataset);
  return dataset;
}
afterAll(() => Promise.all(opened.map((dataset) => dataset.close())));
const SHAPE = [4, 5, 3];
const labelsOf = (change: (voxels: number[]) => void) => {
  const voxels = Array.from({ length: 60 }, () => 0);
  change(voxels);
  return rawNifti({ shape: SHAPE, datatype: 16, voxels });
};

describe('the folder', () => {
  test('cases lie in it or in HGG and LGG, .nii or .nii.gz, links and stray entries included', async () => {
    const dir = folder();
    writeCase(dir, 'C');
    writeCase(join(dir, 'HGG'), 'A', { plain: true });
    writeCase(join(dir, 'LGG'), 'B', { change: { seg: null } });
    writeCase(root, 'Elsewhere');
    symlinkSync(join(root, 'Elsewhere'), join(dir, 'Elsewhere'));
    mkdirSync(join(dir, 'notes'));
    writeFileSync(join(dir, 'readme.txt'), '');
    const { cases } = await findCases(dir, {});
    expect(cases.map((one) => one.case)).toEqual(['A', 'B', 'C', 'Elsewhere']);
    expect(cases[0]!.images.map(({ path }) => path.slice(dir.length))).toEqual(
      ['t1', 't1ce', 't2', 'flair'].map((m) => `/HGG/A/A_${m}.nii`),
    );
    expect(cases.map((one) => one.segmentation !== undefined)).toEqual([true, false, true, true]);
  });

  test('numbered scans of BraTS 2017 and 2018 are of one patient', async () => {
    const dir = folder();
    writeCase(dir, 'Brats18_CBICA_AAB_1');
    writeCase(dir, 'Brats18_CBICA_AAB_2');
    writeCase(dir, 'BraTS2021_00006');
    expect((await findCases(dir, {})).cases.map((one) => one.patient)).toEqual([
      'BraTS2021_00006',
      'Brats18_CBICA_AAB',
      'Brats18_CBICA_AAB',
    ]);
  });

  test('a missing modality, a case twice, both .nii and .nii.gz, no case, no folder', async () => {
    const missing = folder();
    writeCase(missing, 'P', { change: { t2: null } });
    await expect(openAt(missing)).rejects.toMatchObject({
      code: 'ERR_TRACIN_DATA',
      message: stringMatching(/^P: modality T2 is missing: add .*P_t2.nii.gz$/),
    });
    const twice = folder();
    writeCase(join(twice, 'HGG'), 'P');
    writeCase(join(twice, 'LGG'), 'P');
    await expect(openAt(twice)).rejects.toThrow('case P stands there twice');
    const both = folder();
    writeCase(both, 'P');
    writeCase(both, 'P', { plain: true });
    await expect(openAt(both)).rejects.toThrow('holds both P_t1.nii.gz and P_t1.nii: keep one');
    await expect(openAt(folder())).rejects.toMatchObject({
      code: 'ERR_TRACIN_DATA',
      message: stringContaining('looked for brats: case folders CASE with CASE_t1.nii.gz'),
    });
    await expect(openAt(join(root, 'nowhere'))).rejects.toMatchObject({ code: 'ERR_TRACIN_IO' });
  });
});

describe('bad files are one line that names case and file', () => {
  const whole = gzipSync(rawNifti({ shape: SHAPE, voxels: Array.from({ length: 60 }, (_, i) => (i * 7919) % 997) }));
  const readAll = async (change: Parameters<typeof writeCase>[2]): Promise<unknown> => {
    const dir = folder();
    writeCase(dir, 'Good');
    writeCase(dir, 'P', change);
    const dataset = await openAt(dir);
    return dataset.read(dataset.slices.map((_, i) => i));
  };
  const nan = rawNifti({ shape: SHAPE, datatype: 16, voxels: [1, 2, NaN] });
  const shifted = rawNifti({ shape: SHAPE, voxels: [1, 2], sform: [-1, 0, 0, 3, 0, -1, 0, 4, 0, 0, 1, 0.5] });
  test.each([
    ['truncated gzip', { t1ce: whole.subarray(0, whole.length - 12) }, 'P_t1ce.nii.gz: gzip stream ends too early'],
    [
      'lying header',
      { t2: rawNifti({ patch: (header) => header.setInt16(42, 5000, true) }) },
      'P_t2.nii.gz: dim 5000 × 5 × 3 of 16 bits needs more than the file holds',
    ],
    ['NaN voxel', { flair: nan }, 'P_flair.nii.gz: voxel \\(2, 0, 0\\) is NaN'],
    [
      'other shape',
      { flair: rawNifti({ shape: [4, 5, 2], voxels: [1, 2] }) },
      'P: P/P_flair.nii.gz has shape 4 × 5 × 2 against 4 × 5 × 3 of P/P_t1.nii.gz',
    ],
    ['other affine', { t2: shifted }, 'P: P/P_t2.nii.gz has an affine that is 0.500 mm off of P/P_t1.nii.gz'],
    ['other affine of the first', { t1: shifted }, 'P: P/P_t1.nii.gz has an affine that is 0.500 mm off of P/P_t1ce.nii.gz'],
    [
      'unknown label',
      { seg: labelsOf((voxels) => (voxels[21] = 3)) },
      'P_seg.nii.gz: label 3 at voxel \\(1, 0, 1\\) is not one of 0 background, 1 NCR/NET, 2 ED, 4 ET',
    ],
    ['label between two', { seg: labelsOf((voxels) => (voxels[0] = 1.5)) }, 'P_seg.nii.gz: label 1.5 at voxel'],
    ['negative label', { seg: labelsOf((voxels) => (voxels[0] = -1)) }, 'P_seg.nii.gz: label -1 at voxel'],
    ['nothing but zeros', { t1: rawNifti({ shape: SHAPE }) }, 'P_t1.nii.gz: the image holds only zeros'],
  ])('%s', async (_, change, message) => {
    const error = (await readAll({ change }).catch((cause: unknown) => cause)) as Error;
    expect(error).toMatchObject({ code: 'ERR_TRACIN_DATA', message: stringMatching(new RegExp(message)) });
    expect(error.message).not.toMatch(/\n/);
  });

  test('an affine that differs by rounding is the same', async () => {
    const rounded = rawNifti({ shape: SHAPE, voxels: [1, 2], sform: [-1, 0, 0, 3, 0, -1, 0, 4, 0, 1e-5, 1, 0.0001] });
    await expect(readAll({ change: { t2: rounded } })).resolves.toBeDefined();
  });
});

describe('slices', () => {
  const dir = folder();
  writeCase(dir, 'A', { shape: [6, 8, 5] });
  writeCase(dir, 'B', { shape: [6, 8, 5] });
  writeCase(dir, 'U', { shape: [6, 8, 5], change: { seg: null } });

  test('are the files cut, zscored over non-zero voxels, labels 0..3', async () => {
    const dataset = await openAt(dir, { size: [4, 10], offset: [1, -1] });
    const position = dataset.slices.findIndex((slice) => slice.case === 'B' && slice.index === 3);
    const { images, labels } = await dataset.read([position]);
    for (const [m, suffix] of ['t1', 't1ce', 't2', 'flair'].entries()) {
      const { voxels } = await readVolume(join(dir, 'B', `B_${suffix}.nii.gz`));
      const tissue = Array.from(voxels).filter((value) => value !== 0);
      const mean = tissue.reduce((a, b) => a + b, 0) / tissue.length;
      const std = Math.sqrt(tissue.reduce((sum, value) => sum + (value - mean) ** 2, 0) / tissue.length);
      for (let h = 0; h < 4; h++) {
        for (let w = 0; w < 10; w++) {
          const value = w === 0 || w === 9 ? 0 : voxels[h + 1 + 6 * (w - 1 + 8 * 3)]!;
          expect(images[(m * 4 + h) * 10 + w]).toBeCloseTo(value === 0 ? 0 : (value - mean) / std, 5);
        }
      }
    }
    const { voxels } = await readVolume(join(dir, 'B', 'B_seg.nii.gz'));
    expect(labels![2 * 10 + 4]).toBe([0, 1, 2, undefined, 3][voxels[3 + 6 * (3 + 8 * 3)]!]);
  });

  test('paper normalisation goes from −1 to 1', async () => {
    const dataset = await openAt(dir, { size: 8, normalisation: 'paper', cases: ['A'] });
    const { images } = await dataset.read(dataset.slices.map((_, i) => i));
    expect(images.reduce((a, b) => Math.min(a, b))).toBe(-1);
    expect(images.reduce((a, b) => Math.max(a, b))).toBe(1);
  });

  test('positions come back in the order asked, repeated or not, and alike from the cache', async () => {
    const dataset = await openAt(dir);
    const order = [7, 0, 12, 7];
    const together = await dataset.read(order);
    for (const [i, position] of order.entries()) {
      const alone = await dataset.read([position]);
      expect(together.images.slice(i * 64, (i + 1) * 64)).toEqual(alone.images);
    }
    await expect(dataset.read([99])).rejects.toMatchObject({ code: 'ERR_TRACIN_USAGE' });
  });

  test('labels are there where every case read has them', async () => {
    const dataset = await openAt(dir);
    expect(dataset.labelled).toBe(false);
    expect((await dataset.read([0])).labels).toBeDefined();
    expect((await dataset.read([0, dataset.slices.length - 1])).labels).toBeUndefined();
    expect(dataset.subset(['B']).labelled).toBe(true);
  });

  test('by default the tumour slices of labelled cases and all of the others', async () => {
    const other = folder();
    const seg = rawNifti({ shape: [4, 5, 3], datatype: 2, voxels: Array.from({ length: 60 }, (_, i) => (i === 25 ? 4 : 0)) });
    writeCase(other, 'L', { change: { seg } });
    writeCase(other, 'U', { change: { seg: null } });
    const dataset = await openAt(other, { slices: undefined });
    expect(dataset.slices.map((slice) => `${slice.case}:${slice.index}`)).toEqual(['L:1', 'U:0', 'U:1', 'U:2']);
    await expect(openAt(other, { slices: { tumour: 1 } })).rejects.toThrow('U: has no segmentation');
    await expect(openAt(other, { slices: { tumour: 9 }, cases: ['L'] })).rejects.toThrow('no slice of 1 cases has enough labelled tumour');
    await expect(openAt(other, { slices: { first: 0, last: 3 }, cases: ['L'] })).rejects.toThrow(
      'L: slices 0 to 3 are asked for but it has 0 to 2',
    );
  });

  test('a subset is in the order given; an empty one or an unknown case is refused', async () => {
    const dataset = await openAt(dir);
    const subset = dataset.subset(['U', 'A']);
    expect(subset.cases.map((one) => one.case)).toEqual(['U', 'A']);
    expect(subset.slices).toHaveLength(10);
    expect(() => dataset.subset([])).toThrow('the split is empty');
    expect(() => subset.subset(['B'])).toThrow('has no case B');
    await expect(openAt(dir, { cases: ['nobody'] })).rejects.toThrow('has no case nobody');
  });

  test('options that cannot be meant', async () => {
    await expect(openAt(dir, { size: 20, divisor: 16 })).rejects.toMatchObject({
      code: 'ERR_TRACIN_USAGE',
      message: stringContaining('16 and 32'),
    });
    await expect(openAt(dir, { size: 0 })).rejects.toMatchObject({ code: 'ERR_TRACIN_USAGE' });
    await expect(openAt(dir, { normalisation: 'minmax' as never })).rejects.toMatchObject({ code: 'ERR_TRACIN_USAGE' });
  });

  test('the fingerprint follows the files and the options, not the session', async () => {
    const print = async (options?: Partial<DatasetOptions>) => (await openAt(dir, options)).fingerprint();
    const first = await print();
    expect(first).toMatch(/^[0-9a-f]{64}$/);
    expect(await print()).toBe(first);
    const others = await Promise.all([
      print({ size: 6 }),
      print({ offset: [0, 0] }),
      print({ normalisation: 'paper' }),
      print({ slices: { first: 0, last: 1 } }),
      print({ cases: ['A'] }),
    ]);
    expect(new Set([first, ...others]).size).toBe(6);
    utimesSync(join(dir, 'A', 'A_t2.nii.gz'), 1000, 1000);
    expect(await print()).not.toBe(first);
  });

  test('an abort ends a read without harm to another of the same case', async () => {
    const dataset = await openAt(dir, { cacheBytes: 0 });
    const controller = new AbortController();
    const stopped = dataset.read([0], { signal: controller.signal });
    const other = dataset.read([0]);
    controller.abort();
    await expect(stopped).rejects.toMatchObject({ code: 'ERR_TRACIN_ABORTED' });
    expect((await other).images).toHaveLength(64);
    await expect(openAt(dir, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ERR_TRACIN_ABORTED' });
  });

  test('a case replaced by one of another shape while in use is noticed', async () => {
    const own = folder();
    writeCase(own, 'A');
    const dataset = await openAt(own);
    writeCase(own, 'B', { shape: [6, 6, 6] });
    for (const suffix of ['t1', 't1ce', 't2', 'flair', 'seg'])
      renameSync(join(own, 'B', `B_${suffix}.nii.gz`), join(own, 'A', `A_${suffix}.nii.gz`));
    await expect(dataset.read([0])).rejects.toThrow('its shape changed from 4 × 5 × 3 to 6 × 6 × 6 while in use');
  });
});

describe('written volumes', () => {
  test('labels and maps go back to the voxels they were cut from', async () => {
    const dir = folder();
    writeCase(dir, 'A', { shape: [6, 8, 5] });
    const dataset = await openAt(dir, { size: [4, 10], offset: [1, -1] });
    const { images, labels } = await dataset.read([1, 3]);
    const out = join(dir, 'out');
    await dataset.writeLabels(
      'A',
      join(out, 'A.nii.gz'),
      new Map([
        [1, labels!.subarray(0, 40)],
        [3, labels!.subarray(40)],
      ]),
    );
    await dataset.writeMap('A', join(out, 'A_map.nii.gz'), new Map([[3, images.subarray(160, 200)]]));
    const source = await readVolume(join(dir, 'A', 'A_seg.nii.gz'));
    const written = await readVolume(join(out, 'A.nii.gz'));
    expect(written.header.shape).toEqual([6, 8, 5]);
    written.voxels.forEach((value, i) => {
      const [x, z] = [i % 6, Math.floor(i / 48)];
      expect(value).toBe((z === 1 || z === 3) && x >= 1 && x <= 4 ? source.voxels[i] : 0);
    });
    const map = await readVolume(join(out, 'A_map.nii.gz'));
    expect(map.voxels[2 + 6 * (3 + 8 * 3)]).toBe(images[160 + 1 * 10 + 4]);
    await expect(dataset.writeLabels('A', join(out, 'no.nii.gz'), new Map([[7, new Uint8Array(40)]]))).rejects.toMatchObject({
      code: 'ERR_TRACIN_USAGE',
    });
    await expect(dataset.writeLabels('A', join(out, 'no.nii.gz'), new Map([[1, new Uint8Array(40).fill(4)]]))).rejects.toThrow(
      'label 4 is none of',
    );
  });

  test("ITK-SNAP's label description has the three classes at their BraTS numbers", async () => {
    const text = readFileSync(await writeLabelDescription(folder(), BRATS_LABELS), 'utf8');
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    expect(lines.map((line) => [Number(line.trim().split(/\s+/)[0]), /"(.*)"/.exec(line)![1]])).toEqual([
      [0, 'Clear Label'],
      [1, 'NCR/NET'],
      [2, 'ED'],
      [4, 'ET'],
    ]);
    for (const line of lines) expect(line).toMatch(/^(\s+\d+){4}\s+[01]\s+[01]\s+[01]\s+"[^"]+"$/);
  });
});
