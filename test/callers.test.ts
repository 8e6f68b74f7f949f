/** Programs without types meet a `TracinError` that names the option, before anything is opened, computed or written. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import * as lib from '../lib';
import { Study } from '../lib/influence/study';
import { complaint, mistaken } from './support/mistakes';

/** What a function takes: options, or arguments of these names, some of which may be left out. All of them as they should be. */
interface Call {
  readonly takes?: readonly string[];
  readonly needs: Readonly<Record<string, unknown>>;
  readonly may?: Readonly<Record<string, unknown>>;
}

const dir = join(tmpdir(), 'tracin-callers', 'nothing-is-here');
const file = join(dir, 'file');
const callback = (): void => undefined;
const signal = new AbortController().signal;
const long = { signal, onProgress: callback };
const study = Object.assign(Object.create(Study.prototype) as Study, { dir, tests: { slices: [{}] } });
const engine = new (class {
  compile = callback;
})();
const source = {
  classes: ['ET'],
  modalities: ['T1'],
  size: [8, 8],
  slices: [{ case: 'a', patient: 'a', index: 0 }],
  labelled: true,
  read: callback,
  fingerprint: callback,
  close: callback,
};
const graph = lib.buildNetwork({ network: 'resunet', width: 1, levels: 2 });
const slice = { case: 'a', slice: 1 };
const moved = { data: dir, run: dir };
const subject = { needs: { study, engine }, may: { ...long, test: source, train: source, batch: 8 } };
const ofStudy: Call = { takes: ['study'], needs: { study } };
const ofFolder: Call = { takes: ['dir'], needs: { dir } };
const ofFile: Call = { takes: ['path'], needs: { path: file } };
const zoo: Call = { needs: { network: 'unet' }, may: { width: 1, levels: 2, modalities: 1, classes: 2, seed: 1 } };
const maps = { ...long, ...moved, sources: { test: source, train: source }, onMap: callback };
const weights = { loss: 1, softMinimum: 1, opposition: 1, selfInfluence: 1 };
const influence = {
  needs: { train: source, test: source, networks: { checkpoints: [file], learningRates: [1] }, out: dir, engine },
  may: {
    ...long,
    output: 'logits',
    regionMask: { pixels: callback, class: 'ET', file },
    definition: { loss: 'dice', region: 'truth', target: 'truth', parameters: ['*'], reduction: 'mean', learningRates: 'one' },
    memory: 1e9,
    resident: 1,
    batch: 8,
    resume: true,
    classes: ['ET'],
    onPlan: callback,
    onNotice: callback,
  },
};
const ofInfluence = { options: { ...influence.needs, ...influence.may } };
const view = {
  entry: {},
  map: new Float32Array(4),
  images: new Float32Array(4),
  modalities: ['T1'],
  mask: new Uint8Array(4),
  size: [2, 2],
  class: 'ET',
  affine: [1],
  path: file,
};
const shard = { index: 1, count: 2 };

