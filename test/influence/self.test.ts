import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openReferenceEngine } from '../../lib/engine/reference';
import { rank } from '../../lib/influence/ranking';
import { computeInfluence } from '../../lib/influence/run';
import { readNpy } from '../../lib/npy';
import { contents } from '../support/folders';
import { openTiny, SIZE, tinyNetwork, type Tiny } from './support/tiny';
import { watched } from './support/watched';

let tiny: Tiny;
let folder: string;
beforeAll(async () => {
  tiny = await openTiny();
  folder = await mkdtemp(join(tmpdir(), 'tracin-self-'));
});
afterAll(async () => {
  await tiny.close();
  await rm(folder, { recursive: true, force: true });
});

test('self-influence: the norms and losses of a whole study, from one pass in which no gradient stays', async () => {
  const common = { train: tiny.train, networks: tiny.networks };
  const whole = await computeInfluence({ ...common, test: tiny.test, engine: openReferenceEngine(), out: join(folder, 'whole') });
  const seen: number[] = [];
  const calls = new Set<string>();
  const self = await computeInfluence({
    ...common,
    test: 'none',
    engine: watched(openReferenceEngine(), (method) => void calls.add(method)),
    out: join(folder, 'self'),
    onPlan: ({ passes, slicesToCompute, memory }) => seen.push(passes, slicesToCompute, memory.resident),
  });
  expect(seen).toEqual([1, 2 * 5, 0]);
  expect(calls.has('contract')).toBe(true);
  expect(calls.has('resident')).toBe(false);
  const [ours, theirs] = [await contents(self.dir), await contents(whole.dir)];
  for (const file of ['norms-train.npy', 'losses-train.npy', 'predicted-train.npy']) {
    expect(ours[file]).toMatch(/./);
    expect(ours[file]).toBe(theirs[file]);
  }
  expect((await readNpy(join(self.dir, 'scores.npy'))).shape).toEqual([0, 3, 5, 3]);
  expect(self.trainings).toEqual(whole.trainings);
  await expect(rank(self, { test: { case: '0' }, class: 'ED' })).rejects.toMatchObject({
    code: 'ERR_TRACIN_USAGE',
    message: `${self.dir} has no test slices (--self): rank a study that has`,
  });
});

test('losses are those of the engine', async () => {
  const study = await computeInfluence({
    train: tiny.train,
    test: 'none',
    networks: tiny.networks,
    definition: { region: 'slice' },
    engine: openReferenceEngine(),
    out: join(folder, 'losses'),
  });
  const losses = await study.losses('train');
  for (const [t] of tiny.checkpoints.entries()) {
    const program = await openReferenceEngine().compile(tinyNetwork(t + 1), { size: SIZE });
    const { images, labels } = tiny.slices.train;
    const masks = new Uint8Array(labels.length * 3).fill(1);
    const expected = await program.contract(undefined, { images, targets: labels, masks }, { kind: 'dice', reduction: 'mean' });
    expect([...losses.subarray(t * 15, (t + 1) * 15)]).toEqual([...Float32Array.from(expected.losses)]);
    expect(Math.min(...expected.losses)).toBeGreaterThan(0.1);
    program.dispose();
  }
});
