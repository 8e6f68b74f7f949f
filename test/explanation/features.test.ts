import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Progress } from '../../lib/progress';
import type { Engine } from '../../lib/engine/engine';
import { computeFeatures, type FeatureOptions } from '../../lib/explanation/features';
import { featurePaths, readFeatureArray, readFeatures } from '../../lib/explanation/files';
import { splitByFeature } from '../../lib/explanation/head-split';
import { readOnnx } from '../../lib/graph/onnx';
import { openInference } from '../../lib/inference/inference';
import { byFalling, candidatesOf } from '../../lib/influence/candidates';
import type { DefinitionOptions } from '../../lib/influence/definition';
import { influenceOf } from '../../lib/influence/normalisation';
import { regionMasks } from '../../lib/influence/regions';
import { computeInfluence } from '../../lib/influence/run';
import { openStudy, type Study } from '../../lib/influence/study';
import { ENGINES, reference } from '../support/engines';
import { relativeError } from '../support/numbers';
import { LEARNING_RATES, MODALITIES, openTiny, SIZE, type Tiny } from '../influence/support/tiny';

const PIXELS = SIZE[0]! * SIZE[1]!;
/** M, N, K, F */
const [TESTS, TRAININGS, CLASSES, FEATURES] = [3, 5, 3, 3];

let tiny: Tiny;
let folder: string;
beforeAll(async () => {
  tiny = await openTiny(TESTS, TRAININGS);
  folder = await mkdtemp(join(tmpdir(), 'tracin-features-'));
});
afterAll(async () => {
  await tiny.close();
  await rm(folder, { recursive: true, force: true });
});

function studyOf(name: string, definition: DefinitionOptions, engine: Engine): Promise<Study> {
  const networks = { checkpoints: tiny.checkpoints, learningRates: definition.preset ? undefined : LEARNING_RATES };
  return computeInfluence({
    train: tiny.train,
    test: tiny.test,
    networks,
    engine,
    definition,
    out: join(folder, `${engine.name}-${name}`),
  });
}

const settings = (study: Study, engine: Engine): FeatureOptions => ({ study, engine, test: tiny.test, train: tiny.train, batch: 2 });

/** Maps [F, pixels] of a slice by the last checkpoint. */
async function mapsOf(role: 'test' | 'train', row: number): Promise<Float64Array[]> {
  const graph = await readOnnx(tiny.checkpoints[1]!);
  const program = await reference.compile(graph, { size: SIZE });
  const images = tiny.slices[role].images.slice(row * MODALITIES * PIXELS, (row + 1) * MODALITIES * PIXELS);
  const { features } = await program.forward(images, { features: true });
  program.dispose();
  return Array.from({ length: FEATURES }, (_, k) => Float64Array.from(features!.subarray(k * PIXELS, (k + 1) * PIXELS)));
}

/** Largest of each map over the labels of a class. */
async function maxima(role: 'test' | 'train', row: number, k: number): Promise<number[]> {
  const labels = tiny.slices[role].labels.subarray(row * PIXELS, (row + 1) * PIXELS);
  return (await mapsOf(role, row)).map((map) => Math.max(...map.filter((_, i) => labels[i] === k + 1)));
}

