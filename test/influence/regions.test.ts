import fc from 'fast-check';
import { countPixels, regionMasks } from '../../lib/influence/regions';

const classes = 3;
const labelMap = fc.uint8Array({ min: 0, max: classes, minLength: 1, maxLength: 40 });

describe('regions', () => {
  test.each(['truth', 'predicted'] as const)('%s: class k + 1 speaks where its label stands, and nowhere else', (rule) => {
    fc.assert(
      fc.property(labelMap, (labels) => {
        const other = labels.map((label) => classes - label);
        const both = rule === 'truth' ? { truth: labels, predicted: other } : { truth: other, predicted: labels };
        const masks = regionMasks(rule, both, classes, labels.length);
        const expected = Array.from({ length: classes }, (_, k) => [...labels].map((label) => (label === k + 1 ? 1 : 0))).flat();
        expect([...masks]).toEqual(expected);
        const sums = Array.from({ length: classes }, (_, k) => [...labels].filter((label) => label === k + 1).length);
        expect(countPixels(rule, both, classes, labels.length)).toEqual(sums);
      }),
    );
  });

  test('slice: every pixel speaks for every class', () => {
    const labels = { truth: Uint8Array.of(0, 1, 0, 0), predicted: undefined };
    expect([...regionMasks('slice', labels, 2, 4)]).toEqual([1, 1, 1, 1, 1, 1, 1, 1]);
    expect(countPixels('slice', labels, 2, 4)).toEqual([4, 4]);
  });
});
