import { join } from 'node:path';
import { openDataset } from '../../lib/dataset/dataset';
import { readNiftiHeader, readVolume } from '../../lib/dataset/nifti';
import { realPatients, temporaryFolder } from './support';

const dir = realPatients();
const out = temporaryFolder();
const withPatients = dir === undefined ? test.skip : test;

withPatients(
  'two real patients (skipped without TRACIN_BRATS_DIR): classes, signal, and labels written back voxel for voxel',
  async () => {
    const dataset = await openDataset({ dir: dir!, divisor: 16, slices: { first: 50, last: 99 } });
    expect(dataset.cases.map((one) => one.case)).toEqual(['BraTS2021_00006', 'TCGA-FG-6692']);
    const subset = dataset.subset(['BraTS2021_00006']);
    const { images, labels } = await subset.read(subset.slices.map((_, i) => i));
    const area = 192 * 192;
    const meanOf = (modality: number, label: number): number => {
      let [sum, count] = [0, 0];
      for (let i = 0; i < labels!.length; i++) {
        if (labels![i] !== label) continue;
        sum += images[(Math.floor(i / area) * 4 + modality) * area + (i % area)]!;
        count++;
      }
      return sum / count;
    };
    expect(meanOf(1, 3)).toBeGreaterThan(2.5);
    expect(meanOf(3, 2)).toBeGreaterThan(2);

    const path = join(out, 'labels.nii.gz');
    await subset.writeLabels(
      'BraTS2021_00006',
      path,
      new Map(subset.slices.map((slice, i) => [slice.index, labels!.subarray(i * area, (i + 1) * area)])),
    );
    const written = await readVolume(path);
    const source = await readVolume(join(dir!, 'HGG', 'BraTS2021_00006', 'BraTS2021_00006_seg.nii.gz'));
    const from = 50 * 240 * 240;
    const until = 100 * 240 * 240;
    expect(written.voxels.findIndex((value, i) => value !== (i >= from && i < until ? source.voxels[i] : 0))).toBe(-1);
    const t1 = await readNiftiHeader(join(dir!, 'HGG', 'BraTS2021_00006', 'BraTS2021_00006_t1.nii.gz'));
    for (const [start, end] of [
      [76, 108],
      [123, 124],
      [252, 328],
    ] as const)
      expect(written.header.bytes.subarray(start, end)).toEqual(t1.bytes.subarray(start, end));
    await subset.close();
    await dataset.close();
  },
  60_000,
);
