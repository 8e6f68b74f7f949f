/** Folders that a manifest describes. */
import { join } from 'node:path';
import { describeLayout } from '../../../lib/dataset/dataset';
import { stringMatching } from '../support';
import { folder, holds, image, labels, openAt, power, volumes, type Content } from './support';

const MANIFEST = {
  modalities: ['CT', 'PET', 'T1w'],
  classes: { lesion: 7, organ: 3 },
  cases: [
    { case: 'A', patient: 'P', images: { CT: 'ct.nii', PET: 'pet/pet.nii', T1w: 'both.nii#1' }, label: 'seg.nii' },
    { case: 'B', patient: 'P', images: { CT: 'ct.nii', PET: 'pet/pet.nii', T1w: 'both.nii#0' } },
  ],
};
const manifest = (files: Record<string, Content> = {}) =>
  folder({
    'manifest.json': MANIFEST,
    'ct.nii': image(1),
    'pet/pet.nii': image(2),
    'both.nii': volumes(2),
    'seg.nii': labels([0, 3, 7]),
    ...files,
  });

describe('a manifest', () => {
  test('names any modalities, classes and files', async () => {
    const dataset = await openAt(manifest());
    expect(describeLayout(dataset.layout)).toBe('layout manifest: modalities CT, PET, T1 (T1w); labels 0 background, 3 organ, 7 lesion');
    expect(dataset.cases.map((one) => [one.case, one.patient, one.labelled])).toEqual([['A', 'P', true], ['B', 'P', false]]); // prettier-ignore
    await holds(dataset, 'A', 1, (i) => 2 * i + 1);
    await holds(dataset, 'A', 2, (i) => power(i, 1));
    await holds(dataset, 'B', 2, (i) => power(i, 0));
    expect([...(await dataset.read([0])).labels!].filter((_, i) => i % 3 === 0)).toEqual([0, 1, 2, 0]);
  });

  test('as CSV, with quotes, in any folder, classes beside it', async () => {
    const csv = '\uFEFFcase,patient,CT,"PE""T, late",label\r\nA,P1,../ct.nii,"pet,1.nii",\r\nB,,../ct.nii,"pet,1.nii",seg.nii\r\n';
    const dir = folder({
      'ct.nii': image(1),
      'lists/pet,1.nii': image(2),
      'lists/seg.nii': labels([0, 1]),
      'lists/some.csv': csv,
      'lists/classes.json': { lesion: 1 },
    });
    const dataset = await openAt(join(dir, 'lists', 'some.csv'));
    expect([dataset.modalities, dataset.classes]).toEqual([['CT', 'PE"T, late'], ['lesion']]);
    expect(dataset.cases.map((one) => [one.case, one.patient, one.labelled])).toEqual([['A', 'P1', false], ['B', 'B', true]]); // prettier-ignore
    const renamed = await openAt(join(dir, 'lists', 'some.csv'), { classes: { tumour: 1 } });
    expect(renamed.classes).toEqual(['tumour']);
  });

  test.each([
    ['an unknown field', { 'manifest.json': { ...MANIFEST, classs: {} } }, /manifest\.json: the file: .*classs/],
    [
      'no image of a modality',
      { 'manifest.json': { ...MANIFEST, cases: [{ case: 'A', images: { CT: 'ct.nii' } }] } },
      /case A has no image of PET/,
    ],
    [
      'an image of no modality',
      { 'manifest.json': { ...MANIFEST, modalities: ['CT'] } },
      /case A has an image of PET, which is no modality/,
    ],
    ['a channel that is not there', { 'both.nii': volumes(1) }, /both\.nii: has 1 channels, the manifest asks for #1/],
    ['several channels and none named', { 'ct.nii': volumes(2) }, /ct\.nii: has 2 channels where 1 is expected/],
    [
      'a case that is a path',
      { 'manifest.json': { ...MANIFEST, cases: [{ ...MANIFEST.cases[0], case: '../A' }] } },
      /case \.\.\/A has a name that is a path/,
    ],
    ['no classes', { 'manifest.json': { ...MANIFEST, classes: undefined } }, /classes\.json is missing: write \{"NAME": 1\}/],
    ['a class without a number', { 'manifest.json': { ...MANIFEST, classes: { a: 1.5 } } }, /classes: class a has number 1\.5/],
    ['both manifests', { 'manifest.csv': 'case,CT\n' }, /holds both manifest\.json and manifest\.csv/],
    ['a CSV without a case', { 'manifest.json': null, 'manifest.csv': 'name,CT\nA,ct.nii\n' }, /manifest\.csv: has no column case/],
    ['a CSV without images', { 'manifest.json': null, 'manifest.csv': 'case,label\nA,seg.nii\n' }, /has no column of images/],
    ['a CSV with a short line', { 'manifest.json': null, 'manifest.csv': 'case,CT\nA\n' }, /line 2 has 1 fields, the first line 2/],
    ['a CSV without cases', { 'manifest.json': null, 'manifest.csv': 'case,CT\n' }, /lists no case/],
    ['a CSV with two columns of one name', { 'manifest.json': null, 'manifest.csv': 'case,CT,CT\nA,a,b\n' }, /give each its own name/],
  ])('%s', async (_, files, message) => {
    const error = (await openAt(manifest(files)).catch((cause: unknown) => cause)) as Error;
    expect(error).toMatchObject({ code: 'ERR_TRACIN_DATA', message: stringMatching(message) });
    expect(error.message).not.toMatch(/\n/);
  });
});
