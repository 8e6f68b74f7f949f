/** Influence maps: each sums to T, on every kind of network, by every engine. */
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Engine } from '../../lib/engine/engine';
import { computeMaps, type MapOptions, type MapView } from '../../lib/explanation/maps';
import { readMaps, type MapEntry } from '../../lib/explanation/map-files';
import { writeOnnx } from '../../lib/graph/onnx';
import type { DefinitionOptions } from '../../lib/influence/definition';
import type { NetworkSource } from '../../lib/influence/networks';
import { computeInfluence } from '../../lib/influence/run';
import type { Study } from '../../lib/influence/study';
import { readNpy } from '../../lib/npy';
import { mapPicture } from '../../lib/report/map-picture';
import { buildNetwork, NETWORKS } from '../../models/registry';
import { describeNetwork, NETWORK_NAMES, slicesOf } from '../networks/stored';
import { trainingBatch } from '../support/batches';
import { ENGINES } from '../support/engines';
import { memorySource } from '../support/memory-source';
import type { Slices } from '../support/tracin';

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'tracin-maps-'))));
afterAll(() => rm(folder, { recursive: true, force: true }));

let made = 0;

interface Asked {
  readonly study: Study;
  readonly sources: NonNullable<MapOptions['sources']>;
}

async function studyOf(
  engine: Engine,
  networks: NetworkSource,
  slices: { readonly test: Slices; readonly train: Slices },
  classes: number,
  definition: DefinitionOptions,
): Promise<Asked> {
  const sources = { test: memorySource(slices.test, classes), train: memorySource(slices.train, classes) };
  const out = join(folder, `study-${made++}`);
  return { study: await computeInfluence({ ...sources, networks, engine, out, definition }), sources };
}

/** The sum of a map's numbers as a reader of the folder finds them. */
async function sumOf(study: Study, { file }: MapEntry): Promise<number> {
  const { data, shape } = await readNpy(join(study.dir, 'maps', file));
  expect(shape).toEqual(study.record.size);
  return (data as Float32Array).reduce((sum, x) => sum + x, 0);
}

/** The first test slice's regions, asked one after another. */
async function worstMiss(engine: Engine, { study, sources }: Asked, top: number): Promise<number> {
  let worst = 0;
  const { case: test, index: slice } = study.tests.slices[0]!;
  for (const [k, name] of study.classes.entries()) {
    if (study.tests.pixels[0]![k] === 0) continue;
    const maps = await computeMaps({ study, engine, sources, test: { case: test, slice }, class: name, trainClass: 'all', top });
    expect(maps.length).toBeGreaterThan(0);
    for (const map of maps) {
      const sum = await sumOf(study, map);
      expect(map.sum).toBe(sum);
      expect(Math.abs(map.score)).toBeGreaterThan(0);
      worst = Math.max(worst, Math.abs(sum - map.score) / Math.abs(map.score));
    }
  }
  return worst;
}

const LIMIT = { reference: 1e-6, cpu: 1e-5, cuda: 1e-5 } as const;
const SIZE = [16, 24];
const DEFINITIONS: readonly DefinitionOptions[] = [
  { loss: 'dice', region: 'predicted', target: 'predicted' },
  { loss: 'cross-entropy', region: 'truth', reduction: 'sum' },
  { loss: 'dice', region: 'slice' },
  { loss: 'dice', region: 'truth', parameters: 'head' },
];

const first = ({ images, targets, count, size }: Slices, few: number): Slices => ({
  images: images.subarray(0, (images.length / count) * few),
  targets: targets.subarray(0, (targets.length / count) * few),
  count: few,
  size,
});

function noise(count: number, seed: number): Slices {
  const { images, targets } = trainingBatch({ slices: count, size: SIZE, modalities: 4 }, seed);
  return { images, targets, count, size: SIZE };
}

async function zooStudy(engine: Engine, network: (typeof NETWORKS)[number], definition: DefinitionOptions): Promise<Asked> {
  const checkpoints: string[] = [];
  for (const seed of [1, 2]) {
    checkpoints.push(join(folder, `${network}-${seed}.onnx`));
    await writeOnnx(checkpoints.at(-1)!, buildNetwork({ network, width: 4, levels: 2, seed }));
  }
  const slices = { test: noise(1, 3), train: noise(3, 4) };
  return studyOf(engine, { checkpoints, learningRates: [0.1, 0.05] }, slices, 3, definition);
}

