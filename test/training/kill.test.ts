import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { writeNpy } from '../../lib/npy';
import { blobs } from '../support/blobs';
import { contents } from '../support/folders';

const CHILD = join(__dirname, '..', 'support', 'train-child.js');

/** Trains in a process of its own, killed so many milliseconds after its first step. @returns whether it ended by itself */
async function trainUntil(data: string, run: string, milliseconds: number): Promise<boolean> {
  const child = spawn(process.execPath, [CHILD, data, run], { stdio: ['ignore', 'pipe', 'inherit'] });
  let timer: NodeJS.Timeout | undefined;
  child.stdout.on('data', () => {
    if (milliseconds < Infinity) timer ??= setTimeout(() => child.kill('SIGKILL'), milliseconds);
  });
  const code = await new Promise((resolve) => child.on('exit', resolve));
  clearTimeout(timer);
  return code === 0;
}

describe('a training killed at any moment', () => {
  let dir: string;
  beforeAll(async () => (dir = await mkdtemp(join(tmpdir(), 'tracin-'))));
  afterAll(() => rm(dir, { recursive: true }));

  it('ends, resumed as often as it takes, with the bytes of an undisturbed one', async () => {
    const source = blobs({ slices: 8, side: 16 });
    const { images, labels } = await source.read([...source.slices.keys()]);
    await writeNpy(join(dir, 'images.npy'), [8, 2, 16, 16], new Float32Array(images));
    await writeNpy(join(dir, 'labels.npy'), [8, 16, 16], new Uint8Array(labels!));

    expect(await trainUntil(dir, join(dir, 'whole'), Infinity)).toBe(true);
    const random = xoroshiro128plus(1);
    const run = join(dir, 'killed');
    let kills = 0;
    while (kills < 6 && !(await trainUntil(dir, run, uniformInt(random, 0, 300)))) kills++;
    expect(kills).toBeGreaterThan(0);

    await trainUntil(dir, run, Infinity);
    expect(await contents(run)).toEqual(await contents(join(dir, 'whole')));
  });
});
