/** Stability between studies whose influence is written by hand. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { testStability } from '../../lib/faithfulness/stability';
import { readStability, stabilityPath } from '../../lib/faithfulness/stability-file';
import type { Study } from '../../lib/influence/study';
import { writeStudy, type Numbers } from '../influence/support/studies';
import { tracin } from '../support/cli';

let dir: string;
beforeAll(async () => void (dir = await mkdtemp(join(tmpdir(), 'tracin-stability-'))));
afterAll(() => rm(dir, { recursive: true, force: true }));

const PATIENTS = ['P', 'Q', 'R', 'S', 'T', 'U', 'V'];
const NAMES = ['A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J'];
const FALLING = [10, 9, 8, 7, 6, 5, 4, 3, 2, 1];
let written = 0;

/** One class, one checkpoint; every test region has the same influences on it unless told otherwise. */
function studyOf(
  influence: readonly number[] | readonly (readonly number[])[],
  network: string,
  more: Partial<Numbers> = {},
): Promise<Study> {
  const rows = typeof influence[0] === 'number' ? PATIENTS.map(() => influence as readonly number[]) : (influence as readonly number[][]);
  return writeStudy(join(dir, String(written++)), {
    classes: ['ET'],
    learningRates: [1],
    test: PATIENTS.map((name) => [name, 3, [5]]),
    train: NAMES.map((name) => [name, 1, [4]]),
    products: [rows.flat()],
    network,
    ...more,
  });
}

const of = (value: number, n = 7) => ({
  value: expect.closeTo(value, 9),
  low: expect.closeTo(value, 9),
  high: expect.closeTo(value, 9),
  n,
});

test('trainings that agree are stable, whatever the scale of their influence', async () => {
  const [one, other] = [await studyOf(FALLING, 'a'), await studyOf(FALLING.map((x) => 3 * x - 20), 'b')]; // prettier-ignore
  const found = await testStability({ studies: [one, other], top: 3, resamples: 20 });
  expect(found.correlation.overall).toEqual({ ...of(1), regions: 7 });
  expect(found.correlation.classPairs).toEqual([{ class: 'ET', trainClass: 'ET', ...of(1), regions: 7 }]);
  expect(found.lists).toEqual([{ class: 'ET', overlap: { ...of(1), regions: 7 }, chance: 0.3, overChance: { ...of(0.7), regions: 7 } }]);
  expect(found.regions).toHaveLength(7);
  expect(found.regions[0]).toEqual({
    case: 'P',
    slice: 3,
    class: 'ET',
    correlation: expect.closeTo(1, 9),
    overlap: 1,
    stable: ['A', 'B', 'C'].map((name) => ({ case: name, slice: 1, patient: name })),
    listed: 3,
  });
  expect(found.verdict).toMatchObject({ level: 'stable', warning: false });
  expect(found.studies).toEqual([
    { dir: '.', checkpoints: 1 },
    { dir: `../${written - 1}`, checkpoints: 1 },
  ]);
  expect(await readStability(one)).toEqual(found);
  expect(await readStability(other)).toBeUndefined();
});

test('three trainings: pairs are averaged, and only what every list has is stable', async () => {
  // The first two exchange their leaders; the third is turned round.
  const second = [9, 10, 8, 7, 6, 5, 4, 3, 2, 1];
  const studies = [await studyOf(FALLING, 'a'), await studyOf(second, 'b'), await studyOf(FALLING.toReversed(), 'c')];
  const found = await testStability({ studies, top: 6, resamples: 20 });
  // 1 − 6 Σ d² / (n (n² − 1)): d² is 2 between the first two, 330 and 328 … with the third.
  const rho = (squares: number): number => 1 - (6 * squares) / 990;
  const turned = second.map((x, i) => (x - FALLING.toReversed()[i]!) ** 2).reduce((a, b) => a + b);
  expect(found.correlation.overall).toEqual({ ...of((rho(2) + rho(330) + rho(turned)) / 3), regions: 7 });
  // Lists of the first two are A to F, that of the third E to J.
  expect(found.lists[0]!.overlap).toEqual({ ...of((1 + 2 / 6 + 2 / 6) / 3), regions: 7 });
  expect(found.regions[0]!.stable.map(({ patient }) => patient)).toEqual(['E', 'F']);
  expect(found.verdict).toMatchObject({ level: 'not stable', warning: true });
  expect(found.verdict.words).toMatch(/^not stable: .* by chance 0\.600/);
});

