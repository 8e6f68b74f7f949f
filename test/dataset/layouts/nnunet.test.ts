/** Folders as nnU-Net lays them out. */
import { join } from 'node:path';
import { describeLayout } from '../../../lib/dataset/dataset';
import { readVolume } from '../../../lib/dataset/nifti';
import { png, rawNifti, stringMatching } from '../support';
import { folder, grey, holds, NNUNET, nnunet, openAt, pack, root, volumes } from './support';

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
