import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { openDataset } from '../../lib/dataset/dataset';
import { readVolume, type Voxels } from '../../lib/dataset/nifti';
import { writePhantom, type PhantomOptions } from '../../lib/dataset/phantom';
import { corrupt, FAULTS } from '../../lib/dataset/phantom/faults';
import { readSplit } from '../../lib/dataset/split';
import { stringContaining, temporaryFolder } from './support';

const root = temporaryFolder();
const digest = (dir: string): string[] =>
  readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => `${path.slice(dir.length)} ${createHash('sha256').update(readFileSync(path)).digest('hex')}`)
    .sort();

test('the same seed writes the same bytes, another seed others', async () => {
  const options = { cases: 4, size: 32, seed: 7, planted: 0.5 };
  for (const [name, seed] of [
    ['a', 7],
    ['b', 7],
    ['c', 8],
  ] as const)
    await writePhantom(join(root, name), { ...options, seed });
  expect(digest(join(root, 'b'))).toEqual(digest(join(root, 'a')));
  const [a, c] = [digest(join(root, 'a')), digest(join(root, 'c'))];
  expect(a.filter((line) => line.includes('.nii.gz') && c.includes(line))).toEqual([]);
});

describe('a folder of twelve', () => {
  const dir = join(root, 'twelve');
  const stages: number[] = [];
  beforeAll(() => writePhantom(dir, { cases: 12, size: 48, seed: 3, onProgress: ({ done }) => stages.push(done) }));

  test('opens as a BraTS folder with its own split, and says how far it has come', async () => {
    expect(stages).toEqual([...stages.keys()].map((i) => i + 1));
    const dataset = await openDataset({ dir, size: 48, divisor: 16 });
    expect(dataset.cases).toHaveLength(12);
    expect(dataset.labelled).toBe(true);
    const split = await readSplit(join(dir, 'split.json'), dataset.cases);
    expect([split.train.length, split.validation.length, split.test.length]).toEqual([8, 1, 3]);
    const { images } = await dataset.read([0]);
    expect(images.every(Number.isFinite)).toBe(true);
    await dataset.close();
  });

  test('has both scanners, an oblique affine, tumours with and without NCR and ET as listed', async () => {
    const { cases } = JSON.parse(readFileSync(join(dir, 'phantom.json'), 'utf8')) as {
      cases: { case: string; scanner: string; ncr: boolean; et: boolean }[];
    };
    expect(new Set(cases.map((one) => one.scanner))).toEqual(new Set(['A', 'B']));
    expect(cases.filter((one) => !one.ncr)).toHaveLength(2);
    expect(cases.filter((one) => !one.et)).toHaveLength(2);
    for (const one of cases) {
      const { header, voxels } = await readVolume(join(dir, one.case, `${one.case}_seg.nii.gz`));
      const counts = [1, 2, 4].map((label) => voxels.filter((value) => value === label).length);
      expect([counts[0]! > 0, counts[1]! > 0, counts[2]! > 0]).toEqual([one.ncr, true, one.et]);
      expect(header.shape).toEqual([48, 48, 24]);
      expect(Math.abs(header.affine[1]!)).toBeGreaterThan(1e-4);
    }
  });

  test('T1ce is bright on ET, FLAIR on ED', async () => {
    const { cases } = JSON.parse(readFileSync(join(dir, 'phantom.json'), 'utf8')) as { cases: { case: string; et: boolean }[] };
    const name = cases.find((one) => one.et)!.case;
    const of = async (suffix: string) => (await readVolume(join(dir, name, `${name}_${suffix}.nii.gz`))).voxels;
    const [t1ce, flair, seg] = [await of('t1ce'), await of('flair'), await of('seg')];
    const mean = (image: Voxels, wanted: (i: number) => boolean) => {
      const values = Array.from(image).filter((_, i) => wanted(i));
      return values.reduce((a, b) => a + b, 0) / values.length;
    };
    const healthy = (i: number) => seg[i] === 0 && flair[i]! > 0;
    expect(mean(t1ce, (i) => seg[i] === 4)).toBeGreaterThan(1.3 * mean(t1ce, healthy));
    expect(mean(flair, (i) => seg[i] === 2)).toBeGreaterThan(1.2 * mean(flair, healthy));
  });

  test('is not mixed with a smaller one', async () => {
    await expect(writePhantom(dir, { cases: 3, size: 32 })).rejects.toMatchObject({
      code: 'ERR_TRACIN_USAGE',
      message: stringContaining('of a larger phantom'),
    });
  });
});

