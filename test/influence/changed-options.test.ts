/** An options object is its caller's own: used again for something else while the call goes on, it changes nothing. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openReferenceEngine } from '../../lib/engine/reference';
import { computeFeatures } from '../../lib/explanation/features';
import { computeMaps } from '../../lib/explanation/maps';
import { computeInfluence, planInfluence } from '../../lib/influence/run';
import type { Study } from '../../lib/influence/study';
import { contents } from '../support/folders';
import { LEARNING_RATES, openTiny, type Tiny } from './support/tiny';

const engine = openReferenceEngine();
let tiny: Tiny;
let folder: string;
let study: Study;

const influence = (out: string) => {
  const networks = { checkpoints: tiny.checkpoints, learningRates: LEARNING_RATES };
  return { train: tiny.train, test: tiny.test, networks, engine, out: join(folder, out), definition: { region: 'truth' } } as const;
};

/** Empties the options as soon as the call has begun. */
async function emptied<T extends object, R>(call: (options: T) => Promise<R>, options: T): Promise<R> {
  const result = call(options);
  for (const key of Object.keys(options)) Reflect.deleteProperty(options, key);
  return result;
}

beforeAll(async () => {
  tiny = await openTiny();
  folder = await mkdtemp(join(tmpdir(), 'tracin-options-'));
  study = await computeInfluence(influence('study'));
});
afterAll(async () => {
  await tiny.close();
  await rm(folder, { recursive: true, force: true });
});

test('of an influence run', async () => {
  const other = await emptied(computeInfluence, influence('other'));
  expect(await contents(other.dir)).toEqual(await contents(study.dir));
  expect((await emptied(planInfluence, influence('planned'))).passes).toBe((await planInfluence(influence('planned'))).passes);
});

test('of features and maps', async () => {
  const sides = { test: tiny.test, train: tiny.train };
  const features = await emptied(computeFeatures, { study, engine, ...sides, shuffles: 20 });
  expect(features).toEqual(await computeFeatures({ study, engine, ...sides, shuffles: 20 }));
  const row = study.tests.pixels.findIndex(([, second]) => second! > 0);
  const test = { case: study.tests.slices[row]!.case, slice: study.tests.slices[row]!.index };
  const asked = () => ({ study, engine, sources: sides, test, class: study.classes[1]!, top: 1 });
  const maps = await emptied(computeMaps, asked());
  expect(maps.length).toBeGreaterThan(0);
  expect(maps).toEqual(await computeMaps(asked()));
});