describe.each(ENGINES.map((engine) => [engine.name, engine] as const))('%s', (_, engine) => {
  const tolerance = engine.name === 'reference' ? 1e-6 : 2e-5;

  test('features of a small study, number by number', async () => {
    const study = await studyOf('truth', { region: 'truth' }, engine);
    const progress: Progress[] = [];
    const found = await computeFeatures({ ...settings(study, engine), onProgress: (step) => progress.push(step) });
    // What takes its time in a large study tells of every test slice.
    const [tests, checkpoints] = [study.tests.slices.length, study.checkpoints.length];
    for (const [stage, total] of [
      ['ranks', tests],
      ['split', checkpoints * tests],
    ] as const) {
      // prettier-ignore
      expect(progress.filter((step) => step.stage === stage)).toEqual(
        Array.from({ length: total }, (_unused, i) => ({ stage, done: i + 1, total })),
      );
    }
    const last = progress.filter(({ stage }) => stage === 'features').at(-1)!;
    expect(last.done).toBe(last.total);
    expect(await readFeatures(study)).toEqual(found);
    expect(found).toMatchObject({ similarity: 'max-ratio', normalize: 'none', features: FEATURES, kernel: 'head.weight', shuffles: 200 });
    const paths = featurePaths(study.dir);
    const importance = await readFeatureArray(paths.importance);
    const split = await readFeatureArray(paths.split);
    const similarity = await readFeatureArray(paths.similarity);
    const expected = { importance: new Float64Array(importance.length).fill(NaN), split: new Float64Array(split.length).fill(NaN) };
    for (let k = 0; k < CLASSES; k++) {
      const tests = study.tests.pixels.flatMap((counts, row) => (counts[k]! > 0 ? [row] : []));
      for (const test of tests) {
        const order = byFalling(candidatesOf(study, await influenceOf(study, test, 'none'), k, [k], 'slice'));
        const parts = await splitByFeature(study, test);
        const ours = await maxima('test', test, k);
        for (const [rank, { row }] of order.entries()) {
          const ratios = (await maxima('train', row, k)).map((theirs, f) => {
            const [low, high] = [Math.min(theirs, ours[f]!), Math.max(theirs, ours[f]!)];
            return high === 0 ? 1 : low / high;
          });
          expect(similarity[(test * CLASSES + k) * TRAININGS + row]).toBeCloseTo(ratios.reduce((a, b) => a + b) / FEATURES, 4);
          for (let f = 0; f < FEATURES; f++) {
            const at = (k * FEATURES + f) * TRAININGS + rank;
            const add = (to: Float64Array, value: number): void => void (to[at] = (to[at] || 0) + value / tests.length); // prettier-ignore
            add(expected.importance, ratios[f]!);
            add(expected.split, parts[((k * TRAININGS + row) * CLASSES + k) * FEATURES + f]!);
          }
        }
      }
    }
    const present = (values: Float32Array | Float64Array): Float64Array =>
      Float64Array.from(values).filter((value) => !Number.isNaN(value));
    expect(Array.from(importance, Number.isNaN)).toEqual(Array.from(expected.importance, Number.isNaN));
    expect(present(importance).length).toBeGreaterThan(20);
    expect(relativeError(present(importance), present(expected.importance))).toBeLessThan(1e-5);
    expect(relativeError(present(split), present(expected.split))).toBeLessThan(1e-5);
  });

  test.each([
    [{ parameters: 'head' }],
    [{ parameters: 'head', loss: 'cross-entropy', region: 'truth' }],
    [{ preset: 'paper-code' }],
  ] as const)('T^(k) sums to T of a study of head parameters: %j', async (definition) => {
    const study = await studyOf(`head-${JSON.stringify(definition).length}`, definition, engine);
    await computeFeatures(settings(study, engine));
    for (let test = 0; test < TESTS; test++) {
      const parts = await splitByFeature(study, test);
      const sums = Float64Array.from({ length: parts.length / FEATURES }, (_, i) =>
        parts.subarray(i * FEATURES, (i + 1) * FEATURES).reduce((a, b) => a + b, 0),
      );
      expect(relativeError(sums, await study.scores(test))).toBeLessThan(tolerance);
    }
  });

  test('maps are those that onnxruntime gives', async () => {
    const file = tiny.checkpoints[1]!;
    const inference = await openInference(file, { features: true });
    const program = await engine.compile(await readOnnx(file), { size: SIZE });
    const { images } = tiny.slices.train;
    const theirs = await inference.features(images, [TRAININGS, MODALITIES, ...SIZE]);
    const { features } = await program.forward(images, { features: true });
    expect(relativeError(features!, theirs)).toBeLessThan(1e-5);
    program.dispose();
    await inference.close();
  });
});

