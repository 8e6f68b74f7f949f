/**
 * The two folder layouts of BraTS. Up to 2021: `CASE/CASE_{t1,t1ce,t2,flair,seg}.nii[.gz]`, also inside HGG/ and LGG/, labels 0, 1, 2, 4.
 * From 2023: `CASE/CASE-{t1n,t1c,t2w,t2f,seg}.nii[.gz]`, labels 0 to 3.
 */
import { join } from 'node:path';
import { TracinError } from '../../errors';
import { BRATS_LABELS, CLASSES, MODALITIES } from '../brats';
import { folders, isFolder, names } from './folder';
import { wholeFile, type CaseFiles, type LabelClass, type LayoutReader } from './layout';

interface Convention {
  /** Between the case and the suffix. */
  readonly separator: '_' | '-';
  /** In the order of MODALITIES. */
  readonly suffixes: readonly string[];
  readonly classes: readonly LabelClass[];
  /** The part of a case name that names the patient; the whole name where it does not match. */
  readonly patient: RegExp;
}

const TO_2021: Convention = {
  separator: '_',
  suffixes: ['t1', 't1ce', 't2', 'flair'],
  classes: BRATS_LABELS,
  // A patient scanned twice has two folders in BraTS 2017 and 2018: the number at their end tells the scans apart.
  patient: /^(Brats1[78]_.+)_\d+$/,
};
const FROM_2023: Convention = {
  separator: '-',
  suffixes: ['t1n', 't1c', 't2w', 't2f'],
  classes: CLASSES.map((name, k) => ({ name, value: k + 1 })),
  // BraTS-GLI-00002-001 is the second time point of patient BraTS-GLI-00002.
  patient: /^(BraTS-.+)-\d{3}$/,
};
const GRADES = new Set(['HGG', 'LGG']);

export const brats = reader(TO_2021);
export const brats2023 = reader(FROM_2023);

function reader(convention: Convention): LayoutReader {
  const { separator, suffixes, classes } = convention;
  const [first, ...rest] = suffixes.map((suffix) => `CASE${separator}${suffix}`);
  const looksFor = `case folders CASE with ${first}.nii.gz, ${rest.join(', ')}, also in HGG/ and LGG/`;
  return {
    looksFor,
    async matches(dir) {
      if (!(await isFolder(dir))) return false;
      for (const { parent, name } of await caseFolders(dir)) if ((await caseIn(parent, name, convention, false)) !== undefined) return true;
      return false;
    },
    async find(dir) {
      const found = await Promise.all((await caseFolders(dir)).map(async ({ parent, name }) => caseIn(parent, name, convention, true)));
      const cases = found.filter((one) => one !== undefined);
      if (cases.length === 0) {
        throw new TracinError('ERR_TRACIN_DATA', `${dir}: holds no ${looksFor}: name the folder above the cases`);
      }
      return { modalities: MODALITIES, classes, cases };
    },
  };
}

async function caseFolders(dir: string): Promise<{ parent: string; name: string }[]> {
  const top = await folders(dir);
  const grades = top.filter((name) => GRADES.has(name)).map((name) => join(dir, name));
  const within = await Promise.all(grades.map(async (parent) => (await folders(parent)).map((name) => ({ parent, name }))));
  return [...top.filter((name) => !GRADES.has(name)).map((name) => ({ parent: dir, name })), ...within.flat()];
}

/** The case of one folder; undefined when it holds no image of that name. `whole` asks that nothing is missing or double. */
async function caseIn(parent: string, name: string, convention: Convention, whole: boolean): Promise<CaseFiles | undefined> {
  const { separator, suffixes } = convention;
  const dir = join(parent, name);
  const present = await names(dir);
  const fileOf = (suffix: string): string | undefined => {
    const found = ['.nii.gz', '.nii'].map((ending) => `${name}${separator}${suffix}${ending}`).filter((file) => present.has(file));
    if (whole && found.length === 2) throw new TracinError('ERR_TRACIN_DATA', `${dir}: holds both ${found.join(' and ')}: keep one`);
    return found[0] && join(dir, found[0]);
  };
  const images = suffixes.map(fileOf);
  const segmentation = fileOf('seg');
  // `seg` is called alike in many data sets: alone it says nothing.
  if (images.every((image) => image === undefined)) return undefined;
  const missing = images.indexOf(undefined);
  if (whole && missing >= 0) {
    throw new TracinError(
      'ERR_TRACIN_DATA',
      `${name}: modality ${MODALITIES[missing]} is missing: add ${join(dir, `${name}${separator}${suffixes[missing]}.nii.gz`)}`,
    );
  }
  const patient = convention.patient.exec(name)?.[1] ?? name;
  return { case: name, patient, images: images.map((path) => wholeFile(path!)), segmentation };
}
