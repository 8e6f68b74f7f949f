import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describeLayout, openDataset, type Dataset, type DatasetOptions } from '../../lib/dataset/dataset';
import { readPng } from '../../lib/dataset/png';
import { readVolume } from '../../lib/dataset/nifti';
import { openRecorded } from '../../lib/dataset/record';
import { readNpy } from '../../lib/npy';
import { png, rawNifti, stringContaining, stringMatching, temporaryFolder, writeCase } from './support';

const root = temporaryFolder();
let folders = 0;
type Content = Buffer | string | object | null;
/** A folder with these files: bytes, text, or JSON. */
function folder(files: Record<string, Content> = {}): string {
  const dir = join(root, `data-${folders++}`);
  mkdirSync(dir);
  change(dir, files);
  return dir;
}
function change(dir: string, files: Record<string, Content>): void {
  for (const [name, content] of Object.entries(files)) {
    const path = join(dir, name);
    mkdirSync(dirname(path), { recursive: true });
    if (content === null) rmSync(path, { force: true });
    else writeFileSync(path, Buffer.isBuffer(content) || typeof content === 'string' ? content : JSON.stringify(content));
  }
}
const opened: Dataset[] = [];
async function openAt(dir: string, options: Partial<DatasetOptions> = {}): Promise<Dataset> {
  const dataset = await openDataset({ dir, slices: 'all', ...options });
  opened.push(dataset);
  return dataset;
}
afterAll(() => Promise.all(opened.map((dataset) => dataset.close())));

const SHAPE = [4, 3, 2];
const VOXELS = 24;
/** Voxel i of an image is i · step + 1 (so that none is background), labels repeat `values`. */
const image = (step: number, shape = SHAPE) => rawNifti({ shape, voxels: Array.from({ length: VOXELS }, (_, i) => i * step + 1) });
/** Voxel i of volume m of a file with several. */
const power = (i: number, m: number) => (i % 13) ** (m + 1) + 1;
const volumes = (count: number) =>
  rawNifti({
    shape: [...SHAPE, count],
    voxels: Array.from({ length: VOXELS * count }, (_, i) => power(i % VOXELS, Math.floor(i / VOXELS))),
  });
const labels = (values: readonly number[]) =>
  rawNifti({ shape: SHAPE, datatype: 2, voxels: Array.from({ length: VOXELS }, (_, i) => values[i % values.length]!) });
const pack = (files: Record<string, Buffer>) => Object.fromEntries(Object.entries(files).map(([name, bytes]) => [name, gzipSync(bytes)]));

/** Whether the modality of a slice holds what normalised `value(voxel)` is, H along x and W along y. */
async function holds(dataset: Dataset, caseName: string, modality: number, value: (voxel: number) => number): Promise<void> {
  const all = Array.from({ length: VOXELS }, (_, i) => value(i));
  const mean = all.reduce((a, b) => a + b, 0) / VOXELS;
  const std = Math.sqrt(all.reduce((sum, one) => sum + (one - mean) ** 2, 0) / VOXELS);
  const position = dataset.slices.findIndex((slice) => slice.case === caseName && slice.index === 1);
  const { images } = await dataset.read([position]);
  for (let h = 0; h < 4; h++) {
    for (let w = 0; w < 3; w++) expect(images[(modality * 4 + h) * 3 + w]).toBeCloseTo((value(h + 4 * (w + 3)) - mean) / std, 4);
  }
}

const NNUNET = {
  channel_names: { 0: 'FLAIR', 1: 'T1w' },
  labels: { background: 0, edema: 1, 'non-enhancing tumor': 2, 'enhancing tumor': 3 },
  numTraining: 2,
  file_ending: '.nii.gz',
};
const nnunet = (files: Record<string, Content> = {}) =>
  folder({
    'dataset.json': NNUNET,
    ...pack({
      'imagesTr/A_1_0000.nii.gz': image(1),
      'imagesTr/A_1_0001.nii.gz': image(-2),
      'labelsTr/A_1.nii.gz': labels([0, 1, 2, 3]),
      'imagesTs/B_0000.nii.gz': image(3),
      'imagesTs/B_0001.nii.gz': image(4),
    }),
    ...files,
  });

