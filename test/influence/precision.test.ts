import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Engine } from '../../lib/engine/engine';
import { openReferenceEngine } from '../../lib/engine/reference';
import { comparedSlices, describePrecision, precisionSampleSchema } from '../../lib/influence/precision';
import { computeInfluence } from '../../lib/influence/run';
import { openStudy, type Study } from '../../lib/influence/study';
import { LEARNING_RATES, openTiny, type Tiny } from './support/tiny';

let tiny: Tiny;
let folder: string;
beforeAll(async () => {
  tiny = await openTiny();
  folder = await mkdtemp(join(tmpdir(), 'tracin-precision-'));
});
afterAll(async () => {
  await tiny.close();
  await rm(folder, { recursive: true, force: true });
});

/** The reference engine, whose products are changed and called bf16. */
function inexact(change: (product: number) => number): Engine {
  const engine = openReferenceEngine();
  return {
    ...engine,
    precision: 'bf16',
    async compile(graph, options) {
      const program = await engine.compile(graph, options);
      const contract = program.contract.bind(program);
      program.contract = async (...words) => {
        const found = await contract(...words);
        return { ...found, products: found.products.map(change) };
      };
      return program;
    },
  };
}

async function studyBy(engine: Engine, out: string, { test = tiny.test, learningRates = LEARNING_RATES } = {}): Promise<Study> {
  const networks = { checkpoints: tiny.checkpoints, learningRates };
  await computeInfluence({ train: tiny.train, test, networks, definition: { region: 'truth' }, engine, out: join(folder, out) });
  return openStudy(join(folder, out));
}

/** Pairs of present regions in the sample of a small study: its first test slice with its first and last training slice. */
function pairsIn({ tests, trainings }: Study): number {
  const present = (pixels: readonly number[]): number => pixels.filter((n) => n > 0).length;
  const sampled = [0, -1].map((row) => present(trainings.pixels.at(row)!));
  return present(tests.pixels[0]!) * sampled.reduce((sum, n) => sum + n, 0);
}

test('a study in float32 says nothing of it', async () => {
  expect((await studyBy(openReferenceEngine(), 'exact')).record.againstF32).toBeUndefined();
});

test('errors as shares of the largest product; a ranking that stays', async () => {
  const study = await studyBy(
    inexact((product) => 1.01 * product),
    'scaled',
  );
  const { record } = study;
  expect(record.againstF32).toEqual({
    checkpoint: expect.any(Number) as number,
    pairs: pairsIn(study),
    maxError: expect.closeTo(0.01, 4) as number,
    rmsError: expect.any(Number) as number,
    rankCorrelation: 1,
  });
  expect(record.againstF32!.rmsError).toBeLessThan(0.01);
  expect(describePrecision('bf16', record.againstF32!)).toMatch(
    /^bf16 against f32 on \d+ pairs, products of checkpoint [01], which weighs most: errors 1 % at most, 0\.\d+ % rms, of the largest product/,
  );
});

test('a ranking turned round', async () => {
  const { record } = await studyBy(
    inexact((product) => -product),
    'negative',
  );
  expect(record.againstF32).toMatchObject({ maxError: 2, rankCorrelation: -1 });
});

test('one test slice of several is sample enough', async () => {
  const study = await studyBy(
    inexact((product) => 1.01 * product),
    'several',
    { test: tiny.train },
  );
  expect(study.tests.slices.length).toBeGreaterThan(1);
  expect(study.record.againstF32).toMatchObject({ pairs: pairsIn(study), rankCorrelation: 1 });
});

test.each([
  [0, [1, 1e-6]],
  [1, [1e-6, 1]],
])('it is checkpoint %i that is compared where the learning rates are %j', async (checkpoint, learningRates) => {
  const { record } = await studyBy(inexact(Math.fround), `weight-${checkpoint}`, { learningRates });
  expect(record.againstF32!.checkpoint).toBe(checkpoint);
});

test('a study that compared T says so', () => {
  const before = { pairs: 9, maxError: 0.01, rmsError: 0.002, rankCorrelation: 1 };
  expect(describePrecision('bf16', precisionSampleSchema.parse(before))).toBe(
    'bf16 against f32 on 9 pairs: errors 1 % at most, 0.2 % rms, of the largest |T|; rank correlation 1',
  );
});

test.each([
  ['test', 1, 3, 1],
  ['test', 17, 3, 3],
  ['test', 1000, 3, 4],
  ['train', 1, 3, 1],
  ['train', 8, 3, 2],
  ['train', 8, 1, 3],
  ['train', 80, 1, 10],
  ['train', 1000, 3, 24],
] as const)('of %s slices, %i, with %i classes, %i are compared', (role, slices, classes, compared) => {
  expect(comparedSlices(role, slices, classes)).toBe(compared);
});

test('the same is found whatever the batch', async () => {
  const many = await openTiny(20, 40);
  const networks = { checkpoints: many.checkpoints, learningRates: LEARNING_RATES };
  const engine = inexact((product) => product * 1.01 + 1e-7);
  const found = [];
  for (const batch of [1, 2, 8]) {
    const out = join(folder, `batches-${batch}`);
    found.push((await computeInfluence({ train: many.train, test: many.test, networks, engine, batch, out })).record.againstF32!);
  }
  expect(found[0]!.pairs).toBeGreaterThan(15);
  expect(found[1]).toEqual(found[0]);
  expect(found[2]).toEqual(found[0]);
  await many.close();
});
