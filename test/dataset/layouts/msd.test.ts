/** Folders as the Medical Segmentation Decathlon lays them out. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describeLayout } from '../../../lib/dataset/dataset';
import { readVolume } from '../../../lib/dataset/nifti';
import { stringMatching } from '../support';
import { folder, holds, labels, openAt, pack, power, root, SHAPE, volumes, type Content } from './support';

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