test('training regions without a gradient are on no list', async () => {
  // Two proponents of ten, which the trainings do not share; five regions score 0 in both.
  const [one, other] = [await studyOf([2, 1, 0, 0, 0, 0, 0, -1, -2, -3], 'a'), await studyOf([-1, -2, 0, 0, 0, 0, 0, -3, 1, 2], 'b')];
  const found = await testStability({ studies: [one, other], top: 2, resamples: 20 });
  expect(found.lists[0]).toMatchObject({ overlap: of(0), chance: expect.closeTo(0.4, 9) });
  const longer = await testStability({ studies: [one, other], top: 5, resamples: 20 });
  expect(longer.regions[0]!.listed).toBe(5);
  expect(longer.lists[0]!.overlap).toMatchObject({ value: 1, regions: 7 });
});

test('what leads a list in one training and ends it, as an opponent, in another is not among the stable proponents', async () => {
  const [one, other] = [await studyOf([4, 3, 2, 1, -1, -2, -3, -4, -5, -6], 'a'), await studyOf([4, -3, 2, -1, 1, -2, -4, -5, -6, -7], 'b')]; // prettier-ignore
  const found = await testStability({ studies: [one, other], top: 6, resamples: 20 });
  expect(found.regions[0]!.listed).toBe(6);
  expect(found.regions[0]!.stable.map(({ case: name }) => name)).toEqual(['A', 'C']);
});

test('trainings that have no region in common are not compared, and nobody is warned', async () => {
  const nothing: Partial<Numbers> = { test: PATIENTS.map((name) => [name, 3, [0]]) };
  const studies = [await studyOf(FALLING, 'a'), await studyOf(FALLING, 'b', nothing)];
  const found = await testStability({ studies, resamples: 20 });
  expect(found.verdict).toMatchObject({ level: 'not compared', warning: false, words: expect.stringMatching(/^not compared: /) });
  expect(await readStability(studies[0]!)).toEqual(found);
});

test('a class with no more training regions than a list is long neither shows nor denies that lists agree', async () => {
  // ET has two training regions, which every list holds; of ED the two leading ones of ten are shared.
  const both = (influence: readonly number[]): Partial<Numbers> => ({
    classes: ['ED', 'ET'],
    test: PATIENTS.map((name) => [name, 3, [5, 5]]),
    train: NAMES.map((name, i) => [name, 1, [4, i < 2 ? 4 : 0]]),
    products: [PATIENTS.flatMap(() => [...influence.flatMap((x) => [x, 0]), ...influence.flatMap((_, i) => [0, i < 2 ? 2 - i : 0])])],
  });
  const studies = [await studyOf([], 'a', both(FALLING)), await studyOf([], 'b', both([10, 9, 1, 2, 3, 4, 5, 6, 7, 8]))];
  const found = await testStability({ studies, top: 2, resamples: 20 });
  expect(found.lists.map(({ chance }) => chance)).toEqual([expect.closeTo(0.2, 9), 1]);
  expect(found.verdict.level).toBe('partly stable');
});

test('lists that agree beyond chance in rankings that otherwise do not are partly stable', async () => {
  const found = await testStability({ studies: [await studyOf(FALLING, 'a'), await studyOf([10, 9, 1, 2, 3, 4, 5, 6, 7, 8], 'b')], top: 2, resamples: 20 }); // prettier-ignore
  expect(found.verdict).toMatchObject({ level: 'partly stable', warning: true });
});

