/** A painted region against a finished study: T as a study of its own has it, either way. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { paintedInfluence, WAYS, type PaintedOptions } from '../../lib/explanation/painted';
import type { DefinitionOptions } from '../../lib/influence/definition';
import { rank } from '../../lib/influence/ranking';
import { computeInfluence } from '../../lib/influence/run';
import type { Study } from '../../lib/influence/study';
import { weightedSum } from '../../lib/influence/weights';
import { writeNpy } from '../../lib/npy';
import { ENGINES } from '../support/engines';
import { relativeError } from '../support/numbers';
import { LEARNING_RATES, openTiny, SIZE, type Tiny } from '../influence/support/tiny';

let tiny: Tiny;
let folder: string;
let spot: string;
const mask = Uint8Array.from({ length: SIZE[0]! * SIZE[1]! }, (_, i) => (i % 7 < 3 ? 1 : 0));
beforeAll(async () => {
  tiny = await openTiny();
  folder = await mkdtemp(join(tmpdir(), 'tracin-painted-'));
  spot = join(folder, 'spot.npy');
  await writeNpy(spot, SIZE, mask);
});
afterAll(async () => {
  await tiny.close();
  await rm(folder, { recursive: true, force: true });
});

describe.each(ENGINES)('$name', (engine) => {
  const networks = () => ({ checkpoints: tiny.checkpoints, learningRates: LEARNING_RATES });
  const studyOf = (name: string, definition: DefinitionOptions, painted: boolean): Promise<Study> =>
    computeInfluence({
      ...{ test: tiny.test, train: tiny.train, networks: networks(), engine, definition, out: join(folder, `${engine.name}-${name}`) },
      regionMask: painted ? { class: 'ED', pixels: (slice) => (slice.case === '1' ? mask : undefined) } : undefined,
    });

  it.each([
    { loss: 'dice', region: 'predicted' },
    { loss: 'cross-entropy', region: 'truth', reduction: 'sum', target: 'predicted' },
    { loss: 'dice', region: 'slice', parameters: 'head' },
  ] as DefinitionOptions[])('has the T of a study of its own: %j', async (definition) => {
    const name = JSON.stringify(definition).replace(/\W+/g, '-');
    const own = await studyOf(`${name}-own`, definition, true);
    const study = await studyOf(name, definition, false);
    const expected = (await own.scores(1)).slice(1 * 5 * 3, 2 * 5 * 3);
    const options: PaintedOptions = {
      ...{ study, engine, sources: { test: tiny.test, train: tiny.train }, test: { case: '1' }, class: 'ED', mask: spot, batch: 2 },
    };
    for (const way of [...WAYS, undefined]) {
      const notices: string[] = [];
      const found = await paintedInfluence({ ...options, way, onNotice: (line) => notices.push(line) });
      expect([found.row, found.k, found.pixels]).toEqual([1, 1, mask.reduce((sum, on) => sum + on, 0)]);
      expect(relativeError(weightedSum(found.products, study.learningRates), expected)).toBeLessThan(1e-5);
      expect(notices).toHaveLength(way ? 0 : 1);
      for (const normalize of ['none', 'cosine', 'relative'] as const) {
        const query = { test: { case: '1', slice: 0 }, class: 'ED', normalize, trainClass: 'all' };
        const [ranked, right] = [await rank(study, query, found), await rank(own, query)];
        const scores = ({ proponents }: typeof ranked) => Float64Array.from(proponents, ({ score }) => score);
        expect(relativeError(scores(ranked), scores(right))).toBeLessThan(1e-5);
        expect(ranked.test).toEqual(right.test);
      }
    }
    await expect(paintedInfluence({ ...options, class: 'none' })).rejects.toMatchObject({ code: 'ERR_TRACIN_USAGE' });
    await expect(paintedInfluence({ ...options, test: { case: '9' } })).rejects.toMatchObject({ code: 'ERR_TRACIN_USAGE' });
    await expect(paintedInfluence({ ...options, test: { case: '1', slice: 4 } })).rejects.toMatchObject({ code: 'ERR_TRACIN_USAGE' });
    const signal = AbortSignal.abort();
    await expect(paintedInfluence({ ...options, signal })).rejects.toMatchObject({ code: 'ERR_TRACIN_ABORTED' });
  });
});
