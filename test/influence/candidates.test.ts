import fc from 'fast-check';
import { byFalling, leading, type Candidate } from '../../lib/influence/candidates';

const candidatesOf = (scores: readonly number[]): Candidate[] => scores.map((score, row) => ({ row, k: 0, score, regions: 1 }));

test('the leading candidates are the first by falling score, equal ones in their order', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -3, max: 3 })), fc.nat(8), (scores, count) => {
      const candidates = candidatesOf(scores);
      expect(leading(candidates, count)).toEqual(byFalling(candidates).slice(0, count));
    }),
  );
});

test('they are found without putting thousands in order', () => {
  let looks = 0;
  const candidates = candidatesOf(Array.from({ length: 10_000 }, (_, i) => (i * 7919) % 10_007)).map(({ score, ...rest }) => ({
    ...rest,
    get score() {
      looks++;
      return score;
    },
  }));
  expect(leading(candidates, 30).map(({ score }) => score)[0]).toBe(10_006);
  expect(looks).toBeLessThan(5 * candidates.length);
});
