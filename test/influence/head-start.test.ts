/** Short runs go on with what they computed before their plan was told. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Engine, Program } from '../../lib/engine/engine';
import { openReferenceEngine } from '../../lib/engine/reference';
import { secondsOf } from '../../lib/influence/calibration';
import type { InfluencePlan } from '../../lib/influence/plan';
import { computeInfluence, computeShard, planInfluence, type InfluenceOptions } from '../../lib/influence/run';
import { arraysOf } from './support/runs';
import { openTiny, SIZE, type Tiny } from './support/tiny';

const TESTS = 5;
const TRAININGS = 9;

let tiny: Tiny;
let folder: string;
let whole: Record<string, string>;
beforeAll(async () => {
  tiny = await openTiny(TESTS, TRAININGS);
  folder = await mkdtemp(join(tmpdir(), 'tracin-head-start-'));
  whole = await arraysOf((await computeInfluence(settings('whole', openReferenceEngine()))).dir);
});
afterAll(async () => {
  await tiny.close();
  await rm(folder, { recursive: true, force: true });
});

const settings = (out: string, engine: InfluenceOptions['engine']): InfluenceOptions => ({
  train: tiny.train,
  test: tiny.test,
  networks: tiny.networks,
  engine,
  out: join(folder, out),
});

/** Counts the slices that a program predicts, appends, contracts, and the blocks that are still there. */
function counting() {
  const seen = { forward: 0, append: 0, contract: 0, blocks: 0 };
  const appended: number[] = [];
  const slicesOf = ({ length }: { length: number }): number => length / (SIZE[0]! * SIZE[1]!);
  const engine: Engine = {
    ...openReferenceEngine(),
    async compile(graph, options): Promise<Program> {
      const program = await openReferenceEngine().compile(graph, options);
      const [forward, contract, resident] = [program.forward.bind(program), program.contract.bind(program), program.resident.bind(program)];
      program.forward = (images, call) => {
        seen.forward += slicesOf(images) / 2;
        return forward(images, call);
      };
      program.contract = (block, batch, loss, call) => {
        seen.contract += slicesOf(batch.targets);
        return contract(block, batch, loss, call);
      };
      program.resident = async (capacity) => {
        const block = await resident(capacity);
        seen.blocks++;
        const [append, dispose] = [block.append.bind(block), block.dispose.bind(block)];
        let there = true;
        block.append = (batch, loss, call) => {
          seen.append += slicesOf(batch.targets);
          appended.push(slicesOf(batch.targets));
          return append(batch, loss, call);
        };
        block.dispose = () => {
          if (there) seen.blocks--;
          there = false;
          dispose();
        };
        return block;
      };
      return program;
    },
  };
  return { engine, seen, appended };
}

const COMPUTED = { append: 2 * TESTS, contract: 2 * TRAININGS, blocks: 0 };

test.each([1, 2, 3, 8])('in batches of %i, every slice is computed once at each checkpoint', async (batch) => {
  const { engine, seen } = counting();
  const { dir } = await computeInfluence({ ...settings(`batch-${batch}`, engine), batch });
  expect(seen).toMatchObject(COMPUTED);
  expect(await arraysOf(dir)).toEqual(whole);
});

test('an engine that predicts predicts every slice once', async () => {
  const { engine, seen } = counting();
  const native: Engine = { ...engine, name: 'cpu' };
  const { dir } = await computeInfluence(settings('predicts', native));
  expect(seen).toEqual({ ...COMPUTED, forward: TESTS + TRAININGS });
  expect(await arraysOf(dir)).toEqual(whole);
});

test('of several engines the others catch up', async () => {
  const engines = [counting(), counting()];
  const all = engines.map(({ engine }) => engine);
  const { dir } = await computeInfluence({ ...settings('several', all), batch: 2 });
  expect(engines.map(({ seen }) => seen.append)).toEqual([2 * TESTS, 2 * TESTS]);
  expect(engines.map(({ seen }) => seen.blocks)).toEqual([0, 0]);
  expect(await arraysOf(dir)).toEqual(whole);
});

test('in several passes it is the first that has begun', async () => {
  const { engine, seen } = counting();
  const { dir } = await computeInfluence({ ...settings('passes', engine), resident: 3, batch: 2 });
  expect(seen).toMatchObject({ ...COMPUTED, contract: 2 * 2 * TRAININGS });
  expect(await arraysOf(dir)).toEqual(whole);
});

