/**
 * nnU-Net v2 raw data sets: `imagesTr/CASE_0000.nii.gz`, …, `labelsTr/CASE.nii.gz`, the same with Ts, and dataset.json
 * (https://github.com/MIC-DKFZ/nnUNet, documentation/dataset_format.md).
 */
import { join } from 'node:path';
import { z } from 'zod';
import { TracinError } from '../../errors';
import { classesOf } from './classes';
import { numbered, readDatasetJson } from './dataset-json';
import { namesIfThere } from './folder';
import { wholeFile, type CaseFiles, type ImageFile, type LabelClass, type LayoutReader } from './layout';

const schema = z.object({
  channel_names: z.record(z.string(), z.string().min(1)),
  labels: z.record(z.string(), z.union([z.int(), z.array(z.int()).min(1)])),
  file_ending: z.enum(['.nii.gz', '.nii', '.png'], { error: 'is none of .nii.gz, .nii, .png: convert the images to one of these' }),
  regions_class_order: z.array(z.int()).optional(),
});
type DatasetJson = z.infer<typeof schema>;

const EXAMPLE = 'write channel_names {"0": "T1"}, labels {"background": 0, "tumour": 1} and file_ending ".nii.gz" as nnU-Net v2 does';

export const nnunet: LayoutReader = {
  looksFor: 'dataset.json with channel_names beside imagesTr/ (nnU-Net v2)',
  async matches(dir) {
    return (await readDatasetJson(dir))?.channel_names !== undefined;
  },
  async find(dir) {
    const path = join(dir, 'dataset.json');
    const json = await readDatasetJson(dir, schema, EXAMPLE);
    const modalities = numbered(json.channel_names, `${path}: channel_names`);
    const parts = await Promise.all(['Tr', 'Ts'].map((part) => casesOf(dir, part, json.file_ending, modalities)));
    const cases = parts.flat();
    if (cases.length === 0) {
      throw new TracinError(
        'ERR_TRACIN_DATA',
        `${join(dir, 'imagesTr')}: holds no CASE_0000${json.file_ending}: add the images or correct file_ending in dataset.json`,
      );
    }
    return { modalities, classes: classesIn(json, path), cases };
  },
};

async function casesOf(dir: string, part: string, ending: string, modalities: readonly string[]): Promise<CaseFiles[]> {
  const [images, labels] = [join(dir, `images${part}`), join(dir, `labels${part}`)];
  const [present, labelled] = await Promise.all([namesIfThere(images), namesIfThere(labels)]);
  const cases = new Set<string>();
  for (const name of present) {
    const found = name.endsWith(ending) ? /^(.+)_\d{4}$/.exec(name.slice(0, -ending.length)) : null;
    if (found) cases.add(found[1]!);
  }
  return [...cases].map((name) => {
    const segmentation = labelled.has(`${name}${ending}`) ? join(labels, `${name}${ending}`) : undefined;
    return { case: name, patient: name, images: imagesOf(name, images, present, ending, modalities), segmentation };
  });
}

function imagesOf(name: string, dir: string, present: ReadonlySet<string>, ending: string, modalities: readonly string[]): ImageFile[] {
  const files = modalities.map((_, m) => `${name}_${String(m).padStart(4, '0')}${ending}`);
  const missing = files.findIndex((file) => !present.has(file));
  if (missing < 0) return files.map((file) => wholeFile(join(dir, file)));
  // nnU-Net reads the colours of one PNG as its channels.
  if (ending === '.png' && missing === 1)
    return modalities.map((_, channel) => ({ path: join(dir, files[0]!), channel, channels: modalities.length }));
  throw new TracinError(
    'ERR_TRACIN_DATA',
    `${name}: channel ${missing} (${modalities[missing]}) is missing: add ${join(dir, files[missing]!)}`,
  );
}

/** Plain labels; or regions that overlap, each drawn over those before it (`regions_class_order`). */
function classesIn({ labels, regions_class_order: order }: DatasetJson, path: string): LabelClass[] {
  // "ignore" marks unlabelled pixels, which no loss here can leave out: where it occurs, the reader of labels says so.
  const foreground = Object.entries(labels).filter(([name, value]) => name !== 'ignore' && value !== 0);
  if (foreground.every(([, value]) => typeof value === 'number')) return classesOf(Object.fromEntries(foreground), `${path}: labels`);
  const regions = foreground.map(([name, value]) => ({ name, values: [value].flat() }));
  const own = order?.map((value, i) => ({ value, name: regions[i]?.name, inside: regions[i]?.values.includes(value) === true }));
  const all = new Set(regions.flatMap(({ values }) => values));
  if (own?.length !== regions.length || own.some(({ inside }) => !inside) || all.size !== regions.length) {
    throw new TracinError(
      'ERR_TRACIN_DATA',
      `${path}: labels are overlapping regions and regions_class_order does not give each its own number: name the classes by their numbers`,
    );
  }
  return classesOf(Object.fromEntries(own.map(({ name, value }) => [nameAlone(name!), value])), `${path}: labels`);
}

/** What is left of a region once those inside it are drawn over it. */
const ALONE: Readonly<Record<string, string>> = { wholetumor: 'ED', tumorcore: 'NCR/NET', enhancingtumor: 'ET' };

function nameAlone(region: string): string {
  return ALONE[region.toLowerCase().replaceAll(/[^a-z]/g, '').replace('tumour', 'tumor')] ?? `${region} alone`; // prettier-ignore
}