describe.each(ENGINES)('$name', (engine) => {
  it.each(NETWORKS.map((network, i) => ({ network, definition: DEFINITIONS[i]! })))(
    'maps of $network sum to T: $definition.loss, $definition.region',
    async ({ network, definition }) => {
      expect(await worstMiss(engine, await zooStudy(engine, network, definition), 2)).toBeLessThan(LIMIT[engine.name]);
    },
  );

  // The reference engine takes seconds for each.
  it.each(NETWORK_NAMES.filter((_, i) => engine.name !== 'reference' || i % 4 === 0))('maps of %s sum to T', async (name) => {
    const { classes, learningRates } = await describeNetwork(name);
    const files = [0, 1].map((t) => join(__dirname, '..', 'networks', name, `checkpoint-${t}.onnx`)).filter((file) => existsSync(file));
    const networks = { checkpoints: files, learningRates: learningRates.slice(-files.length) };
    const slices = { test: first(await slicesOf('test', classes), 1), train: first(await slicesOf('train', classes), 2) };
    const asked = await studyOf(engine, networks, slices, classes - 1, { region: 'truth' });
    expect(await worstMiss(engine, asked, 1)).toBeLessThan(LIMIT[engine.name]);
  });
});

describe('a folder of maps', () => {
  const engine = ENGINES[0]!;
  let asked: Asked;
  let settings: MapOptions;
  beforeAll(async () => {
    asked = await zooStudy(engine, 'resunet', { region: 'truth' });
    settings = { ...asked, engine, test: { case: 'case 0' }, class: 'class 2', trainClass: 'all', top: 1 };
  });
  const files = async (): Promise<string[]> => (await readdir(join(asked.study.dir, 'maps'))).sort();

  it('keeps what is there and computes what is missing', async () => {
    let passes = 0;
    const shown: MapView[] = [];
    const counting = { ...settings, onProgress: () => void passes++, onMap: async (view: MapView) => void shown.push(view) };
    const one = await computeMaps(counting);
    expect(one.map(({ side }) => side)).toEqual(['train', 'test', 'train', 'test'].slice(0, one.length));
    expect(await files()).toEqual(['index.json', ...one.map(({ file }) => file)].sort());
    // For two checkpoints: one gradient of the test region and each neighbour's, one tangent pass for each map.
    expect(passes).toBe(2 * (1 + one.length / 2 + one.length));
    for (const { map, mask, images, entry } of shown) {
      expect([mask.length, images.length, entry.volume]).toEqual([map.length, 4 * map.length, null]);
      expect(map.every((value, pixel) => mask[pixel] === 1 || value === 0)).toBe(true);
    }
    expect(await computeMaps(counting)).toEqual(one);
    expect(shown).toHaveLength(one.length);
    const more = await computeMaps({ ...counting, top: 2 });
    expect(more).toEqual(expect.arrayContaining(one));
    expect(shown).toHaveLength(more.length);
    expect(await readMaps(asked.study)).toEqual(expect.arrayContaining(more));
    const picture = await mapPicture(shown[0]!);
    expect(Buffer.from(picture.subarray(1, 4)).toString()).toBe('PNG');
  });

  it('refuses a region that is not there, and data that are not the study’s', async () => {
    await expect(computeMaps({ ...settings, class: 'class 9' })).rejects.toMatchObject({ code: 'ERR_TRACIN_USAGE' });
    await expect(computeMaps({ ...settings, test: { case: 'nobody' } })).rejects.toMatchObject({ code: 'ERR_TRACIN_USAGE' });
    const sources = { ...asked.sources, train: memorySource(noise(3, 77), 3) };
    const other = computeMaps({ ...settings, sources, class: 'class 3' });
    await expect(other).rejects.toMatchObject({ code: 'ERR_TRACIN_DATA', message: /sums to .* but T in/ });
  });

  it('is left as it was when interrupted', async () => {
    const before = await files();
    const signal = AbortSignal.abort();
    await expect(computeMaps({ ...settings, class: 'class 1', signal })).rejects.toMatchObject({ code: 'ERR_TRACIN_ABORTED' });
    const controller = new AbortController();
    const late = computeMaps({ ...settings, class: 'class 1', signal: controller.signal, onProgress: () => controller.abort() });
    await expect(late).rejects.toMatchObject({ code: 'ERR_TRACIN_ABORTED' });
    expect(await files()).toEqual(before);
  });
});
