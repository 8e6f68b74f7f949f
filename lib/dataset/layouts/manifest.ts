/**
 * A list of any cases: `manifest.json`
 *   { "modalities": ["T1", "FLAIR"], "classes": { "tumour": 1 },
 *     "cases": [{ "case": "A", "patient": "P1", "images": { "T1": "a_t1.nii.gz", "FLAIR": "a_flair.nii.gz" }, "label": "a_seg.nii.gz" }] }
 * or `manifest.csv` with the columns case, patient (optional), label (optional) and one for each modality, its classes in classes.json
 * beside it. Paths are relative to the manifest; `photo.png#1` is the second channel of a file with several.
 */
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { parseCsv } from '../../csv';
import { TracinError } from '../../errors';
import { readImageHeader } from '../image-file';
import { classesBeside, classesOf } from './classes';
import { isFile, readJsonText, readText } from './folder';
import type { CaseFiles, Found, ImageFile, LayoutReader } from './layout';

const name = z.string().min(1);
const schema = z.strictObject({
  modalities: z.array(name).min(1),
  classes: z.record(name, z.number()).optional(),
  cases: z
    .array(z.strictObject({ case: name, patient: name.optional(), images: z.record(name, name), label: name.nullable().optional() }))
    .min(1),
});
type Manifest = z.infer<typeof schema>;

const FILES = ['manifest.json', 'manifest.csv'];

export const manifest: LayoutReader = {
  looksFor: 'manifest.json or manifest.csv',
  async matches(dir) {
    return (await manifestsAt(dir)).length > 0;
  },
  async find(dir, given) {
    const [path, other] = await manifestsAt(dir);
    if (path === undefined) throw new TracinError('ERR_TRACIN_DATA', `${dir}: holds no ${FILES.join(' and no ')}: name the file`);
    if (other !== undefined)
      throw new TracinError('ERR_TRACIN_DATA', `${dir}: holds both ${FILES.join(' and ')}: name the one that is meant`);
    const content = path.endsWith('.json') ? await readManifestJson(path) : await readManifestCsv(path);
    const folder = dirname(path);
    const classes = given ?? (content.classes ? classesOf(content.classes, `${path}: classes`) : await classesBeside(folder, undefined));
    return { modalities: content.modalities, classes, cases: await casesOf(content, path, folder) } satisfies Found;
  },
};

async function manifestsAt(path: string): Promise<string[]> {
  if (await isFile(path)) return /\.(json|csv)$/.test(path) ? [path] : [];
  const candidates = FILES.map((file) => join(path, file));
  const present = await Promise.all(candidates.map(isFile));
  return candidates.filter((_, i) => present[i]);
}

async function readManifestJson(path: string): Promise<Manifest> {
  const parsed = schema.safeParse(await readJsonText(path));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  const where = issue.path.map(String).join('.') || 'the file';
  throw new TracinError('ERR_TRACIN_DATA', `${path}: ${where}: ${issue.message}: give modalities, classes and cases`);
}

async function readManifestCsv(path: string): Promise<Manifest> {
  const [header = [], ...rows] = parseCsv(await readText(path));
  const columns = header.map((column) => column.trim());
  const refuse = (what: string): TracinError => new TracinError('ERR_TRACIN_DATA', `${path}: ${what}`);
  const modalities = columns.filter((column) => !['case', 'patient', 'label'].includes(column));
  if (!columns.includes('case')) throw refuse('has no column case: begin it with a line case,patient,label and a column for each modality');
  if (modalities.length === 0) throw refuse('has no column of images: add one for each modality');
  if (new Set(columns).size < columns.length || columns.includes('')) throw refuse(`columns ${columns.join(', ')}: give each its own name`);
  if (rows.length === 0) throw refuse('lists no case: add a line for each');
  const cases = rows.map((row, i) => {
    if (row.length !== columns.length) throw refuse(`line ${i + 2} has ${row.length} fields, the first line ${columns.length}: correct it`);
    const field = (column: string): string | undefined => row[columns.indexOf(column)]?.trim() || undefined;
    const caseName = field('case');
    if (caseName === undefined) throw refuse(`line ${i + 2} names no case: correct it`);
    const images = modalities.flatMap((modality) => (field(modality) === undefined ? [] : [[modality, field(modality)!]]));
    return {
      case: caseName,
      patient: field('patient'),
      images: Object.fromEntries(images) as Record<string, string>,
      label: field('label'),
    };
  });
  return { modalities, cases };
}

async function casesOf({ modalities, cases }: Manifest, path: string, folder: string): Promise<CaseFiles[]> {
  return Promise.all(
    cases.map(async ({ case: caseName, patient = caseName, images, label }) => {
      const other = Object.keys(images).find((modality) => !modalities.includes(modality));
      if (other !== undefined)
        throw new TracinError('ERR_TRACIN_DATA', `${path}: case ${caseName} has an image of ${other}, which is no modality of the list`);
      const files = await Promise.all(
        modalities.map((modality) => {
          const image = images[modality];
          if (image === undefined)
            throw new TracinError('ERR_TRACIN_DATA', `${path}: case ${caseName} has no image of ${modality}: name its file`);
          return imageAt(folder, image);
        }),
      );
      return { case: caseName, patient, images: files, segmentation: label ? resolve(folder, label) : undefined };
    }),
  );
}

async function imageAt(folder: string, text: string): Promise<ImageFile> {
  const [, file, channel] = /^(.*)#(\d+)$/.exec(text) ?? [];
  if (file === undefined) return { path: resolve(folder, text), channel: 0, channels: 1 };
  const path = resolve(folder, file);
  const { channels } = await readImageHeader(path);
  if (Number(channel) < channels) return { path, channel: Number(channel), channels };
  throw new TracinError('ERR_TRACIN_DATA', `${path}: has ${channels} channels, the manifest asks for #${channel}: count from 0`);
}