const CALLS: Readonly<Record<string, Call>> = {
  describeLayout: {
    takes: ['layout'],
    needs: { layout: { name: 'brats', modalities: [{ name: 'T1', spelled: 't1' }], classes: [{ name: 'ET', spelled: 'ET', value: 4 }] } },
  },
  openDataset: {
    needs: { dir },
    may: {
      ...long,
      layout: 'brats',
      modalities: ['T1'],
      classes: { ET: 4 },
      cases: ['a'],
      size: [8, 8],
      offset: [0, 0],
      divisor: [2, 2],
      slices: { first: 0, last: 1 },
      normalisation: 'zscore',
      cacheBytes: 0,
    },
  },
  matchModalities: { takes: ['network', 'data'], needs: { network: ['T1'], data: ['T1'] } },
  readRegionMask: { takes: ['path', 'source', 'caseName'], needs: { path: file, source, caseName: 'a' } },
  openArrays: { needs: { images: file }, may: { labels: file, classes: ['ET'], role: 'test', signal } },
  readSplit: { takes: ['path', 'cases'], needs: { path: file }, may: { cases: [{ case: 'a', patient: 'a' }] } },
  splitByPatient: {
    takes: ['cases', 'options'],
    needs: { cases: [{ case: 'a', patient: 'a' }], options: { train: 1, validation: 0, test: 0, seed: 1 } },
  },
  writePhantom: {
    takes: ['dir', 'options'],
    needs: { dir },
    may: { options: { ...long, cases: 1, size: 16, seed: 1, planted: 0.5, faults: ['swap'], faultPixels: [1, 2] } },
  },
  inspectGraph: { takes: ['graph', 'options'], needs: { graph }, may: { options: { size: [8, 8], output: 'logits' } } },
  readOnnx: ofFile,
  readNameMap: ofFile,
  buildNetwork: zoo,
  buildNetworkInTurns: zoo,
  listDevices: { takes: ['options'], needs: {}, may: { options: { threads: 1, precision: 'f32' } } },
  openEngine: { takes: ['device', 'options'], needs: { device: 'cpu' }, may: { options: { threads: 1, precision: 'f32' } } },
  train: {
    needs: { data: { train: source, validation: source, test: ['b'] }, network: { name: 'unet', width: 1, levels: 2 }, run: dir, engine },
    may: {
      ...long,
      resume: true,
      onEpoch: callback,
      loss: 'dice',
      optimiser: { kind: 'sgd', learningRate: 0.1 },
      schedule: { kind: 'constant' },
      epochs: 1,
      batch: 4,
      augmentation: { flips: true, shift: 4 },
      checkpointEvery: 1,
      seed: 1,
    },
  },
  openRun: ofFolder,
  predict: {
    needs: { network: { checkpoint: file }, data: source, out: dir },
    may: { ...long, output: 'logits', provider: 'cpu', threads: 1, batch: 8 },
  },
  computeInfluence: influence,
  computeShard: { takes: ['options', 'shard'], needs: { ...ofInfluence, shard } },
  planInfluence: { takes: ['options', 'shard'], needs: ofInfluence, may: { shard } },
  openStudy: ofFolder,
  rank: {
    takes: ['study', 'query', 'painted'],
    needs: { study, query: { test: slice, class: 'ET', trainClass: 'ET', by: 'slice', normalize: 'none', top: 1 } },
    may: { painted: { row: 0, k: 0, pixels: 1, products: [new Float32Array(1)], norms: [1] } },
  },
  computeFeatures: {
    needs: subject.needs,
    may: { ...subject.may, ...moved, similarity: 'cosine', normalize: 'none', shuffles: 20, seed: 1 },
  },
  readFeatures: ofStudy,
  splitByFeature: { takes: ['study', 'test'], needs: { study, test: 0 } },
  paintedInfluence: {
    needs: { study, engine, test: slice, class: 'ET', mask: file },
    may: { ...long, ...moved, sources: { test: source, train: source }, way: 'gradients', batch: 8, onNotice: callback },
  },
  computeMaps: { needs: { study, engine, test: slice, class: 'ET' }, may: { ...maps, trainClass: 'ET', top: 1, normalize: 'none' } },
  pairMaps: {
    takes: ['pairs', 'options'],
    needs: { pairs: [{ test: slice, class: 'ET', train: slice, trainClass: 'ET' }], options: { study, engine, ...maps } },
  },
  readMaps: ofStudy,
  testFaithfulness: {
    needs: subject.needs,
    may: {
      ...subject.may,
      mode: 'quick',
      budget: { resamples: 1, draws: 1, together: 1, subjects: 1, removals: 1, subsets: 1, seeds: 1 },
      seed: 1,
      parts: ['faults'],
      heldOut: source,
      plant: 0.5,
      onNotice: callback,
    },
  },
  readEvidence: { takes: ['dir', 'required'], needs: { dir }, may: { required: false } },
  testStability: { needs: { studies: [study, study] }, may: { ...long, normalize: 'none', by: 'slice', top: 1, resamples: 1, seed: 1 } },
  readStability: ofStudy,
  readFindings: ofFolder,
  audit: {
    needs: subject.needs,
    may: {
      ...subject.may,
      trusted: ['a'],
      evidence: { patients: 2, faulty: 1, baseline: 'loss', scores: [], combination: { weights } },
      order: 'loss',
    },
  },
  mapPicture: { takes: ['view'], needs: { view } },
  buildReport: {
    needs: { title: 'A page', subjects: [{ name: 'a', study, test: source, train: source, engine, run: dir, dice: [{}] }] },
    may: { ...long, cohort: ['a'], tests: [slice], patients: 1, top: 1, maps: 'all' },
  },
  renderPage: {
    takes: ['report'],
    needs: { report: { title: 'A page', cohort: ['a'], tool: 'a', classes: ['ET'], pictures: [{}], networks: [{}] } },
  },
};

const PUBLIC = lib as unknown as Readonly<Record<string, (...given: unknown[]) => unknown>>;
const functions = Object.keys(PUBLIC).filter((name) => typeof PUBLIC[name] === 'function' && name !== 'TracinError');

test('every public function is here', () => {
  expect(Object.keys(CALLS).sort()).toEqual(functions.sort());
});

test.each(functions)('%s refuses what it cannot mean', async (name) => {
  const { takes, needs, may = {} } = CALLS[name]!;
  const all = { ...needs, ...may };
  const given = (values: Readonly<Record<string, unknown>>): unknown[] => (takes ? takes.map((key) => values[key]) : [values]);
  const complaints: string[] = [];
  const hand = async (words: string, values: readonly unknown[], way: readonly string[]): Promise<void> => {
    const said = await complaint(() => PUBLIC[name]!(...values), way);
    if (said !== undefined) complaints.push(`${words}: ${said}`);
  };
  for (const nonsense of [undefined, null, 5, 'a', [], {}, callback]) {
    if (takes === undefined) await hand(`${name}(${inspect(nonsense)})`, [nonsense], ['options', ...Object.keys(needs)]);
  }
  for (const key of Object.keys(needs)) await hand(`without ${key}`, given({ ...all, [key]: undefined }), [key]);
  for (const [key, right] of Object.entries(all)) {
    for (const { way, mistake, value } of mistaken(right, [key])) {
      await hand(`${way.join('.')} = ${inspect(mistake, { depth: 0 })}`, given({ ...all, [key]: value }), way);
    }
  }
  expect(complaints).toEqual([]);
});

test.each(functions.filter((name) => !CALLS[name]!.takes))('%s tells an option that lacks a letter by its name', async (name) => {
  const { needs, may = {} } = CALLS[name]!;
  const long = Object.entries(may).filter(([key]) => key.length >= 4);
  const complaints: string[] = [];
  for (const [key, value] of long) {
    const said = await complaint(
      () => PUBLIC[name]!({ ...needs, ...may, [key]: undefined, [key.slice(0, 1) + key.slice(2)]: value }),
      [`give it as ${key}`],
    );
    if (said !== undefined) complaints.push(`${key}: ${said}`);
  }
  expect(complaints).toEqual([]);
});
