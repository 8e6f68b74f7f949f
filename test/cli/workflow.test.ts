/** From no data at all to a ranking, by the commands of the README. */
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readVolume } from '../../lib/dataset/nifti';
import type { MapEntry } from '../../lib/explanation/map-files';
import type { Ranking } from '../../lib/influence/ranking';
import { readNpy } from '../../lib/npy';
import { refusal, tracin } from '../support/cli';

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
  expect(table).toMatch(/^score: cosine influence, the sum over the patient's regions; cosine: its mean, −1 to 1$/m);
  const means = [...table.matchAll(/^ +\d+ +-?\d\.\d{3}e[+-]\d+ +(-?\d\.\d\d) /gm)].map(([, mean]) => Math.abs(Number(mean)));
  expect(means).toHaveLength(2 * split.train.length);
  expect(Math.max(...means)).toBeLessThanOrEqual(1);
});

test('maps lie on the voxels of their slices', async () => {
  const {
    test: [test],
  } = (JSON.parse(readFileSync(join(cwd, 'run', 'run.json'), 'utf8')) as { split: { test: string[] } }).split;
  const words = ['explain', 'study', '--maps', '--test', test!, '--class', 'ED', '--top', '1'];
  const maps = JSON.parse(await done(...words, '--json')) as MapEntry[];
  expect(JSON.parse(readFileSync(join(cwd, 'study', 'maps', 'index.json'), 'utf8'))).toEqual(maps);
  for (const {
    side,
    file,
    volume,
    sum,
    score,
    train: { case: neighbour, slice: at },
    test: { slice },
  } of maps) {
    expect(Math.abs(sum - score)).toBeLessThan(1e-5 * Math.abs(score));
    const [name, z] = side === 'train' ? [neighbour, at] : [test!, slice];
    const written = await readVolume(join(cwd, 'study', 'maps', volume!));
    const source = await readVolume(join(cwd, 'patients', name, `${name}_t1.nii.gz`));
    expect([written.header.shape, written.header.affine]).toEqual([source.header.shape, source.header.affine]);
    // qform and sform with their codes
    expect(written.header.bytes.subarray(252, 328)).toEqual(source.header.bytes.subarray(252, 328));
    const { data } = await readNpy(join(cwd, 'study', 'maps', file));
    const [width, height] = source.header.shape;
    const labels = (await readVolume(join(cwd, 'patients', name, `${name}_seg.nii.gz`))).voxels;
    const expected = written.voxels.map((_, voxel) => {
      const [x, y, slab] = [voxel % width, Math.floor(voxel / width) % height, Math.floor(voxel / (width * height))];
      return slab === z ? (data[x * height + y] as number) : 0;
    });
    expect(written.voxels.findIndex((value, voxel) => value !== expected[voxel])).toBe(-1);
    // The region of ED is label 2 in the file.
    expect(written.voxels.findIndex((value, voxel) => value !== 0 && labels[voxel] !== 2)).toBe(-1);
    expect(
      readFileSync(join(cwd, 'study', 'maps', file.replace(/npy$/, 'png')))
        .subarray(1, 4)
        .toString(),
    ).toBe('PNG');
  }
  expect(await done(...words)).toMatch(/^ED of .*, slice \d+$/m);
});

test('maps of a study whose data and run have moved', async () => {
  const {
    test: [test],
  } = (JSON.parse(readFileSync(join(cwd, 'run', 'run.json'), 'utf8')) as { split: { test: string[] } }).split;
  const words = ['explain', 'study', '--maps', '--test', test!, '--class', 'ET', '--top', '1'];
  renameSync(join(cwd, 'patients'), join(cwd, 'elsewhere'));
  renameSync(join(cwd, 'run'), join(cwd, 'older'));
  expect(await refusal(words, cwd)).toMatch(/patients, which .* was computed from, is not there: .*--data/);
  expect(await refusal([...words, '--data', 'elsewhere'], cwd)).toMatch(/epoch-002.onnx, which .* is not there: .*--run/);
  expect(await done(...words, '--data', 'elsewhere', '--run', 'older')).toMatch(/maps in study/);
  renameSync(join(cwd, 'elsewhere'), join(cwd, 'patients'));
  renameSync(join(cwd, 'older'), join(cwd, 'run'));
  expect(await refusal(['explain', 'study', '--maps'], cwd)).toMatch(/--test and --class/);
  expect(await refusal(['explain', 'study', '--features', '--top', '2'], cwd)).toMatch(/belong to --maps/);
});

test('shards, joined, are the study of one call; --self leaves the test slices out', async () => {
  const words = 'influence --run run --checkpoints 2 --region truth --spread 2 --batch 1 --device reference'.split(' ');
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
