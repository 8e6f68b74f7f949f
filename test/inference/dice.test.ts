import fc from 'fast-check';
import { DiceCounts, hardDice } from '../../lib/inference/dice';
import { argmaxLabels } from '../../lib/inference/labels';

describe('hard Dice', () => {
  it('is 2|P ∩ Y| / (|P| + |Y|), null where both are empty', () => {
    const prediction = Uint8Array.of(0, 1, 1, 2, 2, 0);
    const labels = Uint8Array.of(0, 1, 0, 1, 2, 0);
    expect(hardDice(prediction, labels, 3)).toEqual([2 / 4, 2 / 3, null]);
  });

  it('is 1 for the labels themselves and 0 where a class is missed or invented', () => {
    const labels = Uint8Array.of(0, 1, 2);
    expect(hardDice(labels, labels, 2)).toEqual([1, 1]);
    expect(hardDice(Uint8Array.of(0, 0, 0), labels, 2)).toEqual([0, 0]);
    expect(hardDice(Uint8Array.of(0, 1, 2), new Uint8Array(3), 2)).toEqual([0, 0]);
  });

  it('is symmetric and does not depend on how the slices are dealt', () => {
    const pixels = fc.array(fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3 })), { minLength: 2, maxLength: 40 });
    fc.assert(
      fc.property(pixels, (pairs) => {
        const p = Uint8Array.from(pairs, ([a]) => a);
        const y = Uint8Array.from(pairs, ([, b]) => b);
        const whole = hardDice(p, y, 3);
        expect(hardDice(y, p, 3)).toEqual(whole);
        const half = p.length >> 1;
        expect(new DiceCounts(3).add(p.subarray(0, half), y.subarray(0, half)).add(p.subarray(half), y.subarray(half)).dice()).toEqual(
          whole,
        );
      }),
    );
  });
});

describe('argmax', () => {
  it('takes the most likely class of each pixel, of equal logits the lowest', () => {
    // two slices, three classes, two pixels
    const logits = Float32Array.of(0, 1, 0, 2, -1, 2, /* second slice */ -5, -1, -4, -2, -3, -3);
    expect([...argmaxLabels(logits, 3, 2)]).toEqual([0, 1, 2, 0]);
  });
});
