/** From no data at all to a ranking, by the commands of the README. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Ranking } from '../../lib/influence/ranking';
import { readNpy } from '../../lib/npy';
import { tracin } from '../support/cli';

const cwd = mkdtempSync(join(tmpdir(), 'tracin-cli-'));
afterAll(() => rmSync(cwd, { recursive: true, force: true }));

async function done(...words: string[]): Promise<string> {
  const outcome = await tracin(words, { cwd });
  if (outcome.status !== 0) throw new Error(`${words.join(' ')}: ${outcome.stderr}`);
  return outcome.stdout;
}
const lines = (file: string): string[] => readFileSync(join(cwd, file), 'utf8').trimEnd().split('\n');

beforeAll(async () => {
  await done('phantom', 'patients', '--cases', '6', '--size', '32', '--planted', '0.5');
  await done(
    ...'train --data patients --split patients/split.json --size 32 --network resunet --width 4 --levels 2 --epochs 2 --run run'.split(' '),
  );
});

test('phantom writes cases, a split and the faults it planted', () => {
  expect(readdirSync(join(cwd, 'patients', 'Phantom_001'))).toHaveLength(5);
  expect(JSON.parse(readFileSync(join(cwd, 'patients', 'planted.json'), 'utf8'))).toHaveLength(2);
});

test('train writes the run', () => {
  expect(readdirSync(join(cwd, 'run')).sort()).toEqual(['checkpoints', 'metrics.csv', 'run.json', 'state.safetensors']);
  expect(readdirSync(join(cwd, 'run', 'checkpoints'))).toEqual(['epoch-001.onnx', 'epoch-002.onnx']);
  expect(lines('run/metrics.csv')).toHaveLength(3);
});

test('predict takes data and preparation from the run', async () => {
  const stdout = await done('predict', '--run', 'run', '--part', 'test', '--out', 'predicted');
  const { split } = JSON.parse(readFileSync(join(cwd, 'run', 'run.json'), 'utf8')) as { split: { test: string[] } };
  expect(readdirSync(join(cwd, 'predicted')).sort()).toEqual(
    [...split.test.map((name) => `${name}.nii.gz`), 'dice.csv', 'dice.json', 'labels.txt'].sort(),
  );
  const [head, ...rows] = stdout.trimEnd().split('\n').map((line) => line.trim().split(/\s+/)); // prettier-ignore
  expect(head).toEqual(['Dice', 'NCR/NET', 'ED', 'ET']);
  expect(rows.map(([name]) => name)).toEqual([...split.test, 'mean']);
});

test('influence and rank of the run; chosen epochs, the table', async () => {
  const words = await done(
    'influence',
    '--run',
    'run',
    '--checkpoints',
    '2',
    '--region',
    'truth',
    '--slices',
    'tumour:8',
    '--spread',
    '2',
    '--out',
    'study',
    '--table',
  );
  expect(words).toMatch(/^loss of class c: .*pixels labelled c$/m);
  const { shape } = await readNpy(join(cwd, 'study', 'scores.npy'));
  expect(shape).toEqual([2, 3, 8, 3]);
  expect(
    readFileSync(join(cwd, 'study', 'scores.parquet'))
      .subarray(0, 4)
      .toString(),
  ).toBe('PAR1');
  const { split } = JSON.parse(readFileSync(join(cwd, 'run', 'run.json'), 'utf8')) as { split: { train: string[]; test: string[] } };
  const test = split.test[0]!;
  const ranking = JSON.parse(await done('rank', 'study', '--test', test, '--class', 'ED', '--top', '3', '--json')) as Ranking;
  expect(ranking).toMatchObject({ test: { case: test, class: 'ED' }, by: 'slice', normalize: 'none' });
  expect(ranking.proponents).toHaveLength(3);
  expect(ranking.proponents[0]!.score).toBeGreaterThanOrEqual(ranking.proponents[1]!.score);
  const table = await done(
    'rank',
    'study',
    '--test',
    `${test}:${ranking.test.slice}`,
    '--class',
    'ED',
    '--by',
    'patient',
    '--normalize',
    'cosine',
  );
  for (const name of split.train) expect(table).toContain(name);
  expect(table).toMatch(/^score: cosine influence$/m);
});

test('shards, joined, are the study of one call; --self leaves the test slices out', async () => {
  const words = ['influence', '--run', 'run', '--checkpoints', '2', '--region', 'truth', '--spread', '2', '--device', 'reference'];
  await done(...words, '--out', 'whole');
  expect(await done(...words, '--out', 'joined', '--shard', '1/2')).toMatch(
    /^shard 1\/2 is done; [1-9]\d* tiles of the others are missing/,
  );
  expect(await done(...words, '--out', 'joined', '--shard', '2/2')).toMatch(/^shard 2\/2 is done; nothing is missing/);
  await done(...words, '--out', 'joined', '--resume');
  await done(...words, '--out', 'self', '--self');
  const bytes = (study: string, file: string): string => readFileSync(join(cwd, study, file), 'latin1');
  for (const file of ['scores.npy', 'norms-train.npy', 'study.json']) expect(bytes('joined', file)).toBe(bytes('whole', file));
  for (const file of ['norms-train.npy', 'losses-train.npy']) expect(bytes('self', file)).toBe(bytes('whole', file));
});

test('the preset of the paper, on the reference engine', async () => {
  const words = ['--preset', 'paper-code', '--device', 'reference', '--spread', '1', '--out', 'paper'];
  expect(await done('influence', '--run', 'run', ...words)).toMatch(/the last convolution's kernel alone[^]*η_t = 1 at every checkpoint/);
});
