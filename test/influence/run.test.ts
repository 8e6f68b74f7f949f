import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { chosenSlices } from '../../lib/dataset/views';
import type { Program } from '../../lib/engine/engine';
import { openReferenceEngine } from '../../lib/engine/reference';
import { lower } from '../../lib/graph/lower';
import { selectParameters } from '../../lib/graph/parameters';
import { resolveDefinition, type Definition, type DefinitionOptions } from '../../lib/influence/definition';
import type { InfluencePlan } from '../../lib/influence/plan';
import { computeInfluence, type InfluenceOptions } from '../../lib/influence/run';
import type { Study } from '../../lib/influence/study';
import { readNpy } from '../../lib/npy';
import { relativeError } from '../support/numbers';
import { bruteForce } from './support/brute-force';
import { contents } from '../support/folders';
import { interruptAt } from './support/runs';
import { LEARNING_RATES, openTiny, SIZE, tinyNetwork, type Tiny } from './support/tiny';

const engine = openReferenceEngine();
let tiny: Tiny;
let folder: string;
let studies = 0;

beforeAll(async () => {
  tiny = await openTiny();
  folder = await mkdtemp(join(tmpdir(), 'tracin-studies-'));
});
afterAll(async () => {
  await tiny.close();
  await rm(folder, { recursive: true, force: true });
});

function settings(changed: Partial<InfluenceOptions> = {}): InfluenceOptions {
  const networks = { checkpoints: tiny.checkpoints, learningRates: LEARNING_RATES };
  return { train: tiny.train, test: tiny.test, networks, engine, out: join(folder, `study-${studies++}`), ...changed };
}

const numbers = async (path: string): Promise<Float32Array> => (await readNpy(path)).data as Float32Array;

describe('T against the gradients themselves', () => {
  async function expected(definition: Definition): ReturnType<typeof bruteForce> {
    const programs: Program[] = [];
    for (const [t] of tiny.checkpoints.entries()) {
      const graph = tinyNetwork(t + 1);
      programs.push(await engine.compile(graph, { size: SIZE, parameters: selectParameters(lower(graph, SIZE), definition.parameters) }));
    }
    const rates = definition.learningRates === 'one' ? LEARNING_RATES.map(() => 1) : LEARNING_RATES;
    const result = await bruteForce(programs, rates, definition, tiny.slices);
    programs.forEach((program) => program.dispose());
    return result;
  }

  const combinations: DefinitionOptions[] = [];
  for (const region of ['predicted', 'truth', 'slice'] as const) {
    for (const target of ['truth', 'predicted'] as const) {
      combinations.push({ loss: 'dice', region, target });
      if (region === 'slice') continue;
      for (const reduction of ['mean', 'sum'] as const) combinations.push({ loss: 'cross-entropy', region, target, reduction });
    }
  }
  combinations.push({ parameters: 'head' }, { parameters: ['norm.*', 'head.bias'] }, { preset: 'paper-code' });

  test.each(combinations)('%j', async (options) => {
    const definition = resolveDefinition(options);
    const rates = definition.learningRates === 'one' ? undefined : LEARNING_RATES;
    const networks = { checkpoints: tiny.checkpoints, learningRates: rates };
    const study = await computeInfluence(settings({ definition: options, networks }));
    const truth = await expected(definition);
    expect(relativeError(await numbers(join(study.dir, 'scores.npy')), truth.scores)).toBeLessThan(2e-7);
    for (const [t, products] of truth.products.entries()) {
      expect(relativeError(await numbers(join(study.dir, 'products', `checkpoint-00${t}.npy`)), products)).toBeLessThan(1e-7);
    }
    for (const role of ['test', 'train'] as const) {
      expect(relativeError(await study.norms(role), Float64Array.from(truth.norms[role]))).toBeLessThan(1e-7);
      expect((role === 'test' ? study.tests : study.trainings).pixels).toEqual(truth.pixels[role]);
    }
    expect(study.definition).toEqual(definition);
    expect(Math.max(...truth.scores.map(Math.abs))).toBeGreaterThan(1e-6);
  });

  test('test slices without labels are held against their predictions', async () => {
    const options: DefinitionOptions = { target: 'predicted' };
    const study = await computeInfluence(settings({ test: tiny.unlabelled, definition: options }));
    const { scores } = await expected(resolveDefinition(options));
    expect(relativeError(await numbers(join(study.dir, 'scores.npy')), scores)).toBeLessThan(2e-7);
  });
});

