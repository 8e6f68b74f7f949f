/** Ctrl-C: status 130, and whatever has a final name is whole. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { readOnnx } from '../../lib/graph/onnx';
import { tracin } from '../support/cli';

const root = mkdtempSync(join(tmpdir(), 'tracin-cli-'));
const patients = join(root, 'patients');
const run = join(root, 'run');
const study = join(root, 'study');
afterAll(() => rmSync(root, { recursive: true, force: true }));

const filesOf = (dir: string): string[] =>
  readdirSync(dir, { recursive: true, withFileTypes: true }).flatMap((entry) =>
    entry.isFile() ? [join(entry.parentPath, entry.name)] : [],
  );

async function interrupted(words: readonly string[], at: RegExp): Promise<void> {
  const { status, stderr } = await tracin(words, { interruptAt: at });
  expect({ status, error: /^error: (.*)$/m.exec(stderr)?.[1], stack: /^\s+at /m.test(stderr) }).toEqual({
    status: 130,
    error: 'interrupted',
    stack: false,
  });
}

test('phantom: every volume there is whole', async () => {
  const dir = join(root, 'many');
  await interrupted(['phantom', dir, '--cases', '600', '--size', '64'], /phantom: \d+/);
  const files = filesOf(dir);
  expect(files.filter((file) => file.includes('.partial-'))).toEqual([]);
  const volumes = files.filter((file) => file.endsWith('.nii.gz'));
  expect(volumes.length).toBeGreaterThan(0);
  for (const file of volumes) expect(gunzipSync(readFileSync(file)).length).toBeGreaterThan(352);
  expect(files.some((file) => file.endsWith('phantom.json'))).toBe(false);
});

test('train: finished epochs stay, and the run goes on from them', async () => {
  expect((await tracin(['phantom', patients, '--cases', '4', '--size', '32'])).status).toBe(0);
  const words = [
    'train',
    '--data',
    patients,
    '--size',
    '32',
    '--network',
    'unet',
    '--width',
    '4',
    '--levels',
    '2',
    '--epochs',
    '30',
    '--no-flips',
    '--shift',
    '2',
    '--run',
    run,
  ];
  await interrupted([...words, '--threads', '1'], /epoch 2: /);
  expect(filesOf(run).filter((file) => file.includes('.partial-'))).toEqual([]);
  const epochs = filesOf(run).filter((file) => file.endsWith('.onnx'));
  expect(epochs.length).toBeGreaterThanOrEqual(2);
  expect(epochs.length).toBeLessThan(30);
  for (const file of epochs) expect((await readOnnx(file)).nodes.length).toBeGreaterThan(0);
  // What is told again of the augmentation leaves the rest of it as it was.
  const { status, stderr } = await tracin(['train', '--run', run, '--resume', '--threads', '1', '--shift', '2']);
  expect({ status, last: stderr.trimEnd().split('\n').at(-1) }).toEqual({ status: 0, last: `30 checkpoints in ${run}` });
  expect(stderr).not.toMatch(/^epoch 1: /m);
});

test('influence: nothing passes for a study, and --resume ends it', async () => {
  const words = [
    'influence',
    '--run',
    run,
    '--train',
    'Phantom_001,Phantom_002',
    '--test',
    'Phantom_003',
    '--out',
    study,
    '--threads',
    '1',
  ];
  await interrupted(words, /one pass over/);
  expect(readdirSync(study).filter((name) => name === 'study.json' || name.includes('.partial-'))).toEqual([]);
  const ranking = ['rank', study, '--test', 'Phantom_003', '--class', 'ED'];
  const early = await tracin(ranking);
  expect({ status: early.status, stderr: early.stderr }).toEqual({
    status: 2,
    stderr: expect.stringMatching(/^error: .* with --resume\n$/) as string,
  });
  expect((await tracin([...words, '--resume'])).status).toBe(0);
  expect((await tracin(ranking)).status).toBe(0);
  const picture = ['explain', study, '--maps', '--test', 'Phantom_003', '--class', 'ED', '--top', '1', '--features', '--threads', '1'];
  expect((await tracin(picture, { closeStdout: true })).status).toBe(0);
  expect(readdirSync(join(study, 'features'))).toContain('features.json');
  rmSync(join(study, 'maps'), { recursive: true });
  await interrupted(['explain', study, '--maps', '--test', 'Phantom_003', '--class', 'ED'], /engine /);
  expect(readdirSync(study)).not.toContain('maps');
});