const MSD = {
  name: 'BRATS',
  modality: { 0: 'FLAIR', 1: 'T1w', 2: 't1gd', 3: 'T2w' },
  labels: { 0: 'background', 1: 'edema', 2: 'non-enhancing tumor', 3: 'enhancing tumour' },
  training: [{ image: './imagesTr/BRATS_001.nii.gz', label: './labelsTr/BRATS_001.nii.gz' }],
  test: ['./imagesTs/BRATS_002.nii.gz'],
};
const msd = (files: Record<string, Content> = {}) =>
  folder({
    'dataset.json': MSD,
    ...pack({
      'imagesTr/BRATS_001.nii.gz': volumes(4),
      'labelsTr/BRATS_001.nii.gz': labels([0, 1, 2, 3]),
      'imagesTs/BRATS_002.nii.gz': volumes(4),
    }),
    ...files,
  });

const MANIFEST = {
  modalities: ['CT', 'PET', 'T1w'],
  classes: { lesion: 7, organ: 3 },
  cases: [
    { case: 'A', patient: 'P', images: { CT: 'ct.nii', PET: 'pet/pet.nii', T1w: 'both.nii#1' }, label: 'seg.nii' },
    { case: 'B', patient: 'P', images: { CT: 'ct.nii', PET: 'pet/pet.nii', T1w: 'both.nii#0' } },
  ],
};
const manifest = (files: Record<string, Content> = {}) =>
  folder({
    'manifest.json': MANIFEST,
    'ct.nii': image(1),
    'pet/pet.nii': image(2),
    'both.nii': volumes(2),
    'seg.nii': labels([0, 3, 7]),
    ...files,
  });

const grey = (samples: readonly number[], width = 3, bits = 8) => png({ height: samples.length / width, width, bits, samples });
const photographs = (files: Record<string, Content> = {}) =>
  folder({
    'classes.json': { background: 0, lesion: 255, vessel: 10 },
    'images/A.png': png({ height: 2, width: 3, type: 2, samples: Array.from({ length: 18 }, (_, i) => i + 1) }),
    'images/B.png': png({ height: 4, width: 2, type: 6, samples: Array.from({ length: 32 }, (_, i) => 3 * i + 1) }),
    'labels/A.png': grey([0, 10, 255, 255, 0, 10]),
    ...files,
  });

describe('BraTS 2023', () => {
  const rename = (dir: string, name: string) => {
    writeCase(dir, name, { shape: SHAPE, plain: true });
    for (const [from, to] of Object.entries({ t1: 't1n', t1ce: 't1c', t2: 't2w', flair: 't2f', seg: 'seg' })) {
      const bytes = from === 'seg' ? labels([0, 1, 2, 3]) : readFileSync(join(dir, name, `${name}_${from}.nii`));
      change(dir, { [`${name}/${name}_${from}.nii`]: null, [`${name}/${name}-${to}.nii`]: bytes });
    }
  };

  test('is found, read, and written with its own numbers', async () => {
    const dir = folder();
    rename(dir, 'BraTS-GLI-00002-000');
    rename(dir, 'BraTS-GLI-00002-001');
    const dataset = await openAt(dir, { size: [4, 3] });
    expect(describeLayout(dataset.layout)).toBe(
      'layout brats2023: modalities T1, T1ce, T2, FLAIR; labels 0 background, 1 NCR/NET, 2 ED, 3 ET',
    );
    expect(dataset.cases.map((one) => one.patient)).toEqual(['BraTS-GLI-00002', 'BraTS-GLI-00002']);
    const read = await dataset.read([0]);
    expect([...read.labels!].slice(0, 4)).toEqual([0, 0, 0, 1]);
    const path = join(dir, 'written.nii.gz');
    await dataset.writeLabels('BraTS-GLI-00002-000', path, new Map([[0, read.labels!]]));
    expect([...(await readVolume(path)).voxels].slice(0, 12)).toEqual([0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]);
  });

  test('beside cases of 2021, the caller must choose', async () => {
    const dir = folder();
    rename(dir, 'New');
    writeCase(dir, 'Old', { shape: SHAPE });
    await expect(openAt(dir)).rejects.toMatchObject({
      code: 'ERR_TRACIN_DATA',
      message: stringMatching(/may be laid out as brats or brats2023: say which/),
    });
    expect((await openAt(dir, { layout: 'brats' })).cases.map((one) => one.case)).toEqual(['Old']);
    expect((await openAt(dir, { layout: 'brats2023', classes: { a: 1, b: 2, c: 3 } })).classes).toEqual(['a', 'b', 'c']);
  });

  test('a missing modality is named', async () => {
    const dir = folder();
    rename(dir, 'New');
    change(dir, { 'New/New-t2w.nii': null });
    await expect(openAt(dir)).rejects.toThrow(/New: modality T2 is missing: add .*New-t2w\.nii\.gz$/);
  });
});

