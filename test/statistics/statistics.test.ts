/** Against values that scipy and numpy gave, see reference/scipy_values.py. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { PairsDrawn } from '../../lib/resampled-correlation';
import { auroc, bootstrap, mannWhitney, mean, pearson, quantile, ranks, recallAt, spearman } from '../../lib/statistics';
import { kendall } from '../support/kendall';

const { correlations, mannWhitney: tests } = JSON.parse(readFileSync(join(__dirname, 'reference', 'scipy.json'), 'utf8')) as {
  correlations: { x: number[]; y: number[]; pearson: number; spearman: number; kendall: number; ranks: number[]; quantiles: number[] }[];
  mannWhitney: { x: number[]; y: number[]; u: number; p: number }[];
};

test.each(correlations)('correlations of $x.length pairs', ({ x, y, ...expected }) => {
  expect(pearson(x, y)).toBeCloseTo(expected.pearson, 12);
  expect(spearman(x, y)).toBeCloseTo(expected.spearman, 12);
  expect(kendall(x, y)).toBeCloseTo(expected.kendall, 12);
  const drawn = new PairsDrawn(Float64Array.from(x), Float64Array.from(y)).of(Int32Array.from(x.keys()));
  expect(drawn.kendall).toBeCloseTo(expected.kendall, 12);
  expect([...ranks(x)]).toEqual(expected.ranks);
  [0, 0.025, 0.5, 0.95, 1].forEach((share, i) => expect(quantile(x, share)).toBeCloseTo(expected.quantiles[i]!, 12));
});

test('a constant side has no correlation', () => {
  for (const correlation of [pearson, spearman, kendall]) {
    expect(correlation([1, 2, 3], [4, 4, 4])).toBeNaN();
    expect(correlation([4, 4, 4], [1, 2, 3])).toBeNaN();
    // 0.1 + 0.1 + 0.1 is not 3 · 0.1
    expect(correlation([0.1, 0.1, 0.1], [1, 2, 4])).toBeNaN();
    expect(correlation([1, 2, 4], [0.1, 0.1, 0.1])).toBeNaN();
  }
});

test.each(tests)('Mann-Whitney of $x.length and $y.length', ({ x, y, u, p }) => {
  const found = mannWhitney(x, y);
  expect(found.u).toBe(u);
  expect(found.p).toBeCloseTo(p, 12);
  expect(found.effect).toBeCloseTo((2 * u) / (x.length * y.length) - 1, 12);
});

test('AUROC is the share of pairs in the right order', () => {
  const pairs = fc.array(fc.tuple(fc.integer({ min: 0, max: 5 }), fc.boolean()), { minLength: 2, maxLength: 30 });
  fc.assert(
    fc.property(pairs, (all) => {
      const [scores, positive] = [all.map(([score]) => score), all.map(([, is]) => is)];
      let [right, count] = [0, 0];
      for (const [a, isA] of all) {
        for (const [b, isB] of all) {
          if (!isA || isB) continue;
          count++;
          right += a > b ? 1 : a === b ? 0.5 : 0;
        }
      }
      if (count === 0) expect(auroc(scores, positive)).toBeNaN();
      else expect(auroc(scores, positive)).toBeCloseTo(right / count, 12);
    }),
  );
});

test('recall counts the positives among the first share, ties in the worst order', () => {
  const positive = [true, false, true, false, false, true, false, false, false, false];
  expect(recallAt([9, 8, 7, 6, 5, 4, 3, 2, 1, 0], positive, 0.1)).toBeCloseTo(1 / 3);
  expect(recallAt([9, 8, 7, 6, 5, 4, 3, 2, 1, 0], positive, 0.3)).toBeCloseTo(2 / 3);
  expect(recallAt(new Array<number>(10).fill(1), positive, 0.2)).toBe(0);
  expect(recallAt([1, 2], [false, true], 0.1)).toBe(1);
  expect(recallAt([1, 2], [false, false], 0.5)).toBeNaN();
});

test('the bootstrap interval of a mean is that of its standard error, and repeats with its seed', () => {
  const values = Array.from({ length: 400 }, (_, i) => Math.sin(i * 12.9898) * 3);
  const centre = mean(values);
  const error = Math.sqrt(mean(values.map((value) => (value - centre) ** 2)) / values.length);
  const of = (seed: number) => bootstrap(values.length, (sample) => mean(Array.from(sample, (i) => values[i]!)), { resamples: 1000, seed });
  const { low, high } = of(3);
  expect((centre - low) / error).toBeCloseTo(1.96, 0);
  expect((high - centre) / error).toBeCloseTo(1.96, 0);
  expect(of(3)).toEqual({ low, high });
  expect(of(4)).not.toEqual({ low, high });
  expect(bootstrap(0, () => 1, { resamples: 10, seed: 1 })).toEqual({ low: NaN, high: NaN });
});
