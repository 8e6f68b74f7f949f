/** What annotators are handed: the slice in its own shape, with its labels beside it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decode } from 'fast-png';
import { openDataset } from '../../lib/dataset/dataset';
import { classColour } from '../../lib/class-colours';
import { drawAuditSlice } from '../../lib/report/audit-picture';
import { rawNifti, SUFFIXES, temporaryFolder } from '../dataset/support';

const dir = temporaryFolder();

test('pixels that are not square are drawn in their shape, a border one pixel thin around each region', async () => {
  // 4 × 2 voxels of 1 × 3 mm; the label is the upper left one.
  const sform = [-1, 0, 0, 0, 0, -3, 0, 0, 0, 0, 1, 0];
  mkdirSync(join(dir, 'P'));
  for (const suffix of SUFFIXES) {
    const voxels = suffix === 'seg' ? [2, 0, 0, 0, 0, 0, 0, 0] : [1, 2, 3, 4, 5, 6, 7, 8];
    writeFileSync(join(dir, 'P', `P_${suffix}.nii`), rawNifti({ shape: [4, 2, 1], sform, pixdim: [1, 3, 1], voxels }));
  }
  const source = await openDataset({ dir, size: [4, 2] });
  const { width, height, data } = decode(await drawAuditSlice(source, 0, 0));
  await source.close();
  expect([width, height]).toEqual([2 * 384, 2 * 96 * 3]);
  const colour = JSON.stringify(classColour(1));
  const at = (x: number, y: number): boolean => JSON.stringify([...data.slice(3 * (y * width + x), 3 * (y * width + x) + 3)]) === colour;
  expect([at(384, 0), at(384 + 95, 287), at(384 + 50, 287), at(384 + 1, 286), at(384 + 96, 0), at(384, 288), at(0, 0)]).toEqual([
    ...[true, true, true],
    ...[false, false, false, false],
  ]);
});
