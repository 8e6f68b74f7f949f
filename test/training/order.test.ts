import { epochOrder } from '../../lib/training/order';

describe('the order of an epoch', () => {
  it('visits every sample once', () => {
    for (const count of [0, 1, 2, 17]) {
      expect(epochOrder(count, 3, 1).sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i));
    }
  });

  it('depends on seed and epoch alone', () => {
    expect(epochOrder(20, 5, 4)).toEqual(epochOrder(20, 5, 4));
    expect(epochOrder(20, 5, 4)).not.toEqual(epochOrder(20, 5, 5));
    expect(epochOrder(20, 5, 4)).not.toEqual(epochOrder(20, 6, 4));
  });

  it('puts every sample first equally often', () => {
    const first = new Array<number>(4).fill(0);
    for (let epoch = 1; epoch <= 4000; epoch++) first[epochOrder(4, 1, epoch)[0]!]! += 1;
    for (const times of first) expect(Math.abs(times - 1000)).toBeLessThan(5 * Math.sqrt(4000 * 0.25 * 0.75)); // five standard deviations
  });
});
