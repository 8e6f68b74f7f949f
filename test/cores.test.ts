import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { coresHere } from '../lib/cores';

let folder: string;
beforeAll(async () => (folder = await mkdtemp(join(tmpdir(), 'tracin-cores-'))));
afterAll(() => rm(folder, { recursive: true }));

/** A file system with these files. */
async function rootOf(files: Readonly<Record<string, string>>): Promise<string> {
  const root = await mkdtemp(join(folder, 'root-'));
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), `${text}\n`);
  }
  return root;
}

/** Four cores of two threads each: 0 and 4, 1 and 5, … */
const topology = Object.fromEntries(
  Array.from({ length: 8 }, (_, thread) => [
    `sys/devices/system/cpu/cpu${thread}/topology/thread_siblings_list`,
    `${thread % 4},${(thread % 4) + 4}`,
  ]),
);
const allowed = (list: string) => ({ 'proc/self/status': `Name:\tnode\nCpus_allowed:\tff\nCpus_allowed_list:\t${list}\nMems_allowed:\t1` });

describe('coresHere', () => {
  it.each([
    ['0-7', 4],
    ['0-3', 4],
    ['2,6', 1],
    ['0,2-3,7', 3],
  ])('counts the cores of hardware threads %s once each', async (list, cores) => {
    expect(coresHere(await rootOf({ ...topology, ...allowed(list) }))).toBe(cores);
  });

  it.each([
    ['/', { 'sys/fs/cgroup/cpu.max': '150000 100000' }, 2],
    ['/a/b', { 'sys/fs/cgroup/a/cpu.max': '300000 100000', 'sys/fs/cgroup/a/b/cpu.max': 'max 100000' }, 3],
    ['/a', { 'sys/fs/cgroup/a/cpu.max': '1000 100000' }, 1],
    ['/', { 'sys/fs/cgroup/cpu.max': '1600000 100000' }, 4],
    ['/', {}, 4],
  ])('takes no more than the time that control group %s allows: %j', async (group, files, cores) => {
    const own = { ...topology, ...allowed('0-7'), 'proc/self/cgroup': `1:cpuset:/other\n0::${group}`, ...files };
    expect(coresHere(await rootOf(own))).toBe(cores);
  });

  it('is what Node says where the system does not tell', async () => {
    expect(coresHere(await rootOf({}))).toBe(availableParallelism());
    expect(coresHere(await rootOf(allowed('0-7')))).toBe(availableParallelism());
  });

  it('is at least one here and no more than there are hardware threads', () => {
    expect(coresHere()).toBeGreaterThanOrEqual(1);
    expect(coresHere()).toBeLessThanOrEqual(availableParallelism());
  });
});
