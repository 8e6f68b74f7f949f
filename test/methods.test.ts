/** As callers.test.ts, of the methods of what calls give: studies, datasets, engines and programs. */
import { inspect } from 'node:util';
import { buildNetwork } from '../lib';
import { Dataset } from '../lib/dataset/dataset';
import type { Store } from '../lib/dataset/store';
import type { Program } from '../lib/engine/engine';
import { Study } from '../lib/influence/study';
import { ENGINES } from './support/engines';
import { complaint, mistaken } from './support/mistakes';

type Given = Readonly<Record<string, unknown>>;

/** By name, in the order in which they are given. */
async function complaints(call: (...values: unknown[]) => unknown, given: Given): Promise<string[]> {
  const found: string[] = [];
  for (const key of Object.keys(given)) {
    for (const { way, mistake, value } of mistaken(given[key], [key])) {
      const said = await complaint(() => call(...Object.values({ ...given, [key]: value })), way);
      // Of arrays the engines say what shape they have to be.
      const isShape = said?.startsWith('says ERR_TRACIN_DATA images: ');
      if (said !== undefined && !isShape) found.push(`${way.join('.')} = ${inspect(mistake, { depth: 0 })}: ${said}`);
    }
    const said = await complaint(() => call(...Object.values({ ...given, [key]: undefined })), [key]);
    if (said !== undefined) found.push(`without ${key}: ${said}`);
  }
  return found;
}

type Methods = Readonly<Record<string, (...values: unknown[]) => unknown>>;

const slices = [{ case: 'a', patient: 'a', index: 0 }];
const study = Object.assign(Object.create(Study.prototype) as Study, { tests: { slices }, trainings: { slices }, checkpoints: [{}] });

test.each<[keyof Study, Given]>([
  ['scores', { test: 0 }],
  ['products', { checkpoint: 0, test: 0 }],
  ['norms', { role: 'test' }],
  ['losses', { role: 'test' }],
  ['predicted', { role: 'test', slice: 0 }],
  ['painted', { slice: 0 }],
  ['reweighted', { learningRates: [1] }],
])('%s of a study refuses what it cannot mean', async (name, given) => {
  const methods = study as unknown as Methods;
  expect(await complaints((...values) => methods[name]!(...values), given)).toEqual([]);
});

const entries = new Map([['a', { files: { ...slices[0], images: [] }, slices: [0], decodings: [] }]]);
const store = { dir: 'nowhere', entries, layout: { classes: [], modalities: [] }, size: [4, 4], users: 0 };

test.each<[keyof Dataset, Given]>([
  ['subset', { cases: ['a'] }],
  ['read', { positions: [0] }],
  ['writeLabels', { caseName: 'a', path: 'a.nii', perSlice: new Map() }],
  ['writeMap', { caseName: 'a', path: 'a.nii', perSlice: new Map() }],
])('%s of a dataset refuses what it cannot mean', async (name, given) => {
  const methods = new Dataset(store as unknown as Store, ['a']) as unknown as Methods;
  expect(await complaints((...values) => methods[name]!(...values), given)).toEqual([]);
});

describe.each(ENGINES.map((engine) => [engine.name, engine] as const))('%s', (name, engine) => {
  const graph = buildNetwork({ network: 'resunet', width: 1, levels: 2, modalities: 1, classes: 2 });
  let program: Program;
  beforeAll(async () => {
    program = await engine.compile(graph, { size: [4, 4] });
  });
  afterAll(() => program.dispose());

  test('compile refuses what it cannot mean', async () => {
    const given = { graph, options: { size: [4, 4], output: 'logits', parameters: ['a'] } };
    expect(await complaints((...values) => (engine as unknown as Methods).compile!(...values), given)).toEqual([]);
  });

  /** Instances of classes, into which no mistakes are made. */
  const batch = new (class {
    images = new Float32Array(16);
    targets = new Uint8Array(16);
    masks = new Uint8Array(16);
  })();
  const loss = new (class {
    kind = 'dice';
    reduction = 'mean';
  })();

  test.each<[keyof Program, Given]>([
    ['load', { checkpoint: graph }],
    ['gradients', { batch, loss }],
    ['resident', { capacity: 1 }],
    ['step', { batch, loss, optimiser: loss }],
    ['restoreOptimiserState', { state: new Map() }],
    ...(name === 'reference' ? [] : [['chooseKernels', { table: { a: 'b' }, measure: false }] as [keyof Program, Given]]),
  ])('%s of a program refuses what it cannot mean', async (method, given) => {
    const methods = program as unknown as Methods;
    expect(await complaints((...values) => methods[method]!(...values), given)).toEqual([]);
  });

  const calls: [keyof Program, readonly unknown[]][] = [
    ['forward', [batch.images]],
    ['tangent', [batch.images, batch.images]],
    ['gradients', [batch, loss]],
    ['contract', [undefined, batch, loss]],
    ['step', [batch, loss, loss]],
  ];
  test.each(calls)('%s of a program takes options or none', async (method, given) => {
    const methods = program as unknown as Methods;
    const wrong: [unknown, string][] = [null, 5, 'fast', []].map((options) => [options, 'options is']);
    for (const [options, words] of [...wrong, [{ signal: 'stop' }, 'options.signal is'] as const]) {
      const call = methods[method]!(...given, options);
      await expect(call).rejects.toMatchObject({ code: 'ERR_TRACIN_USAGE', message: expect.stringContaining(words) });
    }
  });

  test('contract refuses what is no block of its own', async () => {
    const other = await engine.compile(graph, { size: [4, 4] });
    const foreign = await other.resident(1);
    const { contract } = program as unknown as Methods;
    for (const block of [null, 5, {}, foreign])
      await expect(contract!.call(program, block, batch, loss)).rejects.toMatchObject({
        code: 'ERR_TRACIN_USAGE',
        message: expect.stringContaining('block is'),
      });
    other.dispose();
  });
});
