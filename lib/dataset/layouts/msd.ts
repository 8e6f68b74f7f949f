/** The Medical Segmentation Decathlon: one volume a case, its modalities along the fourth axis, all listed in dataset.json (http://medicaldecathlon.com). */
import { basename, dirname, resolve, join } from 'node:path';
import { z } from 'zod';
import { TracinError } from '../../errors';
import { classesOf } from './classes';
import { numbered, readDatasetJson } from './dataset-json';
import { isFolder } from './folder';
import type { CaseFiles, LayoutReader } from './layout';

const file = z.string().min(1);
const schema = z.object({
  modality: z.record(z.string(), z.string().min(1)),
  /** Number → name. */
  labels: z.record(z.string().regex(/^\d+$/), z.string().min(1)),
  training: z.array(z.object({ image: file, label: file })),
  test: z.array(z.union([file, z.object({ image: file })])).default([]),
});

const EXAMPLE = 'give modality, labels, training and test as the Medical Segmentation Decathlon does';

export const msd: LayoutReader = {
  looksFor: 'dataset.json with modality and training beside imagesTr/ (Medical Segmentation Decathlon)',
  async matches(dir) {
    const json = await readDatasetJson(dir);
    return json?.modality !== undefined && json.channel_names === undefined;
  },
  async find(dir) {
    const path = join(dir, 'dataset.json');
    const json = await readDatasetJson(dir, schema, EXAMPLE);
    const modalities = numbered(json.modality, `${path}: modality`);
    const tests = json.test.map((entry) => (typeof entry === 'string' ? entry : entry.image));
    // The test images are a folder that people leave away to save room.
    const there = tests[0] !== undefined && (await isFolder(dirname(resolve(dir, tests[0]))));
    const listed = [...json.training, ...(there ? tests.map((image) => ({ image, label: undefined })) : [])];
    if (listed.length === 0) throw new TracinError('ERR_TRACIN_DATA', `${path}: training lists no case: ${EXAMPLE}`);
    const cases = listed.map(({ image, label }): CaseFiles => {
      const name = basename(image).replace(/\.nii(\.gz)?$/, '');
      const images = modalities.map((_, channel) => ({ path: resolve(dir, image), channel, channels: modalities.length }));
      return { case: name, patient: name, images, segmentation: label === undefined ? undefined : resolve(dir, label) };
    });
    const names = Object.entries(json.labels).filter(([value]) => Number(value) !== 0);
    const twice = names.find(([, name], i) => names.findIndex(([, other]) => other === name) !== i);
    if (twice) throw new TracinError('ERR_TRACIN_DATA', `${path}: labels name ${twice[1]} twice: give each class its own name`);
    const classes = classesOf(Object.fromEntries(names.map(([value, name]) => [name, Number(value)])), `${path}: labels`);
    return { modalities, classes, cases };
  },
};
