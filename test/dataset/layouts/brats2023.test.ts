/** Folders as BraTS 2023 lays them out. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeLayout } from '../../../lib/dataset/dataset';
import { readVolume } from '../../../lib/dataset/nifti';
import { stringMatching, writeCase } from '../support';
import { change, folder, labels, openAt, SHAPE } from './support';

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
