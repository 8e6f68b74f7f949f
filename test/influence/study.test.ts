import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { studyPaths } from '../../lib/influence/folder';
import { openStudy, type Study } from '../../lib/influence/study';
import { writeNpy } from '../../lib/npy';
import { writeStudy, type Numbers } from './support/studies';

const NUMBERS: Numbers = {
  classes: ['ED', 'ET'],
  learningRates: [0.5, 0.25],
  test: [['T', 3, [4, 0]]],
  train: [
    ['A', 1, [2, 1]],
    ['B', 2, [0, 3]],
  ],
  products: [
    [8, 4, 0, -2, 0, 0, 0, 0],
    [4, 0, 0, 8, 0, 0, 0, 0],
  ],
};

let dir: string;
let study: Study;
beforeEach(async () => {
  dir = join(await mkdtemp(join(tmpdir(), 'tracin-study-')), 'study');
  study = await writeStudy(dir, NUMBERS);
});
afterEach(() => rm(join(dir, '..'), { recursive: true, force: true }));

describe('a study', () => {
  test('gives scores, products and norms of its slices', async () => {
    expect([...(await study.scores(0))]).toEqual([5, 2, 0, 1, 0, 0, 0, 0]);
    expect([...(await study.products(1, 0))]).toEqual(NUMBERS.products[1]);
    expect(await study.norms('train')).toHaveLength(2 * 2 * 2);
    expect(study.tests.absent).toEqual([[0, 'ET']]);
    expect(study.checkpoints[1]!.file).toBe(join(dir, '..', '1.onnx'));
    expect(await study.predicted('test', 0)).toBeUndefined();
  });

  test('is weighted anew from the stored products', async () => {
    const last = study.reweighted([0, 2]);
    expect([...(await last.scores(0))]).toEqual([8, 0, 0, 16, 0, 0, 0, 0]);
    expect([...(await study.reweighted(study.learningRates).scores(0))]).toEqual([...(await study.scores(0))]);
    expect([...(await study.scores(0))]).toEqual([5, 2, 0, 1, 0, 0, 0, 0]);
  });

  test.each([[[1]], [[1, -1]], [[1, NaN]], [[0, 0]]])('refuses learning rates %j', (rates) => {
    expect(() => study.reweighted(rates)).toThrow(expect.objectContaining({ code: 'ERR_TRACIN_USAGE' }) as Error);
  });
});

describe('a damaged study is named with its file', () => {
  const paths = (): ReturnType<typeof studyPaths> => studyPaths(dir);
  const edit = async (path: string, change: (json: Record<string, unknown>) => void): Promise<void> => {
    const json = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
    change(json);
    await writeFile(path, JSON.stringify(json));
  };
  const cases: [string, string, () => Promise<unknown>][] = [
    ['no study at all', 'holds no study', () => rm(paths().study)],
    ['an unfinished one', '--resume', async () => (await rm(paths().study), writeStudyPlan())],
    ['bad JSON', 'study.json: is not valid JSON', () => writeFile(paths().study, '{"formatVersion": 1')],
    ['another format', 'formatVersion 2 is unknown', () => edit(paths().study, (json) => (json.formatVersion = 2))],
    ['a wrong field', 'study.json: definition.loss', () => edit(paths().study, (json) => (json.definition = { loss: 'x' }))],
    ['no regions', 'regions.json: is missing', () => rm(paths().regions)],
    ['fewer pixel rows', 'regions.json: test.pixels', () => edit(paths().regions, (json) => ((json.test as { pixels: [] }).pixels = []))],
    ['a wrong absence', 'regions.json: test.absent', () => edit(paths().regions, (json) => ((json.test as { absent: [] }).absent = []))],
    ['a cut array', 'scores.npy: shape', () => truncate(paths().scores, 140)],
    ['a missing array', 'checkpoint-001.npy: is missing', () => rm(paths().products(1))],
    ['another shape', 'norms-train.npy: holds f4 [2, 1, 2]', () => writeNpy(paths().norms('train'), [2, 1, 2], new Float32Array(4))],
    ['another type', 'scores.npy: holds f8', () => writeNpy(paths().scores, [1, 2, 2, 2], new Float64Array(8))],
  ];
  const writeStudyPlan = async (): Promise<void> => {
    const { mkdir } = await import('node:fs/promises');
    await mkdir(paths().tiles);
    await writeFile(paths().plan, '{}');
  };

  test.each(cases)('%s: %s', async (_, message, damage) => {
    await damage();
    const error: unknown = await openStudy(dir).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'ERR_TRACIN_STUDY', message: expect.stringContaining(message) as string });
    expect((error as Error).message).not.toContain('\n');
  });

  test('also when it happens after opening', async () => {
    await truncate(paths().scores, 140);
    await expect(study.scores(0)).rejects.toMatchObject({ code: 'ERR_TRACIN_STUDY' });
  });
});
