/** An engine that leaves maps: training slices are predicted when they are contracted at the last checkpoint, in one forward pass. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import type { SliceSource } from '../../lib/dataset/slices';
import type { Engine } from '../../lib/engine/engine';
import { openReferenceEngine } from '../../lib/engine/reference';
import { computeInfluence, computeShard, type InfluenceOptions } from '../../lib/influence/run';
import { arraysOf, interruptAt } from './support/runs';
import { MODALITIES, openTiny, SIZE, type Tiny } from './support/tiny';

const TESTS = 3;
const TRAININGS = 7;
const KEPT = 2;

let tiny: Tiny;
let folder: string;
let whole: Record<string, string>;
beforeAll(async () => {
  tiny = await openTiny(TESTS, TRAININGS);
  folder = await mkdtemp(join(tmpdir(), 'tracin-predicted-'));
  whole = await arraysOf((await computeInfluence(settings('whole', openReferenceEngine()))).dir);
});
afterAll(async () => {
  await tiny.close();
  await rm(folder, { recursive: true, force: true });
});

const settings = (out: string, engine: Engine): InfluenceOptions => ({
  train: tiny.train,
  test: tiny.test,
  networks: tiny.networks,
  engine,
  out: join(folder, out),
  batch: 3,
});

/** The reference engine, of which every forward pass counts, and which says that it keeps maps. */
function keeping() {
  const seen = { forward: 0, forwarded: 0, contract: 0 };
  const slicesOf = ({ length }: Float32Array): number => length / (MODALITIES * SIZE[0]! * SIZE[1]!);
  const engine: Engine = {
    ...openReferenceEngine(),
    name: 'cpu',
    async compile(graph, options) {
      const program = await openReferenceEngine().compile(graph, options);
      const [forward, contract] = [program.forward.bind(program), program.contract.bind(program)];
      let last: Float32Array | undefined;
      program.forward = (images, call) => {
        seen.forward += slicesOf(images);
        last = images;
        return forward(images, call);
      };
      program.contract = (block, batch, loss, call) => {
        seen.contract += slicesOf(batch.images);
        if (call?.forwarded) {
          seen.forwarded += slicesOf(batch.images);
          expect(batch.images).toBe(last);
          expect(slicesOf(batch.images)).toBeLessThanOrEqual(KEPT);
        }
        last = undefined;
        return contract(block, batch, loss, call);
      };
      return Object.assign(program, { keptSlices: KEPT });
    },
  };
  return { engine, seen };
}

test.each([1, 2, 5, 8])('in batches of %i every slice is predicted once, and its maps serve', async (batch) => {
  const { engine, seen } = keeping();
  const stages: string[] = [];
  const onProgress: InfluenceOptions['onProgress'] = ({ stage, done, total }) => void stages.push(`${stage} ${done}/${total}`);
  const { dir } = await computeInfluence({ ...settings(`batch-${batch}`, engine), batch, onProgress });
  expect(seen).toEqual({ forward: TESTS + TRAININGS, forwarded: TRAININGS, contract: 2 * TRAININGS });
  expect(stages).toEqual(expect.arrayContaining([`regions ${TESTS}/${TESTS}`, 'influence 20/20']));
  expect(await arraysOf(dir)).toEqual(whole);
});

test('of several passes it is the first', async () => {
  const { engine, seen } = keeping();
  const { dir } = await computeInfluence({ ...settings('passes', engine), resident: 1 });
  expect(seen).toEqual({ forward: TESTS + TRAININGS, forwarded: TRAININGS, contract: 2 * TESTS * TRAININGS });
  expect(await arraysOf(dir)).toEqual(whole);
});

test('without prediction there is none', async () => {
  const { engine, seen } = keeping();
  await computeInfluence({ ...settings('truth', engine), definition: { region: 'truth' } });
  expect(seen).toEqual({ forward: 0, forwarded: 0, contract: 2 * TRAININGS });
});

test('interrupted anywhere and resumed, it ends with the same bytes', async () => {
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 3 }), async (stops) => {
      const options = { ...settings(`resumed-${run++}`, keeping().engine), resident: 2, batch: 1, resume: true };
      for (const stop of stops) await interruptAt(stop, options);
      expect(await arraysOf((await computeInfluence(options)).dir)).toEqual(whole);
    }),
    { numRuns: 8 },
  );
});

test('shards predict their own, and what one of them left damaged is predicted again', async () => {
  const options = settings('shards', keeping().engine);
  await computeShard(options, { index: 1, count: 2 });
  await computeShard(options, { index: 2, count: 2 });
  const tiles = join(options.out, 'tiles');
  await rm(join(tiles, 'regions-train-from-0.tile'));
  await rm(join(tiles, 'regions-train-from-3.tile'));
  await rm(join(tiles, 'checkpoint-1-pass-0-from-3.tile'));
  const { engine, seen } = keeping();
  const { dir } = await computeInfluence({ ...options, engine, resume: true });
  expect(seen).toMatchObject({ forwarded: 3, contract: 3 });
  expect(await arraysOf(dir)).toEqual(whole);
});

test('a label that no class has is told with its case', async () => {
  const read: SliceSource['read'] = async (positions, call) => {
    const batch = await tiny.train.read(positions, call);
    if (positions.includes(4)) batch.labels![positions.indexOf(4) * SIZE[0]! * SIZE[1]!] = 9;
    return batch;
  };
  const train = new Proxy(tiny.train, {
    get(target, key) {
      const value = key === 'read' ? read : (target[key as keyof SliceSource] as unknown);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
  await expect(computeInfluence({ ...settings('label', keeping().engine), train })).rejects.toMatchObject({
    code: 'ERR_TRACIN_DATA',
    message: expect.stringMatching(/^case 4, slice 0: label 9 has no class/) as string,
  });
});
