import fc from 'fast-check';
import { PairsDrawn } from '../../lib/resampled-correlation';
import { pearson, spearman } from '../../lib/statistics';
import { kendall } from '../support/kendall';

const some = fc.oneof(fc.integer({ min: -2, max: 2 }), fc.double({ noNaN: true, min: -1, max: 1 }));

test('correlations of pairs drawn again and again are those of the pairs, to the last digit', () => {
  const drawn = fc.array(fc.tuple(some, some), { minLength: 1, maxLength: 20 }).chain((pairs) =>
    fc.record({
      pairs: fc.constant(pairs),
      draws: fc.array(fc.array(fc.nat(pairs.length - 1), { minLength: 1, maxLength: 40 }), { minLength: 1, maxLength: 3 }),
    }),
  );
  fc.assert(
    fc.property(drawn, ({ pairs, draws }) => {
      const [x, y] = [Float64Array.from(pairs, ([one]) => one), Float64Array.from(pairs, ([, other]) => other)];
      const all = new PairsDrawn(x, y);
      for (const places of draws) {
        const [ofX, ofY] = [places.map((place) => x[place]!), places.map((place) => y[place]!)];
        const expected = { pearson: pearson(ofX, ofY), spearman: spearman(ofX, ofY), kendall: kendall(ofX, ofY) };
        expect(all.of(Int32Array.from(places))).toEqual(expected);
      }
    }),
    { numRuns: 500 },
  );
});