describe('nnU-Net', () => {
  test('is found with its own order of modalities, unlabelled test images included', async () => {
    const dataset = await openAt(nnunet());
    expect(describeLayout(dataset.layout)).toBe(
      'layout nnunet: modalities FLAIR, T1 (T1w); labels 0 background, 2 NCR/NET (non-enhancing tumor), 1 ED (edema), 3 ET (enhancing tumor)',
    );
    expect(dataset.cases).toEqual([
      { case: 'A_1', patient: 'A_1', labelled: true },
      { case: 'B', patient: 'B', labelled: false },
    ]);
    expect([dataset.modalities, dataset.classes, dataset.size]).toEqual([
      ['FLAIR', 'T1'],
      ['NCR/NET', 'ED', 'ET'],
      [4, 3],
    ]);
    await holds(dataset, 'A_1', 0, (i) => i + 1);
    await holds(dataset, 'A_1', 1, (i) => 1 - 2 * i);
    // 1 edema is our 2, 2 non-enhancing our 1.
    expect([...(await dataset.read([0])).labels!]).toEqual([0, 0, 0, 2, 2, 2, 1, 1, 1, 3, 3, 3]);
    const path = join(root, 'nnunet.nii.gz');
    await dataset.writeLabels('A_1', path, new Map([[0, Uint8Array.from([1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0])]]));
    expect([...(await readVolume(path)).voxels].filter((_, i) => i % 4 === 0 && i < 12)).toEqual([2, 1, 3]);
  });

  test('modalities are chosen by name', async () => {
    const dataset = await openAt(nnunet(), { modalities: ['t1', 'Flair'] });
    expect(dataset.modalities).toEqual(['T1', 'FLAIR']);
    await holds(dataset, 'A_1', 0, (i) => 1 - 2 * i);
    await holds(dataset, 'A_1', 1, (i) => i + 1);
    await expect(openAt(nnunet(), { modalities: ['CT'] })).rejects.toThrow('CT is not among modalities FLAIR, T1');
  });

  test('the size is rounded up to what the network divides by', async () => {
    expect((await openAt(nnunet(), { divisor: 8 })).size).toEqual([8, 8]);
  });

  test('regions drawn over each other are the classes they leave visible', async () => {
    const regions = { background: 0, 'whole tumor': [1, 2, 3], 'tumor core': [2, 3], 'enhancing tumor': [3] };
    const dataset = await openAt(nnunet({ 'dataset.json': { ...NNUNET, labels: regions, regions_class_order: [1, 2, 3] } }));
    expect(dataset.layout.classes.map(({ name, value }) => [name, value])).toEqual([['NCR/NET', 2], ['ED', 1], ['ET', 3]]); // prettier-ignore
    await expect(openAt(nnunet({ 'dataset.json': { ...NNUNET, labels: regions } }))).rejects.toThrow(
      'labels are overlapping regions and regions_class_order does not give each its own number',
    );
  });

  test('colour PNGs are one file of three channels', async () => {
    const json = { channel_names: { 0: 'R', 1: 'G', 2: 'B' }, labels: { background: 0, road: 1 }, file_ending: '.png' };
    const photo = png({ height: 2, width: 2, type: 2, samples: Array.from({ length: 12 }, (_, i) => i + 1) });
    const dir = folder({ 'dataset.json': json, 'imagesTr/A_0000.png': photo, 'labelsTr/A.png': grey([0, 1, 1, 0], 2) });
    const dataset = await openAt(dir);
    expect([dataset.modalities, [...(await dataset.read([0])).labels!]]).toEqual([
      ['R', 'G', 'B'],
      [0, 1, 1, 0],
    ]);
  });

  test.each([
    [
      'a channel is missing',
      { 'imagesTr/A_1_0001.nii.gz': null },
      /^A_1: channel 1 \(T1w\) is missing: add .*imagesTr\/A_1_0001\.nii\.gz$/,
    ],
    [
      'no images',
      { 'dataset.json': { ...NNUNET, file_ending: '.nii' } },
      /imagesTr: holds no CASE_0000\.nii: add the images or correct file_ending/,
    ],
    [
      'an ending that is not read',
      { 'dataset.json': { ...NNUNET, file_ending: '.tif' } },
      /dataset\.json: file_ending: is none of \.nii\.gz/,
    ],
    ['no labels', { 'dataset.json': { ...NNUNET, labels: undefined } }, /dataset\.json: labels: .*: write channel_names/],
    ['channels that are not counted', { 'dataset.json': { ...NNUNET, channel_names: { 1: 'T1' } } }, /channel_names: has no "0"/],
    ['not JSON', { 'dataset.json': '{"channel_names":' }, /dataset\.json: is not JSON: /],
    [
      'two classes of one number',
      { 'dataset.json': { ...NNUNET, labels: { background: 0, a: 1, b: 1 } } },
      /labels: number 1 has two classes/,
    ],
    ['background not 0', { 'dataset.json': { ...NNUNET, labels: { background: 4, a: 1 } } }, /the background has number 4: it must be 0/],
    [
      'labels on another grid',
      pack({ 'labelsTr/A_1.nii.gz': rawNifti({ shape: [4, 3, 1] }) }),
      /A_1: labelsTr\/A_1\.nii\.gz has shape 4 × 3 × 1 against 4 × 3 × 2/,
    ],
    ['4-D images', pack({ 'imagesTr/A_1_0000.nii.gz': volumes(2) }), /A_1_0000\.nii\.gz: has 2 channels where 1 is expected/],
  ])('%s', async (_, files, message) => {
    const error = (await openAt(nnunet(files)).catch((cause: unknown) => cause)) as Error;
    expect(error).toMatchObject({ code: 'ERR_TRACIN_DATA', message: stringMatching(message) });
    expect(error.message).not.toMatch(/\n/);
  });

  test('a number that no class has is named with its file and voxel', async () => {
    const dataset = await openAt(nnunet({ 'dataset.json': { ...NNUNET, labels: { background: 0, tumour: 1, two: 2, ignore: 3 } } }));
    await expect(dataset.read([0])).rejects.toThrow(
      /labelsTr\/A_1\.nii\.gz: label 3 at voxel \(3, 0, 0\) is not one of 0 background, 1 tumour, 2 two: renumber it or name its class$/,
    );
  });
});

