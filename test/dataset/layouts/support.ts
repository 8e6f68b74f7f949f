/** Folders of every layout, small enough to be written for each test. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { openDataset, type Dataset, type DatasetOptions } from '../../../lib/dataset/dataset';
import { png, rawNifti, temporaryFolder } from '../support';

export const root = temporaryFolder();
let folders = 0;
export type Content = Buffer | string | object | null;
/** A folder with these files: bytes, text, or JSON. */
export function folder(files: Record<string, Content> = {}): string {
  const dir = join(root, `data-${folders++}`);
  mkdirSync(dir);
  change(dir, files);
  return dir;
}
export function change(dir: string, files: Record<string, Content>): void {
  for (const [name, content] of Object.entries(files)) {
    const path = join(dir, name);
    mkdirSync(dirname(path), { recursive: true });
    if (content === null) rmSync(path, { force: true });
    else writeFileSync(path, Buffer.isBuffer(content) || typeof content === 'string' ? content : JSON.stringify(content));
  }
}
const opened: Dataset[] = [];
export async function openAt(dir: string, options: Partial<DatasetOptions> = {}): Promise<Dataset> {
  const dataset = await openDataset({ dir, slices: 'all', ...options });
  opened.push(dataset);
  return dataset;
}
afterAll(() => Promise.all(opened.map((dataset) => dataset.close())));

export const SHAPE = [4, 3, 2];
const VOXELS = 24;
/** Voxel i of an image is i · step + 1 (so that none is background), labels repeat `values`. */
export const image = (step: number, shape = SHAPE) => rawNifti({ shape, voxels: Array.from({ length: VOXELS }, (_, i) => i * step + 1) });
/** Voxel i of volume m of a file with several. */
export const power = (i: number, m: number) => (i % 13) ** (m + 1) + 1;
export const volumes = (count: number) =>
  rawNifti({
    shape: [...SHAPE, count],
    voxels: Array.from({ length: VOXELS * count }, (_, i) => power(i % VOXELS, Math.floor(i / VOXELS))),
  });
export const labels = (values: readonly number[]) =>
  rawNifti({ shape: SHAPE, datatype: 2, voxels: Array.from({ length: VOXELS }, (_, i) => values[i % values.length]!) });
export const pack = (files: Record<string, Buffer>) =>
  Object.fromEntries(Object.entries(files).map(([name, bytes]) => [name, gzipSync(bytes)]));

/** Whether the modality of a slice holds what normalised `value(voxel)` is, H along x and W along y. */
export async function holds(dataset: Dataset, caseName: string, modality: number, value: (voxel: number) => number): Promise<void> {
  const all = Array.from({ length: VOXELS }, (_, i) => value(i));
  const mean = all.reduce((a, b) => a + b, 0) / VOXELS;
  const std = Math.sqrt(all.reduce((sum, one) => sum + (one - mean) ** 2, 0) / VOXELS);
  const position = dataset.slices.findIndex((slice) => slice.case === caseName && slice.index === 1);
  const { images } = await dataset.read([position]);
  for (let h = 0; h < 4; h++) {
    for (let w = 0; w < 3; w++) expect(images[(modality * 4 + h) * 3 + w]).toBeCloseTo((value(h + 4 * (w + 3)) - mean) / std, 4);
  }
}

export const NNUNET = {
  channel_names: { 0: 'FLAIR', 1: 'T1w' },
  labels: { background: 0, edema: 1, 'non-enhancing tumor': 2, 'enhancing tumor': 3 },
  numTraining: 2,
  file_ending: '.nii.gz',
};
export const nnunet = (files: Record<string, Content> = {}) =>
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

export const grey = (samples: readonly number[], width = 3, bits = 8) => png({ height: samples.length / width, width, bits, samples });