test('too few test patients show nothing', async () => {
  const few: Partial<Numbers> = { test: [['P', 3, [5]]], products: [FALLING] };
  const found = await testStability({ studies: [await studyOf([], 'a', few), await studyOf([], 'b', few)], resamples: 20 });
  expect(found.verdict).toMatchObject({ level: 'not stable', words: expect.stringContaining('fewer than 6 test patients cannot show it') });
});

test('regions that one of the networks does not have are left out; patients are summed', async () => {
  // The second network predicts nothing in test patient P and training slice C.
  const absent: Partial<Numbers> = {
    test: PATIENTS.map((name, i) => [name, 3, [i === 0 ? 0 : 5]]),
    train: NAMES.map((name) => [name, 1, [name === 'C' ? 0 : 4]]),
  };
  const found = await testStability({
    studies: [await studyOf(FALLING, 'a'), await studyOf(FALLING, 'b', absent)],
    by: 'patient',
    top: 9,
    resamples: 20,
  });
  expect(found.regions.map((one) => one.case)).toEqual(PATIENTS.slice(1));
  expect(found.regions[0]).toMatchObject({ listed: 9, stable: NAMES.filter((name) => name !== 'C').map((patient) => ({ patient })) });
  expect(found.correlation.overall).toMatchObject({ n: 6, regions: 6 });
});

test('regions that nothing influences are left out: all their scores are 0, in an order that says nothing', async () => {
  const none = (patient: number): Partial<Numbers> => ({ testNorms: PATIENTS.map((_, i) => (i === patient ? 0 : 1)) });
  const influences = (patient: number) => PATIENTS.map((_, i) => (i === patient ? NAMES.map(() => 0) : FALLING));
  const studies = [await studyOf(influences(1), 'a', none(1)), await studyOf(influences(2), 'b', none(2))];
  const found = await testStability({ studies, top: 3, resamples: 20 });
  expect(found.regions.map((one) => one.case)).toEqual(PATIENTS.toSpliced(1, 2));
  expect(found.lists[0]!.overlap.regions).toBe(5);
});

test('studies that differ in more than the seed are refused, and so is one study twice', async () => {
  const first = await studyOf(FALLING, 'a');
  const refused = (other: Study) => expect(testStability({ studies: [first, other] })).rejects;
  await refused(first).toMatchObject({ code: 'ERR_TRACIN_STUDY', message: /are of the same networks/ });
  await refused(await studyOf(FALLING, 'b', { classes: ['ED'] })).toThrow(/different classes/);
  await refused(await studyOf(FALLING, 'b', { test: PATIENTS.map((name) => [name, 4, [5]]) })).toThrow(/different test slices/);
  await refused(await studyOf(FALLING, 'b', { train: NAMES.map((name) => [name, 2, [5]]) })).toThrow(/different training slices/);
  await refused(await studyOf(FALLING, 'b', { definition: { loss: 'cross-entropy', region: 'truth' } })).toThrow(/differently/);
  await expect(testStability({ studies: [first] })).rejects.toMatchObject({ code: 'ERR_TRACIN_USAGE', message: /at least two/ });
});

test('by command', async () => {
  const [one, other] = [await studyOf(FALLING, 'a'), await studyOf(FALLING, 'b')];
  const { status, stdout, stderr } = await tracin(['stability', one.dir, other.dir, '--top', '2'], { cwd: dir });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toMatch(/^stable: rank correlation of influence between 2 trainings 1\.000 \(1\.000 to 1\.000\)/);
  expect(JSON.parse(await readFile(stabilityPath(one.dir), 'utf8'))).toMatchObject({ top: 2, verdict: { warning: false } });
  expect((await tracin(['stability', one.dir], { cwd: dir })).status).toBe(2);
});
