import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openReferenceEngine } from '../../lib/engine/reference';
import { regionBatches } from '../../lib/influence/batches';
import { reopenNetworks, reopenSides } from '../../lib/influence/reopen';
import { computeInfluence, type InfluenceOptions } from '../../lib/influence/run';
import { openStudy, type Study } from '../../lib/influence/study';
import { CLASSES, openTiny, SIZE, type Tiny } from './support/tiny';

let tiny: Tiny;
let folder: string;
let study: Study;

const settings = (out: string, changed: Partial<InfluenceOptions> = {}): InfluenceOptions => ({
  train: tiny.train,
  test: tiny.test,
  networks: tiny.networks,
  engine: openReferenceEngine(),
  out: join(folder, out),
  ...changed,
});

beforeAll(async () => {
  tiny = await openTiny();
  folder = await mkdtemp(join(tmpdir(), 'tracin-reopen-'));
  const record = (role: string) => ({
    layout: 'arrays',
    images: join(tiny.dir, `${role}-images.npy`),
    labels: join(tiny.dir, `${role}-labels.npy`),
    classes: CLASSES,
  });
  await computeInfluence(settings('study', { datasets: { train: record('train'), test: record('test') } }));
  study = await openStudy(join(folder, 'study'));
});
afterAll(async () => {
  await tiny.close();
  await rm(folder, { recursive: true, force: true });
});

test('slices, regions and networks are those the study was computed from', async () => {
  const sides = await reopenSides(study);
  const counts: number[][] = [];
  for await (const { masks } of regionBatches(sides.train, study.definition, { start: 0, end: 5 }, 2)) {
    const pixels = SIZE[0]! * SIZE[1]!;
    for (let slice = 0; slice * 3 * pixels < masks.length; slice++) {
      counts.push([0, 1, 2].map((k) => masks.subarray((slice * 3 + k) * pixels, (slice * 3 + k + 1) * pixels).reduce((a, b) => a + b, 0)));
    }
  }
  expect(counts).toEqual(study.trainings.pixels);
  expect((await sides.test.source.read([1])).images).toEqual((await tiny.test.read([1])).images);
  await sides.close();
  const networks = await reopenNetworks(study);
  expect(networks.checkpoints).toEqual(study.checkpoints);
});

test('painted regions stand in for those of the rule', async () => {
  const mask = new Uint8Array(SIZE[0]! * SIZE[1]!).fill(1, 3, 9);
  const regionMask = { pixels: (slice: { case: string }) => (slice.case === '1' ? mask : undefined) };
  const painted = await computeInfluence(settings('painted', { regionMask }));
  const sides = await reopenSides(painted, { test: tiny.test, train: tiny.train });
  expect(sides.test.source.slices.map((slice) => slice.case)).toEqual(['1']);
  expect(sides.test.painted).toEqual([{ mask, class: undefined }]);
  await sides.close();
});

test('what is not recorded, not there or not the same any more is refused', async () => {
  const unrecorded = await computeInfluence(settings('unrecorded'));
  await expect(reopenSides(unrecorded)).rejects.toMatchObject({ code: 'ERR_TRACIN_STUDY', message: /does not say how its test slices/ });
  const fewer = { test: tiny.test, train: tiny.test };
  await expect(reopenSides(unrecorded, fewer)).rejects.toMatchObject({ code: 'ERR_TRACIN_DATA', message: /case 3, slice 0 .* is not in/ });
  const last = study.checkpoints[1]!.file;
  await appendFile(last, Buffer.from([0x72, 0x00])); // an empty metadata entry more
  await expect(reopenNetworks(study)).rejects.toMatchObject({ code: 'ERR_TRACIN_CHECKPOINT' });
});
