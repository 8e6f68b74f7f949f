import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Engine } from '../../lib/engine/engine';
import { openReferenceEngine } from '../../lib/engine/reference';
import { describePrecision } from '../../lib/influence/precision';
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

async function studyBy(engine: Engine, out: string): Promise<Study> {
  const networks = { checkpoints: tiny.checkpoints, learningRates: LEARNING_RATES };
  await computeInfluence({ train: tiny.train, test: tiny.test, networks, definition: { region: 'truth' }, engine, out: join(folder, out) });
  return openStudy(join(folder, out));
}

test('a study in float32 says nothing of it', async () => {
  expect((await studyBy(openReferenceEngine(), 'exact')).record.againstF32).toBeUndefined();
});

test('errors as shares of the largest |T|; a ranking that stays', async () => {
  const { record, tests, trainings } = await studyBy(
    inexact((product) => 1.01 * product),
    'scaled',
  );
  const present = ({ pixels }: typeof tests): number => pixels.flat().filter((n) => n > 0).length;
  expect(record.againstF32).toEqual({
    pairs: present(tests) * present(trainings),
    maxError: expect.closeTo(0.01, 4) as number,
    rmsError: expect.any(Number) as number,
    rankCorrelation: 1,
  });
  expect(record.againstF32!.rmsError).toBeLessThan(0.01);
  expect(describePrecision('bf16', record.againstF32!)).toMatch(/^bf16 against f32 on \d+ pairs: errors of T 1 % at most, 0\.\d+ % rms/);
});

test('a ranking turned round', async () => {
  const { record } = await studyBy(
    inexact((product) => -product),
    'negative',
  );
  expect(record.againstF32).toMatchObject({ maxError: 2, rankCorrelation: -1 });
});
