import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeTable } from '../../lib/influence/table';
import { writeStudy } from './support/studies';

async function readTable(path: string): Promise<Record<string, unknown>[]> {
  const { parquetReadObjects } = await import('hyparquet');
  const bytes = await readFile(path);
  return parquetReadObjects({ file: new Uint8Array(bytes).buffer });
}

test('scores.parquet has a row for each pair of present regions', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tracin-table-'));
  const study = await writeStudy(join(dir, 'study'), {
    classes: ['ED', 'ET'],
    learningRates: [0.5],
    test: [
      ['T', 7, [3, 0]],
      ['U', 8, [0, 2]],
    ],
    train: [['A', 4, [5, 6]]],
    products: [[2, -4, 0, 0, 0, 0, 6, 8]],
    testNorms: [4, 0, 0, 1],
    trainNorms: [1, 16],
  });
  const progress: number[] = [];
  const path = await writeTable(study, { onProgress: ({ done }) => progress.push(done) });
  const rows = await readTable(path);
  const test = { test_case: 'T', test_patient: 'T', test_slice: 7, test_class: 'ED', test_pixels: 3 };
  const other = { test_case: 'U', test_patient: 'U', test_slice: 8, test_class: 'ET', test_pixels: 2 };
  const ed = { train_case: 'A', train_patient: 'A', train_slice: 4, train_class: 'ED', train_pixels: 5 };
  const et = { ...ed, train_class: 'ET', train_pixels: 6 };
  expect(rows).toEqual([
    { ...test, ...ed, score: 1, cosine: 0.5, relative: 1 },
    { ...test, ...et, score: -2, cosine: -0.25, relative: -0.5 },
    { ...other, ...ed, score: 3, cosine: 3, relative: 3 },
    { ...other, ...et, score: 4, cosine: 1, relative: 1 },
  ]);
  expect(progress).toEqual([2]);

  await writeTable(study.reweighted([1]));
  const weighted = await readTable(path);
  expect(weighted.map(({ score }) => score)).toEqual([2, -4, 6, 8]);

  const abort = new AbortController();
  abort.abort();
  await expect(writeTable(study, { signal: abort.signal })).rejects.toMatchObject({ code: 'ERR_TRACIN_ABORTED' });
  expect((await readdir(study.dir)).filter((name) => name.includes('partial'))).toEqual([]);
  await rm(dir, { recursive: true });
});
