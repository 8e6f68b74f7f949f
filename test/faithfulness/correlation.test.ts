import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { classCorrelations, encodeCorrelations, sliceCorrelations, type RegionCorrelation } from '../../lib/faithfulness/correlation';
import { verdictOf } from '../../lib/faithfulness/verdict';
import type { Study } from '../../lib/influence/study';
import { pearson, spearman } from '../../lib/statistics';
import { writeStudy } from '../influence/support/studies';
import { kendall } from '../support/kendall';

/** Five training regions of three patients; the fourth slice has none. */
const T = [4, 1, 3, 0, -2, 2];
const S = [0.9, 0.2, 0.5, NaN, 0.1, 0.6];
const MAXIMA = [[1, 0], [0, 1], [1, 1], [NaN, NaN], [-1, 0], [3, 1]]; // prettier-ignore
const PRESENT = [0, 1, 2, 4, 5];

let dir: string;
let study: Study;
let regions: RegionCorrelation[];
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tracin-correlation-'));
  study = await writeStudy(join(dir, 'study'), {
    classes: ['ED'],
    learningRates: [1],
    test: [['T', 0, [3]]],
    train: [['A', 0, [1]], ['A', 1, [2]], ['B', 0, [5]], ['B', 1, [0]], ['C', 0, [1]], ['C', 1, [1]]], // prettier-ignore
    products: [T],
    testNorms: [1],
    trainNorms: [4, 1, 9, 0, 1, 16],
  });
  const maxima = { test: Float32Array.of(2, 0), train: Float32Array.from(MAXIMA.flat()) };
  regions = await sliceCorrelations(study, 0, { similarity: Float32Array.from(S), maxima }, { resamples: 40, seed: 1 });
});
afterAll(() => rm(dir, { recursive: true, force: true }));

test('coefficients over the present regions, for T and its cosine, for both kinds of similarity', () => {
  const x = { none: PRESENT.map((i) => T[i]!), cosine: [2, 1, 1, -2, 0.5] };
  const root = Math.SQRT1_2;
  const y = { features: PRESENT.map((i) => S[i]!), pooled: [1, 0, root, -1, 3 / Math.sqrt(10)] };
  expect(regions).toHaveLength(12);
  for (const { influence, similarity, coefficient, value, low, high, n } of regions) {
    const expected = { pearson, spearman, kendall }[coefficient](x[influence], y[similarity]);
    expect(value).toBeCloseTo(expected, 6);
    expect(n).toBe(5);
    expect(low <= high).toBe(true);
  }
});

test('however often regions are resampled, they are put in order once', async () => {
  const maxima = { test: Float32Array.of(2, 0), train: Float32Array.from(MAXIMA.flat()) };
  const sortings = async (resamples: number): Promise<number> => {
    const sort = jest.spyOn(Uint32Array.prototype, 'sort');
    const arrays = jest.spyOn(Array.prototype, 'sort');
    await sliceCorrelations(study, 0, { similarity: Float32Array.from(S), maxima }, { resamples, seed: 1 });
    const calls = sort.mock.calls.length + arrays.mock.calls.length;
    sort.mockRestore();
    arrays.mockRestore();
    return calls;
  };
  const once = await sortings(10);
  expect(once).toBeGreaterThan(0);
  expect(await sortings(20)).toBe(once);
});

test('a table of all, and the mean over test regions', () => {
  const lines = encodeCorrelations(study, regions).trimEnd().split('\n');
  expect(lines).toHaveLength(13);
  expect(lines[1]).toMatch(/^T,0,ED,none,features,pearson,0\.\d+,/);
  const classes = classCorrelations(study, regions, { resamples: 40, seed: 1 });
  expect(classes).toHaveLength(12);
  const one = classes.find((found) => found.coefficient === 'spearman' && found.influence === 'none' && found.similarity === 'features')!;
  expect(one).toMatchObject({ class: 'ED', regions: 1, n: 1, value: spearman(PRESENT.map((i) => T[i]!), PRESENT.map((i) => S[i]!)) }); // prettier-ignore
});

test('the verdict says not shown where an interval reaches 0', () => {
  const one = { class: 'ED', similarity: 'features', coefficient: 'spearman', influence: 'none', regions: 9, n: 7 } as const;
  const results = { formatVersion: 1, tool: '', mode: 'quick', seed: 1, resamples: 9, features: null } as const;
  const verdict = verdictOf({ ...results, correlation: [{ ...one, value: 0.3, low: 0.1, high: 0.5 }, { ...one, value: 0.3, low: -0.01, high: 0.5 }, { ...one, value: 0.3, low: 0.2, high: 0.5, n: 5 }], ablation: { skipped: 'no cases' } }); // prettier-ignore
  expect(verdict.map(({ shown, words }) => [shown, words])).toEqual([
    [true, 'shown: ED: training regions with more influence are more alike in their features: Spearman 0.300 (0.100 to 0.500) over 9 regions of 7 test patients'],
    [false, expect.stringMatching(/^not shown: ED: .* 0\.300 \(-0\.010 to 0\.500\)/)],
    [false, expect.stringMatching(/^not shown: .* of 5 test patients; fewer than 6 patients cannot show it$/)],
    [false, 'not tested: no cases'],
  ]); // prettier-ignore
});
