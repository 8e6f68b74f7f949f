/** Influence maps: each sums to T, on every kind of network, by every engine. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { computeMaps, pairMaps, type MapOptions, type MapView } from '../../lib/explanation/maps';
import { readMaps } from '../../lib/explanation/map-files';
import type { Progress } from '../../lib/progress';
import { mapPicture } from '../../lib/report/map-picture';
import { NETWORKS } from '../../models/registry';
import { NETWORK_NAMES } from '../networks/stored';
import { ENGINES } from '../support/engines';
import { memorySource } from '../support/memory-source';
import { DEFINITIONS, LIMIT, noise, storedStudy, worstMiss, zooStudy, type Asked } from './support/sums';

describe.each(ENGINES)('$name', (engine) => {
  it.each(NETWORKS.map((network, i) => ({ network, definition: DEFINITIONS[i]! })))(
    'maps of $network sum to T: $definition.loss, $definition.region',
    async ({ network, definition }) => {
      expect(await worstMiss(engine, await zooStudy(engine, network, definition), 2)).toBeLessThan(LIMIT[engine.name]);
    },
  );

  // The reference engine takes seconds for each; maps.slow.test.ts has them all.
  it.each(NETWORK_NAMES.filter((_, i) => engine.name !== 'reference' || i % 4 === 0))('maps of %s sum to T', async (name) => {
    expect(await worstMiss(engine, await storedStudy(engine, name), 1)).toBeLessThan(LIMIT[engine.name]);
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
    const reports: Progress[] = [];
    const shown: MapView[] = [];
    const counting = {
      ...settings,
      onProgress: (progress: Progress) => void reports.push(progress),
      onMap: async (view: MapView) => void shown.push(view),
    };
    const one = await computeMaps(counting);
    expect(one.map(({ side }) => side)).toEqual(['train', 'test', 'train', 'test'].slice(0, one.length));
    expect(await files()).toEqual(['index.json', ...one.map(({ file }) => file)].sort());
    // For two checkpoints: one gradient of the test region and each neighbour's, one tangent pass for each map.
    const passes = 2 * (1 + one.length / 2 + one.length);
    expect(reports.map(({ done }) => done)).toEqual([...Array(passes + 1).keys()]);
    for (const { total } of reports) expect(total).toBe(passes);
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
    const region = { case: 'case 0', slice: asked.study.tests.slices[0]!.index };
    const pair = { test: region, class: 'class 2', train: region, trainClass: 'class 2' };
    const unknown = [
      { class: 'class 9' },
      { trainClass: 'class 9' },
      { test: { case: 'nobody', slice: 0 } },
      { train: { ...region, slice: 99 } },
    ];
    for (const wrong of unknown) {
      const maps = pairMaps([{ ...pair, ...wrong }], { ...asked, engine });
      await expect(maps).rejects.toMatchObject({ code: 'ERR_TRACIN_USAGE', message: /has no (class|test slice|train slice) / });
    }
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

  it('keeps the maps of two questions asked at once', async () => {
    const [one, other] = await Promise.all([
      computeMaps({ ...settings, class: 'class 1' }),
      computeMaps({ ...settings, class: 'class 3' }),
    ]);
    expect(one.length * other.length).toBeGreaterThan(0);
    expect(await readMaps(asked.study)).toEqual(expect.arrayContaining([...one, ...other]));
  });
});
