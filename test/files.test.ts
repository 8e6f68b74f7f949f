/** Files that many write and change at once, and some are killed in. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { changeFile } from '../lib/change-file';
import { replaceFile } from '../lib/files';

const CHILD = join(__dirname, 'support', 'changes-child.js');
let dir: string;
let path: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tracin-'));
  path = join(dir, 'made', 'numbers.json');
});
afterEach(() => rm(dir, { recursive: true }));

const read = async (): Promise<number[]> => JSON.parse(await readFile(path, 'utf8').catch(() => '[]')) as number[];
const add = (number: number): Promise<void> => changeFile(path, async () => JSON.stringify([...(await read()), number]));
const upTo = (count: number): number[] => [...Array(count).keys()];

it('keeps every change of those that come at once', async () => {
  await Promise.all(upTo(20).map(add));
  expect((await read()).sort((a, b) => a - b)).toEqual(upTo(20));
  expect(await readdir(dirname(path))).toEqual(['numbers.json']);
});

it('keeps every change of several processes', async () => {
  const started = [0, 20, 40].map((first) => promisify(execFile)(process.execPath, [CHILD, path, String(first), '20']));
  await Promise.all(started);
  expect((await read()).sort((a, b) => a - b)).toEqual(upTo(60));
});

it('waits for who holds the file, and for a while after that was killed', async () => {
  await mkdir(`${path}.lock`, { recursive: true });
  const now = jest.spyOn(Date, 'now');
  try {
    let done = false;
    const change = add(7).then(() => (done = true));
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect([done, await read()]).toEqual([false, []]);
    let later = Date.now();
    now.mockImplementation(() => (later += 30_000)); // also where it has not looked at the lock so far
    await change;
  } finally {
    now.mockRestore();
  }
  expect([await read(), await readdir(dirname(path))]).toEqual([[7], ['numbers.json']]);
});

it('renews the lock of a change that takes long', async () => {
  await changeFile(path, async () => {
    const renewed = async (): Promise<number> => (await stat(`${path}.lock`)).ctimeMs;
    const before = await renewed();
    while ((await renewed()) === before) await new Promise((resolve) => setTimeout(resolve, 50));
    return '[7]';
  });
  expect([await read(), await readdir(dirname(path))]).toEqual([[7], ['numbers.json']]);
});

it('leaves the file and no lock where a change fails', async () => {
  await add(1);
  await expect(changeFile(path, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect([await read(), await readdir(dirname(path))]).toEqual([[1], ['numbers.json']]);
  await writeFile(join(dir, 'file'), '');
  const wrong = changeFile(join(dir, 'file', 'numbers.json'), () => Promise.resolve(''));
  await expect(wrong).rejects.toMatchObject({ code: 'ERR_TRACIN_IO' });
});

it('removes what a killed process was writing aside, not what is being written', async () => {
  const write = async (): Promise<ReturnType<typeof spawn>> => {
    const child = spawn(process.execPath, [join(__dirname, 'support', 'written-child.js'), path], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    return child;
  };
  const [killed, living] = [await write(), await write()];
  killed.kill('SIGKILL');
  await once(killed, 'exit');
  try {
    await replaceFile(path, '1');
    const left = await readdir(dirname(path));
    expect(left).toEqual(['numbers.json', expect.stringContaining(`-${living.pid}-`)]);
  } finally {
    living.kill('SIGKILL');
    await once(living, 'exit');
  }
});

it('removes what was written aside on another machine after a day', async () => {
  const [old, young] = ['numbers.json.partial-000000-1-000000', 'numbers.json.partial-0123456789ab'];
  await mkdir(dirname(path));
  for (const name of [old, young]) await writeFile(join(dirname(path), name), 'half');
  const before = Date.now() / 1000 - 25 * 3600;
  await utimes(join(dirname(path), old), before, before);
  await replaceFile(path, '1');
  expect(await readdir(dirname(path))).toEqual(['numbers.json', young]);
});
