import fc from 'fast-check';
import { assertSliceChoice, chooseSlices } from '../../lib/dataset/slice-choice';

const volumes = fc.array(fc.nat(60), { minLength: 1, maxLength: 40 }).map((counts) => Uint32Array.from(counts));

test('an axial range has both ends, and must lie in the volume', () => {
  expect(chooseSlices({ first: 90, last: 99 }, 'P', 155, undefined)).toEqual([90, 91, 92, 93, 94, 95, 96, 97, 98, 99]);
  expect(() => chooseSlices({ first: 90, last: 99 }, 'P', 60, undefined)).toThrow('P: slices 90 to 99 are asked for but it has 0 to 59');
});

test('by tumour: exactly the slices with enough of it', () => {
  fc.assert(
    fc.property(volumes, fc.integer({ min: 1, max: 60 }), (counts, least) => {
      const chosen = chooseSlices({ tumour: least }, 'P', counts.length, counts);
      expect(chosen).toEqual([...counts.keys()].filter((z) => counts[z]! >= least));
    }),
  );
});

test('spread: k different ones of those, rising, no gap more than one longer than another', () => {
  fc.assert(
    fc.property(volumes, fc.integer({ min: 1, max: 12 }), (counts, k) => {
      const enough = chooseSlices({ tumour: 10 }, 'P', counts.length, counts);
      const chosen = chooseSlices({ tumour: 10, spread: k }, 'P', counts.length, counts);
      expect(chosen).toHaveLength(Math.min(k, enough.length));
      const places = chosen.map((z) => enough.indexOf(z));
      expect(places).not.toContain(-1);
      const gaps = places.slice(1).map((place, i) => place - places[i]!);
      if (gaps.length > 0) expect(Math.min(...gaps)).toBeGreaterThan(0);
      if (gaps.length > 0) expect(Math.max(...gaps) - Math.min(...gaps)).toBeLessThanOrEqual(1);
    }),
  );
});

test('a case without labels cannot be chosen from by tumour', () => {
  expect(() => chooseSlices({ tumour: 1 }, 'P', 10, undefined)).toThrow('P: has no segmentation to choose slices by');
  expect(chooseSlices('all', 'P', 3, undefined)).toEqual([0, 1, 2]);
});

test.each([[{ first: -1, last: 3 }], [{ first: 5, last: 3 }], [{ first: 1.5, last: 3 }], [{ tumour: 0 }], [{ tumour: 5, spread: 0 }]])(
  '%j cannot be meant',
  (choice) => {
    expect(() => assertSliceChoice(choice)).toThrow('must be a whole number');
  },
);