test('planted faults change the labels of that share of the training patients and of no one else, and no image', async () => {
  const [clean, faulty] = [join(root, 'clean'), join(root, 'faulty')];
  const options = { cases: 12, size: 32, seed: 5 };
  const { split } = await writePhantom(clean, options);
  const { planted } = await writePhantom(faulty, { ...options, planted: 0.5 });
  expect(JSON.parse(readFileSync(join(faulty, 'planted.json'), 'utf8'))).toEqual(planted);
  expect(planted).toHaveLength(4);
  expect(new Set(planted.map((one) => one.fault))).toEqual(new Set(FAULTS));
  for (const { case: name } of planted) expect(split.train).toContain(name);
  const before = digest(clean);
  const changed = digest(faulty)
    .filter((line) => line.includes('.nii.gz') && !before.includes(line))
    .map((line) => line.split('/')[1]);
  expect(changed).toEqual(planted.map((one) => one.case));
  expect(digest(faulty).filter((line) => line.includes('.nii.gz') && !line.includes('_seg') && !before.includes(line))).toEqual([]);
});

test('each fault does what its name says', () => {
  const shape = [9, 9, 1] as const;
  // A 7 × 7 oedema around a 3 × 3 rim around one necrotic pixel.
  const labels = Uint8Array.from({ length: 81 }, (_, i) => {
    const ring = Math.max(Math.abs((i % 9) - 4), Math.abs(Math.floor(i / 9) - 4));
    return ring === 0 ? 1 : ring === 1 ? 3 : ring <= 3 ? 2 : 0;
  });
  const count = (volume: Uint8Array) => [0, 1, 2, 3].map((label) => volume.filter((value) => value === label).length);
  expect(count(labels)).toEqual([32, 1, 40, 8]);
  expect(count(corrupt(labels, [...shape], 'erode', 1))).toEqual([56, 1, 24, 0]);
  expect(count(corrupt(labels, [...shape], 'dilate', 1))).toEqual([4, 1, 56, 20]);
  expect(count(corrupt(labels, [...shape], 'swap', 1))).toEqual([32, 8, 40, 1]);
  const shifted = corrupt(labels, [...shape], 'shift', 1);
  for (let i = 0; i < 81; i++) expect(shifted[i]).toBe(i % 9 === 0 ? 0 : labels[i - 1]);
});

test('an abort stops it and leaves no file half written', async () => {
  const dir = join(root, 'aborted');
  mkdirSync(dir);
  const controller = new AbortController();
  const run = writePhantom(dir, { cases: 8, size: 48, signal: controller.signal, onProgress: () => controller.abort() });
  await expect(run).rejects.toMatchObject({ code: 'ERR_TRACIN_ABORTED' });
  expect(digest(dir).filter((line) => line.includes('partial'))).toEqual([]);
  expect(readdirSync(dir)).not.toContain('phantom.json');
});

test('one drawn over another and stopped does not pass for the other', async () => {
  const dir = join(root, 'over');
  const options = { cases: 3, size: 16, seed: 1, planted: 0.5 };
  await writePhantom(dir, options);
  const controller = new AbortController();
  const over = { ...options, seed: 2, signal: controller.signal, onProgress: () => controller.abort() };
  await expect(writePhantom(dir, over)).rejects.toMatchObject({ code: 'ERR_TRACIN_ABORTED' });
  expect(readdirSync(dir).filter((name) => name.endsWith('.json'))).toEqual([]);
});

test('two at once into one folder are one phantom, or none', async () => {
  const dir = join(root, 'both');
  const options = { cases: 3, size: 16, planted: 0.5 };
  const same = await Promise.all([1, 1].map((seed) => writePhantom(dir, { ...options, seed })));
  expect(same[0]).toEqual(same[1]);
  const others = await Promise.allSettled([1, 2].map((seed) => writePhantom(dir, { ...options, seed })));
  expect(others.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  const reason = { code: 'ERR_TRACIN_USAGE', message: stringContaining('another phantom was written into it at the same time') };
  expect(others.find(({ status }) => status === 'rejected')).toMatchObject({ reason });
  expect(readdirSync(dir).filter((name) => name.endsWith('.json'))).toEqual([]);
});

test('faults of chosen ways and widths, in the same patients', async () => {
  const options = { cases: 12, size: 32, seed: 3, planted: 0.5 } as const;
  const { planted } = await writePhantom(join(root, 'any'), options);
  const chosen = await writePhantom(join(root, 'chosen'), { ...options, faults: ['erode', 'shift'], faultPixels: [3, 3] });
  expect(chosen.planted.map((one) => one.case)).toEqual(planted.map((one) => one.case));
  expect(new Set(chosen.planted.map(({ fault, amount }) => `${fault} ${amount}`))).toEqual(new Set(['erode 3', 'shift 3']));
});

test.each<PhantomOptions>([{ cases: 0 }, { size: 8 }, { seed: -1 }, { planted: 1.5 }, { faults: [] }, { faultPixels: [2, 1] }])(
  '%j cannot be meant',
  async (options) => {
    await expect(writePhantom(join(root, 'none'), options)).rejects.toMatchObject({ code: 'ERR_TRACIN_USAGE' });
  },
);
