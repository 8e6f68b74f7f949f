import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ImportanceSums, ranksOf, rankWeights, thirds, type ImportanceShape } from '../../lib/explanation/importance';
import { influencedRegions } from '../../lib/influence/influenced';
import { generatorAt, shuffledOrder } from '../../lib/random';
import { writeStudy } from '../influence/support/studies';

test('thirds and the weights of their contrast', () => {
  expect(thirds(2)).toBeUndefined();
  expect(thirds(3)).toEqual({ first: [0, 1], middle: [1, 2] });
  expect(thirds(10)).toEqual({ first: [0, 3], middle: [3, 7] });
  expect(rankWeights(5)).toEqual({ weights: Int32Array.of(1, 1, -2, 0, 0), scale: 2 });
  expect(rankWeights(10)).toEqual({ weights: Int32Array.of(4, 4, 4, -3, -3, -3, -3, 0, 0, 0), scale: 12 });
  expect(rankWeights(2)).toBeUndefined();
});

/** Two test regions of one class that rank nine training regions alike, but for one swap; the training slice at row 4 is absent. */
const N = 10;
const orders = [
  [3, 1, 0, 2, 5, 6, 7, 8, 9],
  [1, 3, 0, 2, 5, 6, 7, 8, 9],
];
const ranks = new Int32Array(3 * N).fill(-1);
orders.forEach((order, test) => order.forEach((row, rank) => (ranks[test * N + row] = rank)));
const shape: ImportanceShape = { tests: 3, trainings: N, classes: 1, features: 2, ranks, shuffles: 200, seed: 5 };

function summed(similarity: (test: number, row: number) => number[], changed: Partial<ImportanceShape> = {}): ImportanceSums {
  const sums = new ImportanceSums({ ...shape, ...changed });
  for (const [test, order] of orders.entries()) for (const row of order) sums.add(test, 0, row, Float64Array.from(similarity(test, row)));
  return sums;
}

test('FI is the mean over test regions at each rank', () => {
  const curves = summed((test, row) => [row, 10 * test]).importance();
  expect([...curves]).toEqual([2, 2, 0, 2, 5, 6, 7, 8, 9, NaN, 5, 5, 5, 5, 5, 5, 5, 5, 5, NaN]);
});

test('a region that nothing influences ranks nobody and leaves FI alone', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tracin-importance-'));
  const study = await writeStudy(dir, {
    classes: ['ET'],
    learningRates: [1],
    test: [
      ['T', 0, [1]],
      ['U', 0, [1]],
    ],
    train: ['A', 'B', 'C'].map((name) => [name, 0, [1]]),
    products: [[0, 0, 0, 1, 3, 2]],
    testNorms: [0, 1],
  });
  const influenced = await influencedRegions(study);
  const slices = await Promise.all(influenced.map((of, slice) => ranksOf(study, slice, of, 'none')));
  await rm(dir, { recursive: true, force: true });
  const found = Int32Array.from(slices.flatMap((of) => [...of]));
  expect([...found]).toEqual([-1, -1, -1, 2, 0, 1]);
  const sums = new ImportanceSums({ tests: 2, trainings: 3, classes: 1, features: 1, ranks: found, shuffles: 20, seed: 1 });
  for (const test of [0, 1]) for (const row of [0, 1, 2]) sums.add(test, 0, row, Float64Array.of(test === 0 ? 100 : row));
  expect([...sums.importance()]).toEqual([1, 2, 0]);
  expect(sums.scores()[0]![0]!.contrast).toBe(-1);
});

test('a feature that only the first ranks share is selected, one that has nothing to do with ranks is not', () => {
  const first = new Set([0, 1, 3]);
  const [[told, chance] = []] = summed((_, row) => [first.has(row) ? 0.9 : 0.1, row % 2]).scores();
  expect(told).toMatchObject({ feature: 0, selected: true });
  expect(told!.contrast).toBeCloseTo(0.8, 6);
  expect(chance).toMatchObject({ feature: 1, selected: false });
});

test('the threshold is the 95th percentile over joint shuffles of the training regions', () => {
  // brute force: the contrast of every one of the 9! orders of which 3 of 9 stand first and 3 in the middle, S = row for feature 0
  const rows = [0, 1, 2, 3, 5, 6, 7, 8, 9];
  const contrasts: number[] = [];
  for (let bits = 0; bits < 3 ** 9; bits++) {
    const parts = rows.map((_, i) => Math.floor(bits / 3 ** i) % 3);
    if ([0, 1, 2].some((part) => parts.filter((one) => one === part).length !== 3)) continue;
    contrasts.push(rows.reduce((sum, row, i) => sum + (parts[i] === 0 ? row / 3 : parts[i] === 1 ? -row / 3 : 0), 0));
  }
  contrasts.sort((a, b) => a - b);
  const [[score] = []] = summed((_, row) => [row, 0], { shuffles: 4000 }).scores();
  expect(score!.threshold).toBeCloseTo(contrasts[Math.floor(0.95 * contrasts.length)]!, 0);
});

test('fewer than three training regions tell nothing', () => {
  const few = Int32Array.from([0, 1, -1]);
  const sums = new ImportanceSums({ tests: 1, trainings: 3, classes: 1, features: 1, ranks: few, shuffles: 20, seed: 1 });
  sums.add(0, 0, 0, Float64Array.of(1));
  sums.add(0, 0, 1, Float64Array.of(0));
  expect(sums.scores()).toEqual([[{ feature: 0, contrast: null, threshold: null, selected: false }]]);
});

/** What becomes of one feature of one class, whose training regions are ranked anew for every test region. */
function scoreOf(tests: number, trainings: number, seed: number, similarity: (training: number) => number) {
  const orders = Array.from({ length: tests }, (_, test) => shuffledOrder(trainings, generatorAt(seed, test)));
  const shape = { tests, trainings, classes: 1, features: 1, ranks: Int32Array.from(orders.flat()), shuffles: 200, seed };
  const sums = new ImportanceSums(shape);
  for (let row = 0; row < trainings; row++)
    for (let test = 0; test < tests; test++) sums.add(test, 0, row, Float64Array.of(similarity(row)));
  return sums.scores()[0]![0]!;
}

test('a feature that is the same in every region is never selected', () => {
  const scores = Array.from({ length: 20 }, (_, seed) => scoreOf(5, 10, seed, () => 1));
  expect(scores).toEqual(scores.map(() => ({ feature: 0, contrast: 0, threshold: 0, selected: false })));
});

test('three training regions have too few orders for any to stand out', () => {
  const scores = Array.from({ length: 50 }, (_, seed) => scoreOf(1, 3, seed, (row) => 1 / (3 + row + seed)));
  expect(scores.some(({ contrast, threshold }) => contrast === threshold)).toBe(true);
  expect(scores.filter(({ selected }) => selected)).toEqual([]);
});
