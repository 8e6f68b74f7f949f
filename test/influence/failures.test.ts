/** What goes wrong outside of us: one line, what is finished stays, and the study ends with the same bytes once it is mended. */
import { execFile, spawnSync } from 'node:child_process';
import files from 'node:fs/promises';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { SliceSource } from '../../lib/dataset/slices';
import { chosenSlices } from '../../lib/dataset/views';
import { openReferenceEngine } from '../../lib/engine/reference';
import { TracinError } from '../../lib/errors';
import { writeOnnx } from '../../lib/graph/onnx';
import { beginStudy } from '../../lib/influence/resume';
import { computeInfluence, planInfluence, type InfluenceOptions } from '../../lib/influence/run';
import { openStudy } from '../../lib/influence/study';
import { arraysOf } from './support/runs';
import { LEARNING_RATES, openTiny, tinyNetwork, type Tiny } from './support/tiny';

const MAIN = resolve(__dirname, '../../dist/lib/cli/main.js');
/** Whether a disk of our own can be made here. */
const ownDisk = process.platform === 'linux' && spawnSync('unshare', ['-Urm', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0;

let tiny: Tiny;
let whole: Record<string, string>;
beforeAll(async () => {
  tiny = await openTiny(3, 130);
  await computeInfluence(settings('whole'));
  whole = await arraysIn('whole');
});
afterAll(() => tiny.close());

function settings(out: string): InfluenceOptions {
  const networks = { checkpoints: tiny.checkpoints, learningRates: LEARNING_RATES };
  const definition = { region: 'truth' } as const;
  return { train: tiny.train, test: tiny.test, networks, definition, engine: openReferenceEngine(), out: join(tiny.dir, out) };
}

const arraysIn = (out: string): Promise<Record<string, string>> => arraysOf(join(tiny.dir, out));

const tilesIn = async (out: string): Promise<string[]> =>
  (await readdir(join(tiny.dir, out, 'tiles'))).filter((name) => name.endsWith('.tile'));

async function mended(out: string): Promise<void> {
  await computeInfluence({ ...settings(out), resume: true });
  expect(await arraysIn(out)).toEqual(whole);
}

test('tiles that cannot be removed: told in one line, and the study is whole', async () => {
  const { rm: remove } = files;
  const busy = Object.assign(new Error('ENOTEMPTY: directory not empty'), { code: 'ENOTEMPTY' });
  const removing = jest.spyOn(files, 'rm').mockImplementation((path, options) => {
    return String(path).endsWith('tiles') ? Promise.reject(busy) : remove(path, options);
  });
  try {
    await expect(computeInfluence(settings('stuck'))).rejects.toMatchObject({
      code: 'ERR_TRACIN_IO',
      message: expect.stringMatching(/^cannot remove .*tiles: ENOTEMPTY/) as string,
    });
  } finally {
    removing.mockRestore();
  }
  await mended('stuck');
  expect(await readdir(join(tiny.dir, 'stuck'))).not.toContain('tiles');
});

test('a checkpoint that vanishes', async () => {
  // Worked on last first; the first stays in memory and the next one is read ahead, so it is the second of four that is missed.
  const [second, last] = [join(tiny.dir, 'second.onnx'), join(tiny.dir, 'last.onnx')];
  await writeOnnx(second, tinyNetwork(3));
  await writeOnnx(last, tinyNetwork(4));
  const [first, third] = tiny.checkpoints;
  const networks = { checkpoints: [first!, second, third!, last], learningRates: [0.04, 0.03, 0.02, 0.01] };
  let moved: Promise<void> | undefined;
  const onProgress = ({ stage }: { stage: string }): void => {
    if (stage === 'influence') moved ??= rename(second, `${second}.away`);
  };
  await expect(computeInfluence({ ...settings('vanished'), networks, onProgress })).rejects.toMatchObject({
    code: 'ERR_TRACIN_IO',
    message: `cannot read ${second}: it does not exist: check the path`,
  });
  await moved;
  expect((await tilesIn('vanished')).filter((name) => name.startsWith('checkpoint-'))).toHaveLength(2 * 4);
  await rename(`${second}.away`, second);
  await computeInfluence({ ...settings('vanished'), networks, resume: true });
  await computeInfluence({ ...settings('four'), networks });
  expect(await arraysIn('vanished')).toEqual(await arraysIn('four'));
});

test('slices that can no longer be read', async () => {
  let reads = 0;
  const failing: SliceSource = {
    ...chosenSlices(tiny.train, [...tiny.train.slices.keys()]),
    read: async (positions, options) => {
      if (++reads > 40) throw new TracinError('ERR_TRACIN_IO', 'cannot read patients/7: the disk was pulled out');
      return tiny.train.read(positions, options);
    },
  };
  await expect(computeInfluence({ ...settings('unreadable'), train: failing })).rejects.toMatchObject({
    message: 'cannot read patients/7: the disk was pulled out',
  });
  expect((await tilesIn('unreadable')).length).toBeGreaterThan(3);
  await mended('unreadable');
});

/** The command line after some words of a shell. */
function shell(before: string, out: string, ...words: string[]): string {
  const arrays = (['train', 'test'] as const).flatMap((role) =>
    ['images', 'labels'].flatMap((what) => [`--${role}-${what}`, join(tiny.dir, `${role}-${what}.npy`)]),
  );
  const networks = ['--checkpoints', tiny.checkpoints.join(), '--learning-rates', LEARNING_RATES.join()];
  const classes = ['--class-names', tiny.train.classes.join(), '--region', 'truth', '--device', 'reference'];
  return [before, process.execPath, MAIN, 'influence', ...networks, ...arrays, ...classes, '--out', out, ...words].join(' ');
}

function run(file: string, words: readonly string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  return new Promise((done) => {
    execFile(file, words, (error, stdout, stderr) => done({ status: error ? Number(error.code) : 0, stdout, stderr }));
  });
}

const lastLine = (text: string): string => text.trimEnd().split('\n').at(-1)!;

test('a file that may not grow', async () => {
  const out = join(tiny.dir, 'limited');
  const { status, stderr } = await run('bash', ['-c', shell('ulimit -f 12; exec', out)]);
  expect(lastLine(stderr)).toMatch(/^error: cannot write .*: it would grow larger than files may be here/);
  expect(status).toBe(1);
  expect(await tilesIn('limited')).toHaveLength(12);
  await mended('limited');
});

test('a folder that cannot be made', async () => {
  const file = join(tiny.dir, 'file');
  await writeFile(file, '');
  await expect(computeInfluence(settings('file/study'))).rejects.toMatchObject({
    code: 'ERR_TRACIN_IO',
    message: expect.stringContaining('a part of the path is not a folder') as string,
  });
});

test('a disk with less room than the study takes: told before anything is written, and no folder is left that was not there', async () => {
  const plan = { ...(await planInfluence(settings('none'))), disk: 2 ** 60 };
  const record = (await openStudy(join(tiny.dir, 'whole'))).record;
  const refused = { code: 'ERR_TRACIN_IO', message: expect.stringMatching(/ needs 1048576 TiB of disk but .* are free/) as string };
  await expect(beginStudy(join(tiny.dir, 'new', 'folders'), record, plan)).rejects.toMatchObject(refused);
  const own = join(tiny.dir, 'own');
  await mkdir(own);
  await expect(beginStudy(own, record, plan)).rejects.toMatchObject(refused);
  expect(await readdir(own)).toEqual([]);
  expect(await readdir(tiny.dir)).not.toContain('new');
});

(ownDisk ? test : test.skip)('a disk that fills up, then is read-only (needs namespaces)', async () => {
  const disk = await mkdtemp(join(tmpdir(), 'tracin-disk-'));
  const kept = join(tiny.dir, 'kept');
  await mkdir(kept);
  const out = join(disk, 'study');
  const script = [
    `mount -t tmpfs -o size=1m none ${disk}`,
    `${shell('', out, '--shard', '1/2')} >/dev/null 2>&1`,
    `ls ${out}/tiles | wc -l`,
    `head -c 2m /dev/zero > ${disk}/filler 2>/dev/null`,
    `${shell('', out, '--resume')} 2>&1 >/dev/null | tail -1`,
    `ls ${out}/tiles | wc -l`,
    `mount -o remount,ro ${disk}`,
    `${shell('', out, '--resume')} 2>&1 >/dev/null | tail -1`,
    `${shell('', join(disk, 'new', 'study'))} 2>&1 >/dev/null | tail -1`,
    `mount -o remount,rw ${disk}`,
    `rm ${disk}/filler`,
    `${shell('', out, '--resume')} >/dev/null 2>&1`,
    `cp ${out}/scores.npy ${kept}`,
  ];
  const { stdout } = await run('unshare', ['-Urm', 'sh', '-c', script.join('\n')]);
  const [before, full, after, readOnly, anew] = stdout.trimEnd().split('\n');
  expect(full).toMatch(/^error: cannot write .*: the disk is full: free some space and run again$/);
  expect(Number(after)).toBeGreaterThanOrEqual(Number(before));
  expect(readOnly).toMatch(/^error: cannot write .*: the file system is read-only: choose another folder$/);
  expect(anew).toMatch(/^error: cannot create .*: the file system is read-only: choose another folder$/);
  expect(await readFile(join(kept, 'scores.npy'), 'base64')).toBe(whole['scores.npy']);
  await rm(disk, { recursive: true, force: true });
});
