import { cosine, roughly, score } from '../lib/report/numbers';
import { inWords } from '../lib/faithfulness/verdict';
import { decimals, percent, probability } from '../lib/rounded';

test('what rounds to zero has no sign, in the page as in words', () => {
  expect(['-0.0004', '-0.0006', '0.0004', '-0'].map((text) => decimals(Number(text), 3))).toEqual(['0.000', '-0.001', '0.000', '0.000']);
  expect(inWords({ value: -0.0001, low: -0.2, high: 0.00001 })).toBe('0.000 (-0.200 to 0.000)');
  expect(inWords({ value: 0.5, low: null, high: null })).toBe('0.500');
  expect(inWords({ value: null, low: null, high: null })).toBe('–');
  expect([cosine(-0.001), cosine(0.5), cosine(-0.5)]).toEqual(['0.00', '+0.50', '−0.50']);
  expect([score(0), score(-1e-12), roughly(-0.00123)]).toEqual(['0.000e+0', '−1.000e-12', '−1.2e-3']);
});

test('a share is none or all only where it is', () => {
  expect([0, 0.004, 0.006, 0.5, 0.994, 0.996, 1].map(percent)).toEqual(['0 %', '<1 %', '1 %', '50 %', '99 %', '>99 %', '100 %']);
});

test('no probability is zero', () => {
  expect([1e-12, 0.00099, 0.0011, 1].map(probability)).toEqual(['< 0.001', '< 0.001', '0.001', '1.000']);
});