describe('whatever the cut', () => {
  let whole: Record<string, string>;
  const definition: DefinitionOptions = { loss: 'cross-entropy', region: 'predicted' };
  beforeAll(async () => void (whole = await contents((await computeInfluence(settings({ definition }))).dir)));

  test.each([1, 2, 3])('%i resident test slices change no byte', async (capacity) => {
    let plan: InfluencePlan | undefined;
    const study = await computeInfluence(settings({ definition, resident: capacity, batch: 1, onPlan: (told) => void (plan = told) }));
    expect(plan).toMatchObject({ capacity, passes: Math.ceil(3 / capacity) });
    expect(await contents(study.dir)).toEqual(whole);
  });

  test.each([1, 2, 3, 4])('batches of %i change no byte', async (batch) => {
    const study = await computeInfluence(settings({ definition, batch }));
    expect(await contents(study.dir)).toEqual(whole);
  });

  test('interrupted anywhere and resumed, it ends with the same bytes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 3 }), async (stops) => {
        const options = settings({ definition, resident: 1, batch: 1, resume: true });
        for (const stop of stops) {
          await interruptAt(stop, options);
          const left = Object.keys(await contents(options.out));
          expect(left.filter((path) => path.includes('partial'))).toEqual([]);
        }
        const study = await computeInfluence(options);
        expect(await contents(study.dir)).toEqual(whole);
      }),
      { numRuns: 8 },
    );
  });

  test('roles swapped, T is transposed', async () => {
    const there = await computeInfluence(settings({ definition: { region: 'truth' } }));
    const back = await computeInfluence(settings({ definition: { region: 'truth' }, train: tiny.test, test: tiny.train }));
    const [rows, columns] = [3 * 3, 5 * 3];
    const transposed = new Float64Array(rows * columns);
    (await numbers(join(back.dir, 'scores.npy'))).forEach((t, i) => (transposed[(i % rows) * columns + Math.floor(i / rows)] = t));
    expect(relativeError(await numbers(join(there.dir, 'scores.npy')), transposed)).toBeLessThan(1e-7);
  });

  test('what is finished is not computed again', async () => {
    const abort = new AbortController();
    const options = settings({ definition, batch: 1, resume: true });
    await computeInfluence({
      ...options,
      signal: abort.signal,
      onProgress: ({ stage, done }) => void (stage === 'influence' && done === 9 && abort.abort()),
    }).catch(() => undefined);
    const first: number[] = [];
    await computeInfluence({ ...options, onProgress: ({ stage, done }) => void (stage === 'influence' && first.push(done)) });
    expect(first[0]).toBe(8);
    expect(first.at(-1)).toBe(16);
  });
});

describe('a folder that holds something already', () => {
  let study: Study;
  let options: InfluenceOptions;
  beforeAll(async () => {
    options = settings({ definition: { region: 'truth' } });
    study = await computeInfluence(options);
  });
  const refusal = (message: string): unknown =>
    expect.objectContaining({ code: 'ERR_TRACIN_STUDY', message: expect.stringContaining(message) as string });

  test('a complete study is neither overwritten nor computed again', async () => {
    const before = await contents(study.dir);
    await expect(computeInfluence(options)).rejects.toEqual(refusal('holds a complete study'));
    const progress: string[] = [];
    await computeInfluence({ ...options, resume: true, onProgress: ({ stage }) => progress.push(stage) });
    expect(progress).toEqual([]);
    expect(await contents(study.dir)).toEqual(before);
  });

  test.each<[string, () => Partial<InfluenceOptions>]>([
    ['definition.loss was "dice" and is "cross-entropy"', () => ({ definition: { region: 'truth', loss: 'cross-entropy' } })],
    ['learning rate of checkpoint 1 was 0.02', () => ({ networks: { checkpoints: tiny.checkpoints, learningRates: [0.05, 0.03] } })],
    ['sha256 of checkpoint 0', () => ({ networks: { checkpoints: tiny.checkpoints.toReversed(), learningRates: LEARNING_RATES } })],
    ['number of checkpoints was 2 and is 1', () => ({ networks: { checkpoints: tiny.checkpoints.slice(0, 1), learningRates: [0.05] } })],
    ['fingerprint of the test slices', () => ({ test: tiny.train })],
    ['classes was', () => ({ classes: ['a', 'b', 'c'] })],
  ])('a study of something else is not resumed: %s', async (message, changed) => {
    await expect(computeInfluence({ ...options, ...changed(), resume: true })).rejects.toEqual(refusal(message));
  });

  test('an unfinished study is not begun anew without being asked', async () => {
    const abort = new AbortController();
    const half = settings();
    await computeInfluence({ ...half, signal: abort.signal, onProgress: () => abort.abort() }).catch(() => undefined);
    await expect(computeInfluence(half)).rejects.toEqual(refusal('--resume'));
  });
});

test.each(['train', 'test'] as const)('%s data that change while they are read make no study', async (role) => {
  let state = 'before';
  const changing = { ...chosenSlices(tiny[role], [...tiny[role].slices.keys()]), fingerprint: async () => state };
  const options = settings({ [role]: changing, onProgress: () => (state = 'after') });
  const message = expect.stringMatching(/data changed while they were read: delete .* and compute the study again/) as string;
  await expect(computeInfluence(options)).rejects.toMatchObject({ code: 'ERR_TRACIN_DATA', message });
  expect(await readdir(options.out)).toEqual(['tiles']);
});

describe('what does not go together', () => {
  test.each<[string, string, () => Partial<InfluenceOptions>]>([
    ['ERR_TRACIN_DATA', '--target predicted', () => ({ test: tiny.unlabelled })],
    ['ERR_TRACIN_DATA', 'to take regions from', () => ({ test: tiny.unlabelled, definition: { region: 'truth', target: 'predicted' } })],
    ['ERR_TRACIN_DATA', 'training slices have no labels', () => ({ train: tiny.unlabelled })],
    ['ERR_TRACIN_USAGE', 'class names a, b: give 3', () => ({ classes: ['a', 'b'] })],
    ['ERR_TRACIN_USAGE', 'matches no parameter', () => ({ definition: { parameters: ['tail*'] } })],
    ['ERR_TRACIN_MEMORY', 'at least', () => ({ memory: 1000 })],
    ['ERR_TRACIN_USAGE', 'no checkpoints', () => ({ networks: { checkpoints: [], learningRates: [] } })],
  ])('%s: %s', async (code, message, changed) => {
    const options = settings(changed());
    await expect(computeInfluence(options)).rejects.toMatchObject({ code, message: expect.stringContaining(message) as string });
    await expect(readdir(options.out)).rejects.toThrow('ENOENT');
  });
});
