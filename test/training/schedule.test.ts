import { learningRateAt } from '../../lib/training/schedule';

const EPOCHS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

describe('learning rates', () => {
  it('stay as they are with constant', () => {
    expect(EPOCHS.map((epoch) => learningRateAt({ kind: 'constant' }, 0.02, epoch, 10))).toEqual(EPOCHS.map(() => 0.02));
  });

  it('fall by the factor after every so many epochs with step', () => {
    const rates = EPOCHS.map((epoch) => learningRateAt({ kind: 'step', every: 4, factor: 0.5 }, 8, epoch, 10));
    expect(rates).toEqual([8, 8, 8, 8, 4, 4, 4, 4, 2, 2]);
  });

  it('follow (1 − t)^power with poly, from the base rate and never down to 0', () => {
    const rates = EPOCHS.map((epoch) => learningRateAt({ kind: 'poly', power: 2 }, 1, epoch, 10));
    rates.forEach((rate, i) => expect(rate).toBeCloseTo(((10 - i) / 10) ** 2, 12));
    expect(rates[0]).toBe(1);
    expect(rates[9]).toBeCloseTo(0.01, 12);
  });
});
