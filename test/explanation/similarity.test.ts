import fc from 'fast-check';
import {
  compare,
  describe as described,
  maskOnMaps,
  SIMILARITIES,
  type FeatureMaps,
  type Similarity,
} from '../../lib/explanation/similarity';

/** Maps [F, H, W] of one slice, given row by row. */
const maps = (...features: number[][][]): FeatureMaps => ({
  maps: Float64Array.from(features.flat(2)),
  offset: 0,
  features: features.length,
  size: [features[0]!.length, features[0]![0]!.length],
});
const mask = (...rows: number[][]): Uint8Array => Uint8Array.from(rows.flat());

const similarity = (kind: Similarity, [a, ofA]: [FeatureMaps, Uint8Array], [b, ofB]: [FeatureMaps, Uint8Array]): number[] =>
  Array.from(compare(kind, described(kind, a, ofA), described(kind, b, ofB), new Float64Array(a.features)), (value) => +value.toFixed(6));

const here = mask([1, 1, 0], [0, 0, 0]);
const there = mask([0, 0, 0], [0, 1, 1]);

describe('max-ratio', () => {
  test('is the smaller over the larger of the maxima inside the regions', () => {
    const a = maps([[2, 1, 9], [9, 9, 9]], [[0, 0, 5], [5, 5, 5]], [[0, 0, 1], [1, 1, 1]], [[-2, -3, 0], [0, 0, 0]]); // prettier-ignore
    const b = maps([[9, 9, 9], [9, 3, 4]], [[5, 5, 5], [5, 0, 0]], [[1, 1, 1], [1, 0, 7]], [[0, 0, 0], [0, -4, -8]]); // prettier-ignore
    expect(similarity('max-ratio', [a, here], [b, there])).toEqual([0.5, 1, 0, 0.5]);
  });

  test('of maxima that differ in sign is 0', () => {
    expect(similarity('max-ratio', [maps([[3, 1, 0], [0, 0, 0]]), here], [maps([[0, 0, 0], [0, -2, -2]]), there])).toEqual([0]); // prettier-ignore
  });
});

test('cosine compares place by place, so regions that do not meet have 0', () => {
  const a = maps([[1, 2, 0], [0, 0, 0]], [[3, 4, 0], [0, 0, 0]]); // prettier-ignore
  const b = maps([[2, 1, 5], [5, 5, 5]], [[4, 3, 0], [0, 0, 0]]); // prettier-ignore
  expect(similarity('cosine', [a, here], [b, here])).toEqual([0.8, 0.96]);
  expect(similarity('cosine', [b, here], [b, there])).toEqual([0, 0]);
  const across = mask([0, 1, 1], [0, 0, 0]);
  // maps 2 at the one place they share; lengths √(1 + 4) and √(1 + 25)
  expect(similarity('cosine', [a, here], [b, across])[0]).toBeCloseTo(2 / Math.sqrt(5 * 26), 5);
});

describe('cosine-centred', () => {
  test('of the same pattern in another place is 1', () => {
    const a = maps([[1, 2, 0], [0, 0, 0]]); // prettier-ignore
    const b = maps([[0, 0, 0], [0, 2, 4]]); // prettier-ignore
    expect(similarity('cosine-centred', [a, here], [b, there])).toEqual([1]);
    expect(similarity('cosine', [a, here], [b, there])).toEqual([0]);
  });

  test('samples linearly between the pixels of the box', () => {
    // a ramp of 2 pixels against one flat: samples of 1 … 2 by their own formula
    const ramp = Array.from({ length: 32 }, (_, n) => 1 + Math.min(1, Math.max(0, (2 * (n + 0.5)) / 32 - 0.5)));
    const dot = ramp.reduce((sum, value) => sum + value, 0);
    const expected = dot / Math.sqrt(32 * ramp.reduce((sum, value) => sum + value * value, 0));
    const [found] = similarity('cosine-centred', [maps([[1, 2, 0], [0, 0, 0]]), here], [maps([[3, 3, 0], [0, 0, 0]]), here]); // prettier-ignore
    expect(found).toBeCloseTo(expected, 5);
  });

  test('leaves out what lies in the box but not in the region', () => {
    const corner = mask([1, 0, 0], [1, 1, 0]);
    const [a, b] = [maps([[1, 9, 0], [1, 1, 0]]), maps([[1, 0, 0], [1, 1, 0]])]; // prettier-ignore
    expect(similarity('cosine-centred', [a, corner], [b, corner])).toEqual([1]);
  });
});

test.each(SIMILARITIES)('%s: bounded, symmetric, 1 of a region with itself; silent features alike', (kind) => {
  const map = fc.array(fc.float({ min: 0, max: 4, noNaN: true }), { minLength: 12, maxLength: 12 });
  const region = fc.array(fc.integer({ min: 0, max: 1 }), { minLength: 6, maxLength: 6 }).filter((bits) => bits.includes(1));
  const slice = fc
    .tuple(map, region)
    .map(([values, bits]): [FeatureMaps, Uint8Array] => [
      { maps: Float64Array.from(values), offset: 0, features: 2, size: [2, 3] },
      Uint8Array.from(bits),
    ]);
  fc.assert(
    fc.property(slice, slice, (a, b) => {
      const forth = similarity(kind, a, b);
      expect(forth).toEqual(similarity(kind, b, a));
      expect(forth.every((value) => value >= 0 && value <= 1.000001)).toBe(true);
      expect(similarity(kind, a, a)).toEqual([1, 1]);
    }),
    { numRuns: 20 },
  );
  const silent = maps([[0, 0, 0], [0, 0, 0]]); // prettier-ignore
  const loud = maps([[1, 1, 1], [1, 1, 1]]); // prettier-ignore
  expect(similarity(kind, [silent, here], [silent, here])).toEqual([1]);
  expect(similarity(kind, [silent, here], [loud, here])).toEqual([0]);
});

test('a mask on coarser maps keeps every region', () => {
  const fine = mask([0, 0, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]);
  expect([...maskOnMaps(fine, [4, 4], [2, 2])]).toEqual([0, 1, 1, 0]);
  expect(maskOnMaps(fine, [4, 4], [4, 4])).toBe(fine);
});