test('resumed where the first pass is done, it is of no use and changes nothing', async () => {
  const stop = new AbortController();
  const options = { ...settings('resumed', openReferenceEngine()), resident: 3, batch: 2 };
  const onProgress: InfluenceOptions['onProgress'] = ({ stage, done }) => {
    if (stage === 'influence' && done > 3 + TRAININGS) stop.abort();
  };
  await expect(computeInfluence({ ...options, signal: stop.signal, onProgress })).rejects.toMatchObject({ code: 'ERR_TRACIN_ABORTED' });
  const { engine, seen } = counting();
  const { dir } = await computeInfluence({ ...options, engine, resume: true });
  expect(seen.blocks).toBe(0);
  expect(await arraysOf(dir)).toEqual(whole);
});

test('whether a run begins so depends on its pace, what is computed together does not', async () => {
  const now = performance.now.bind(performance);
  const batchesAt = async (pace: number): Promise<number[]> => {
    const { engine, appended } = counting();
    jest.spyOn(performance, 'now').mockImplementation(() => now() * pace);
    try {
      await computeInfluence({ ...settings(`pace-${pace}`, engine), resident: 3, batch: 1 });
    } finally {
      jest.restoreAllMocks();
    }
    return appended;
  };
  const quick = await batchesAt(1);
  expect(quick).toEqual([2, 1, 1, 1, 1, 1, 1, 1, 1]);
  expect(await batchesAt(1e6)).toEqual(quick);
});

test('every shard begins so', async () => {
  const [first, second] = [counting(), counting()];
  await computeShard({ ...settings('shards', first.engine), batch: 2 }, { index: 1, count: 2 });
  await computeShard({ ...settings('shards', second.engine), batch: 2 }, { index: 2, count: 2 });
  expect([first, second].map(({ seen }) => seen)).toMatchObject([1, 2].map(() => ({ append: 2 * TESTS, blocks: 0 })));
  const { dir } = await computeInfluence({ ...settings('shards', openReferenceEngine()), resume: true });
  expect(await arraysOf(dir)).toEqual(whole);
});

test('a plan alone computes two slices and keeps nothing', async () => {
  const { engine, seen } = counting();
  const plan = await planInfluence({ ...settings('planned', engine), batch: 1 });
  expect(seen).toMatchObject({ append: 2, contract: 0, blocks: 0 });
  expect(plan.seconds).toBeGreaterThan(0);
});

describe('seconds of a plan', () => {
  const sizes = { checkpoints: 2, tests: 2, trainings: 8, classes: 3, passes: 1, capacity: 2, keepsAll: true };
  const plan = sizes as unknown as InfluencePlan;
  const costs = { read: 0.5, predict: 0.25, gradients: 1, row: 0, unseen: 1, process: 0 };
  const plainly = { devices: 1, predicting: false, compared: 0 };

  test('reading and predicting once, gradients at each checkpoint, what is compared in float32 half as long again', () => {
    expect(secondsOf(plan, costs, plainly)).toBe(10 * 0.75 + 2 * 10);
    expect(secondsOf(plan, costs, { ...plainly, compared: 4 })).toBe(10 * 0.75 + 2 * 10 + 4 * 1.5);
    expect(secondsOf(plan, costs, { ...plainly, devices: 2 })).toBe(10 * 0.75 + 2 * (2 + 4));
    const read = { ...plan, keepsAll: false };
    expect(secondsOf(read, { ...costs, row: 0.25, unseen: 2 }, plainly)).toBe(2 * (10 * 0.75 + 2 * (2 * 1.5 + 8 * 3)));
  });

  test('where training slices are predicted as they are contracted, most of predicting them is spared, and one reading', () => {
    const way = { ...plainly, predicting: true };
    const rest = 0.25 * 0.25;
    expect(secondsOf(plan, costs, way)).toBe(10 * 0.5 + 2 * 0.25 + 8 * rest + 2 * 10);
    expect(secondsOf(plan, costs, { ...way, devices: 2 })).toBe(10 * 0.5 + 2 * 0.25 + 4 * rest + 2 * (2 + 4));
    expect(secondsOf({ ...plan, keepsAll: false }, costs, way)).toBe(2 * 0.75 + 8 * rest + 2 * 10 * 1.5);
  });
});
