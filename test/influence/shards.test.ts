import { mkdtemp, readdir, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Engine } from '../../lib/engine/engine';
import { openReferenceEngine } from '../../lib/engine/reference';
import { computeInfluence, computeShard, type InfluenceOptions } from '../../lib/influence/run';
import { openStudy } from '../../lib/influence/study';
import type { Progress } from '../../lib/progress';
import { contents } from '../support/folders';
import { LEARNING_RATES, openTiny, type Tiny } from './support/tiny';
import { watched } from './support/watched';

const engine = openReferenceEngine();
let tiny: Tiny;
let folder: string;

beforeAll(async () => {
  tiny = await openTiny(3, 7);
  folder = await mkdtemp(join(tmpdir(), 'tracin-shards-'));
});
afterAll(async () => {
  await tiny.close();
  await rm(folder, { recursive: true, force: true });
});

const settings = (name: string): InfluenceOptions => {
  const networks = { checkpoints: tiny.checkpoints, learningRates: LEARNING_RATES };
  return { train: tiny.train, test: tiny.test, networks, engine, out: join(folder, name), batch: 2 };
};

test('shards computed at once and joined give the bytes of one run', async () => {
  const whole = await computeInfluence(settings('whole'));
  const options = settings('shards');
  const three = [1, 2, 3].map((index) => ({ index, count: 3 }));
  await computeShard(options, three[2]!);
  await expect(openStudy(options.out)).rejects.toMatchObject({ code: 'ERR_TRACIN_STUDY' });
  const [first, second] = await Promise.all([computeShard(options, three[0]!), computeShard(options, three[1]!)]);
  expect(Math.min(first.missing, second.missing)).toBe(0);
  const calls: string[] = [];
  await computeInfluence({ ...options, engine: watched(engine, (method) => void calls.push(method)), resume: true });
  expect(await contents(options.out)).toEqual(await contents(whole.dir));
  expect(calls).toEqual(['dispose']);
  expect(await computeShard(options, three[0]!)).toEqual({ missing: 0 });
});

test('a shard that finds another was first goes by the plan of that one', async () => {
  const options = settings('late');
  const late: Engine = {
    ...engine,
    async compile(graph, compileOptions) {
      await computeShard({ ...options, resident: 1 }, { index: 2, count: 2 });
      return engine.compile(graph, compileOptions);
    },
  };
  const told: Progress[] = [];
  const onProgress = (progress: Progress): void => void told.push(progress);
  await computeShard({ ...options, engine: late, onProgress }, { index: 1, count: 2 });
  // three passes of one test slice each over its four training slices, for two checkpoints
  const total = 2 * (3 + 3 * 4);
  const steps = told.filter(({ stage }) => stage === 'influence');
  expect(steps.at(-1)).toMatchObject({ done: total, total });
  expect(new Set(steps.map(({ done }) => done)).size).toBe(steps.length);
});

test('what a shard left out or left damaged is computed when they are joined', async () => {
  const options = settings('partly');
  const { missing } = await computeShard(options, { index: 2, count: 2 });
  expect(missing).toBeGreaterThan(0);
  const tiles = join(options.out, 'tiles');
  const [first, second, third] = (await readdir(tiles)).filter((name) => name.endsWith('.tile')).sort();
  await writeFile(join(tiles, first!), 'damaged');
  await unlink(join(tiles, second!));
  await writeFile(join(tiles, `${third!}.partial-0123456789ab`), 'left by a kill');
  await computeInfluence({ ...options, resume: true });
  expect(await contents(options.out)).toEqual(await contents(join(folder, 'whole')));
});

test('a shard of something else is refused', async () => {
  const options = settings('other');
  await computeShard(options, { index: 1, count: 2 });
  await expect(computeShard({ ...options, definition: { region: 'truth' } }, { index: 2, count: 2 })).rejects.toMatchObject({
    code: 'ERR_TRACIN_STUDY',
    message: expect.stringContaining('definition.region') as string,
  });
});

test.each([
  [0, 2],
  [3, 2],
  [1.5, 2],
])('shard %p/%p is refused', async (index, count) => {
  await expect(computeShard(settings('none'), { index, count })).rejects.toMatchObject({ code: 'ERR_TRACIN_USAGE' });
});