describe('Medical Segmentation Decathlon', () => {
  test('one 4-D file gives all modalities; classes go by name', async () => {
    const dataset = await openAt(msd());
    expect(describeLayout(dataset.layout)).toBe(
      'layout msd: modalities FLAIR, T1 (T1w), T1ce (t1gd), T2 (T2w); labels 0 background, 2 NCR/NET (non-enhancing tumor), 1 ED (edema), 3 ET (enhancing tumour)',
    );
    expect(dataset.cases.map((one) => [one.case, one.labelled])).toEqual([['BRATS_001', true], ['BRATS_002', false]]); // prettier-ignore
    for (const modality of [0, 1, 2, 3]) await holds(dataset, 'BRATS_001', modality, (i) => power(i, modality));
    const path = join(root, 'msd.nii.gz');
    await dataset.writeLabels('BRATS_001', path, new Map([[1, new Uint8Array(12).fill(1)]]));
    const { header, voxels } = await readVolume(path);
    expect([header.shape, header.channels, voxels[0], voxels[12]]).toEqual([SHAPE, 1, 0, 2]);
  });

  test.each([
    [
      'another number of volumes',
      pack({ 'imagesTr/BRATS_001.nii.gz': volumes(3) }),
      'ERR_TRACIN_DATA',
      /imagesTr\/BRATS_001\.nii\.gz: has 3 channels where 4 are expected/,
    ],
    ['a listed file is missing', { 'labelsTr/BRATS_001.nii.gz': null }, 'ERR_TRACIN_IO', /labelsTr\/BRATS_001\.nii\.gz: it does not exist/],
    ['no training', { 'dataset.json': { ...MSD, training: undefined } }, 'ERR_TRACIN_DATA', /dataset\.json: training: /],
    [
      'labels that are no numbers',
      { 'dataset.json': { ...MSD, labels: { edema: 'one' } } },
      'ERR_TRACIN_DATA',
      /dataset\.json: labels\.edema: /,
    ],
    ['a class twice', { 'dataset.json': { ...MSD, labels: { 1: 'a', 2: 'a' } } }, 'ERR_TRACIN_DATA', /labels name a twice/],
    ['a case twice', { 'dataset.json': { ...MSD, test: MSD.training } }, 'ERR_TRACIN_DATA', /case BRATS_001 stands there twice/],
  ])('%s', async (_, files, code, message) => {
    const error = (await openAt(msd(files)).catch((cause: unknown) => cause)) as Error;
    expect(error).toMatchObject({ code, message: stringMatching(message) });
    expect(error.message).not.toMatch(/\n/);
  });

  test('test images may be left away', async () => {
    const dir = msd();
    rmSync(join(dir, 'imagesTs'), { recursive: true });
    expect((await openAt(dir)).cases).toHaveLength(1);
  });
});

