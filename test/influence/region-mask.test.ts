import { join } from 'node:path';
import type { SliceId } from '../../lib/dataset/slices';
import { openReferenceEngine } from '../../lib/engine/reference';
import { computeInfluence, type InfluenceOptions } from '../../lib/influence/run';
import { rank } from '../../lib/influence/ranking';
import type { Study } from '../../lib/influence/study';
import { CLASSES, openTiny, SIZE, type Tiny } from './support/tiny';

let tiny: Tiny;
beforeAll(async () => void (tiny = await openTiny()));
afterAll(() => tiny.close());

const PIXELS = SIZE[0]! * SIZE[1]!;
let studies = 0;

async function study(options: Partial<InfluenceOptions>): Promise<Study> {
  return computeInfluence({
    train: tiny.train,
    test: tiny.test,
    networks: tiny.networks,
    definition: { region: 'truth' },
    out: join(tiny.dir, `study-${studies++}`),
    engine: openReferenceEngine(),
    ...options,
  });
}

/** The labels of a class on the second test slice. */
const labelled = (k: number): Uint8Array => tiny.slices.test.labels.slice(PIXELS, 2 * PIXELS).map((label) => (label === k + 1 ? 200 : 0));
const onSecond =
  (pixels: Uint8Array) =>
  (slice: SliceId): Uint8Array | undefined =>
    slice.case === tiny.test.slices[1]!.case ? pixels : undefined;

test('the labels of a class, painted, give its influence; slices without paint are left out', async () => {
  const truth = await study({});
  const painted = await study({ regionMask: { pixels: onSecond(labelled(1)), file: 'spot.npy' } });
  expect(painted.tests.slices).toEqual([truth.tests.slices[1]]);
  const row = (scores: Float32Array, k: number): Float32Array => scores.slice(k * 5 * 3, (k + 1) * 5 * 3);
  const [expected, scores] = [await truth.scores(1), await painted.scores(0)];
  expect(row(scores, 1)).toEqual(row(expected, 1));
  expect(row(scores, 0)).not.toEqual(row(expected, 0));
  const count = labelled(1).filter((value) => value > 0).length;
  expect(painted.tests.pixels).toEqual([[count, count, count]]);
  expect(painted.trainings).toEqual(truth.trainings);
  expect(await painted.painted(0)).toEqual(labelled(1).map((value) => value / 200));
  expect(painted.record.regionMask).toMatchObject({ class: null, file: expect.stringMatching(/spot\.npy$/) as string });
  expect((await rank(painted, { test: { case: painted.tests.slices[0]!.case }, class: 'ED' })).test.pixels).toBe(count);
});

test('painted for one class, the others keep their regions', async () => {
  const truth = await study({});
  const painted = await study({ regionMask: { pixels: onSecond(labelled(0)), class: 'ED' } });
  expect(painted.tests.slices).toEqual(truth.tests.slices);
  const count = labelled(0).filter((value) => value > 0).length;
  expect(painted.tests.pixels).toEqual(truth.tests.pixels.map(([a, , c], row) => [a, row === 1 ? count : 0, c]));
});

test('needs no labels of the test slices for its regions', async () => {
  const options = { test: tiny.unlabelled, definition: { region: 'truth', target: 'predicted' } } as const;
  await expect(study(options)).rejects.toThrow('no labels to take regions from');
  const painted = await study({ ...options, regionMask: { pixels: onSecond(labelled(0)) } });
  expect(painted.tests.slices).toHaveLength(1);
});

test('is part of what a study is: other paint cannot be resumed', async () => {
  const out = join(tiny.dir, 'resumed');
  const regionMask = { pixels: onSecond(labelled(0)) };
  const first = await study({ out, regionMask });
  await expect(study({ out, regionMask, resume: true })).resolves.toMatchObject({ record: first.record });
  await expect(study({ out, regionMask: { pixels: onSecond(labelled(1)) }, resume: true })).rejects.toThrow(
    'sha256 of the region mask was',
  );
});

test.each<[string, string, InfluenceOptions['regionMask']]>([
  ['DATA', 'no pixel of any test slice is painted', { pixels: () => undefined }],
  ['DATA', 'no pixel of any test slice is painted', { pixels: () => new Uint8Array(PIXELS), class: 'ED' }],
  ['DATA', 'slice 0: has 7 pixels, the slice 6 × 5', { pixels: () => new Uint8Array(7) }],
  ['USAGE', `unknown class XY: choose from ${CLASSES.join(', ')}`, { pixels: () => new Uint8Array(PIXELS), class: 'XY' }],
])('%s: %s', async (code, message, regionMask) => {
  await expect(study({ regionMask })).rejects.toMatchObject({
    code: `ERR_TRACIN_${code}`,
    message: expect.stringContaining(message) as string,
  });
});