test('the table has a row for each class, feature and rank', async () => {
  const study = await studyOf('table', { region: 'truth' }, reference);
  const { classes } = await computeFeatures({ ...settings(study, reference), similarity: 'cosine-centred' });
  const { parquetReadObjects } = await import('hyparquet');
  const bytes = await readFile(featurePaths(study.dir).table);
  const rows = await parquetReadObjects({ file: new Uint8Array(bytes).buffer });
  expect(rows).toHaveLength(classes.reduce((sum, { tests, trainings }) => sum + (tests > 0 ? trainings * FEATURES : 0), 0));
  const importance = await readFeatureArray(featurePaths(study.dir).importance);
  expect(rows[1]).toMatchObject({ class: study.classes[0], feature: 0, rank: 2, importance: importance[1] });
});

test('masks of the rule reach the maps: features of predicted regions differ from those of labelled ones', async () => {
  const study = await studyOf('predicted', {}, reference);
  await computeFeatures(settings(study, reference));
  const found = await readFeatureArray(featurePaths(study.dir).maxima('test'));
  const predicted = (await study.predicted('test', 0))!;
  const masks = regionMasks('predicted', { truth: undefined, predicted }, CLASSES, PIXELS);
  const maps = await mapsOf('test', 0);
  for (let k = 0; k < CLASSES; k++) {
    const inside = masks.subarray(k * PIXELS, (k + 1) * PIXELS);
    if (!inside.includes(1)) continue;
    maps.forEach((map, f) => expect(found[k * FEATURES + f]).toBeCloseTo(Math.max(...map.filter((_, i) => inside[i] === 1)), 5));
  }
});

test.each([
  [{ similarity: 'cosinus' as never }, /similarity cosinus is unknown/],
  [{ shuffles: 3 }, /shuffles 3/],
  [{ seed: -1 }, /seed -1/],
])('%j is refused', async (changed, message) => {
  const there = await openStudy(join(folder, 'reference-truth'));
  await expect(computeFeatures({ ...settings(there, reference), ...changed })).rejects.toMatchObject({ code: 'ERR_TRACIN_USAGE', message });
});

test('an interrupted computation leaves no features behind', async () => {
  const study = await studyOf('interrupted', { region: 'truth' }, reference);
  const stop = new AbortController();
  const running = computeFeatures({ ...settings(study, reference), signal: stop.signal, onProgress: () => stop.abort() });
  await expect(running).rejects.toMatchObject({ code: 'ERR_TRACIN_ABORTED' });
  await expect(readFeatures(study)).rejects.toMatchObject({ code: 'ERR_TRACIN_STUDY', message: /explain .* --features/ });
});

test('features computed again are whole or not there', async () => {
  const study = await studyOf('again', { region: 'truth' }, reference);
  await computeFeatures(settings(study, reference));
  const paths = featurePaths(study.dir);
  await rm(paths.similarity);
  await mkdir(paths.similarity); // in the way of what comes after the first arrays
  await expect(computeFeatures({ ...settings(study, reference), similarity: 'cosine' })).rejects.toMatchObject({ code: 'ERR_TRACIN_IO' });
  await expect(readFeatures(study)).rejects.toMatchObject({ code: 'ERR_TRACIN_STUDY', message: /holds no features/ });
});

test('features computed at the same time are all of the one or all of the other', async () => {
  const study = await studyOf('at-once', { region: 'truth' }, reference);
  const paths = featurePaths(study.dir);
  const files = [paths.features, paths.importance, paths.similarity, paths.table];
  const written = async (): Promise<string[]> => Promise.all(files.map((file) => readFile(file, 'base64')));
  const whole: string[][] = [];
  for (const similarity of ['max-ratio', 'cosine'] as const) {
    await computeFeatures({ ...settings(study, reference), similarity });
    whole.push(await written());
  }
  let second: Promise<unknown> = Promise.resolve();
  const onFound = async (): Promise<void> => {
    second = computeFeatures({ ...settings(study, reference), similarity: 'cosine' });
    await Promise.race([second, setTimeout(1500)]);
  };
  await computeFeatures({ ...settings(study, reference), similarity: 'max-ratio', onFound });
  await second;
  expect(await written()).toEqual(whole[1]);
});