describe('a manifest', () => {
  test('names any modalities, classes and files', async () => {
    const dataset = await openAt(manifest());
    expect(describeLayout(dataset.layout)).toBe('layout manifest: modalities CT, PET, T1 (T1w); labels 0 background, 3 organ, 7 lesion');
    expect(dataset.cases.map((one) => [one.case, one.patient, one.labelled])).toEqual([['A', 'P', true], ['B', 'P', false]]); // prettier-ignore
    await holds(dataset, 'A', 1, (i) => 2 * i + 1);
    await holds(dataset, 'A', 2, (i) => power(i, 1));
    await holds(dataset, 'B', 2, (i) => power(i, 0));
    expect([...(await dataset.read([0])).labels!].filter((_, i) => i % 3 === 0)).toEqual([0, 1, 2, 0]);
  });

  test('as CSV, with quotes, in any folder, classes beside it', async () => {
    const csv = '\uFEFFcase,patient,CT,"PE""T, late",label\r\nA,P1,../ct.nii,"pet,1.nii",\r\nB,,../ct.nii,"pet,1.nii",seg.nii\r\n';
    const dir = folder({
      'ct.nii': image(1),
      'lists/pet,1.nii': image(2),
      'lists/seg.nii': labels([0, 1]),
      'lists/some.csv': csv,
      'lists/classes.json': { lesion: 1 },
    });
    const dataset = await openAt(join(dir, 'lists', 'some.csv'));
    expect([dataset.modalities, dataset.classes]).toEqual([['CT', 'PE"T, late'], ['lesion']]);
    expect(dataset.cases.map((one) => [one.case, one.patient, one.labelled])).toEqual([['A', 'P1', false], ['B', 'B', true]]); // prettier-ignore
    const renamed = await openAt(join(dir, 'lists', 'some.csv'), { classes: { tumour: 1 } });
    expect(renamed.classes).toEqual(['tumour']);
  });

  test.each([
    ['an unknown field', { 'manifest.json': { ...MANIFEST, classs: {} } }, /manifest\.json: the file: .*classs/],
    [
      'no image of a modality',
      { 'manifest.json': { ...MANIFEST, cases: [{ case: 'A', images: { CT: 'ct.nii' } }] } },
      /case A has no image of PET/,
    ],
    [
      'an image of no modality',
      { 'manifest.json': { ...MANIFEST, modalities: ['CT'] } },
      /case A has an image of PET, which is no modality/,
    ],
    ['a channel that is not there', { 'both.nii': volumes(1) }, /both\.nii: has 1 channels, the manifest asks for #1/],
    ['several channels and none named', { 'ct.nii': volumes(2) }, /ct\.nii: has 2 channels where 1 is expected/],
    [
      'a case that is a path',
      { 'manifest.json': { ...MANIFEST, cases: [{ ...MANIFEST.cases[0], case: '../A' }] } },
      /case \.\.\/A has a name that is a path/,
    ],
    ['no classes', { 'manifest.json': { ...MANIFEST, classes: undefined } }, /classes\.json is missing: write \{"NAME": 1\}/],
    ['a class without a number', { 'manifest.json': { ...MANIFEST, classes: { a: 1.5 } } }, /classes: class a has number 1\.5/],
    ['both manifests', { 'manifest.csv': 'case,CT\n' }, /holds both manifest\.json and manifest\.csv/],
    ['a CSV without a case', { 'manifest.json': null, 'manifest.csv': 'name,CT\nA,ct.nii\n' }, /manifest\.csv: has no column case/],
    ['a CSV without images', { 'manifest.json': null, 'manifest.csv': 'case,label\nA,seg.nii\n' }, /has no column of images/],
    ['a CSV with a short line', { 'manifest.json': null, 'manifest.csv': 'case,CT\nA\n' }, /line 2 has 1 fields, the first line 2/],
    ['a CSV without cases', { 'manifest.json': null, 'manifest.csv': 'case,CT\n' }, /lists no case/],
    ['a CSV with two columns of one name', { 'manifest.json': null, 'manifest.csv': 'case,CT,CT\nA,a,b\n' }, /give each its own name/],
  ])('%s', async (_, files, message) => {
    const error = (await openAt(manifest(files)).catch((cause: unknown) => cause)) as Error;
    expect(error).toMatchObject({ code: 'ERR_TRACIN_DATA', message: stringMatching(message) });
    expect(error.message).not.toMatch(/\n/);
  });
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

describe('layouts', () => {
  test('a folder of none says what was looked for, an unknown layout which there are', async () => {
    const error = (await openAt(folder({ 'notes.txt': 'nothing' })).catch((cause: unknown) => cause)) as Error;
    for (const name of ['brats', 'brats2023', 'nnunet', 'msd', 'manifest', 'png']) expect(error.message).toContain(`${name}: `);
    expect(error.message).not.toMatch(/\n/);
    await expect(openAt(folder(), { layout: 'bids' as never })).rejects.toMatchObject({
      code: 'ERR_TRACIN_USAGE',
      message: stringContaining('choose auto, brats'),
    });
    await expect(openAt(folder(), { layout: 'png' })).rejects.toThrow('images: holds no CASE.png');
    await expect(openAt(join(root, 'nowhere'))).rejects.toMatchObject({ code: 'ERR_TRACIN_IO' });
  });

  test('several in one folder must be told apart', async () => {
    const dir = nnunet({ 'images/A.png': grey([1, 2, 3]) });
    await expect(openAt(dir)).rejects.toThrow(/may be laid out as nnunet or png: say which with layout$/);
    expect((await openAt(dir, { layout: 'nnunet' })).layout.name).toBe('nnunet');
  });

  test('a record opens the same slices again', async () => {
    const dir = nnunet();
    const first = await openAt(dir, { modalities: ['T1', 'FLAIR'], cases: ['A_1'] });
    const again = await openRecorded({ layout: 'nnunet', dir, modalities: ['T1', 'FLAIR'], cases: ['A_1'], size: [4, 3], slices: 'all' });
    expect(await again.fingerprint()).toBe(await first.fingerprint());
    const other = await openAt(dir, { cases: ['A_1'] });
    expect(await other.fingerprint()).not.toBe(await first.fingerprint());
    await again.close();
  });
});
