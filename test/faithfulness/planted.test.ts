import fc from 'fast-check';
import type { PatientScores } from '../../lib/faithfulness/audit-scores';
import { COMBINED, combine, combineLeavingOut, fitCombination, fitLogistic } from '../../lib/faithfulness/combination';
import { evaluatePlanted } from '../../lib/faithfulness/planted';
import { auroc, mean } from '../../lib/statistics';
import { uniform } from '../support/numbers';

const patient = (name: string, scores: Partial<PatientScores['scores']>): PatientScores => ({
  patient: name,
  slices: 1,
  worst: 0,
  selfInfluenceByClass: [],
  scores: { loss: 0, softMinimum: 0, opposition: 0, oppositionRaw: 0, selfInfluence: 0, selfInfluenceSized: 0, ...scores },
});

/** Ten patients, three faulty: the loss finds two of them first, opposition all, self-influence none. */
const faulty = Array.from({ length: 10 }, (_, i) => i < 3);
const patients = faulty.map((is, i) =>
  patient(`P${i}`, { loss: [9, 8, 1][i] ?? 2 + i / 10, opposition: is ? 5 - i : -i, selfInfluence: i === 4 ? NaN : i, softMinimum: i % 2 }),
);

test('AUROC and recall of every score, next to the better baseline', () => {
  const found = evaluatePlanted(patients, faulty, { resamples: 100, seed: 2 });
  const of = (score: string) => found.scores.find((one) => one.score === score)!;
  expect(found).toMatchObject({ patients: 10, faulty: 3, baseline: 'loss' });
  expect(found.scores[0]!.score).toBe('opposition');
  expect(of('opposition')).toMatchObject({
    auroc: { value: 1, low: 1, high: 1, n: 10 },
    recall10: { value: 1 / 3 },
    recall20: { value: 2 / 3 },
  });
  expect(of('loss').auroc.value).toBeCloseTo(14 / 21, 12);
  expect(of('loss').overBaseline).toBeNull();
  expect(of('opposition').overBaseline!.value).toBeCloseTo(7 / 21, 12);
  // a patient without the score is suspected last: it stands below the three faulty ones
  expect(of('selfInfluence').auroc.value).toBeCloseTo(3 / 21, 12);
  expect(of('selfInfluence').recall20.value).toBe(0);
});

test('the fit is where the penalised logistic loss is stationary', () => {
  const next = uniform(9);
  fc.assert(
    fc.property(fc.integer({ min: 6, max: 30 }), (n) => {
      const rows = Array.from({ length: n }, () => [next(), 2 * next()]);
      const positive = rows.map(([x = 0]) => x + next() > 0);
      const weights = fitLogistic(rows, positive);
      const errors = rows.map(
        (row, i) => 1 / (1 + Math.exp(-weights[0]! - weights[1]! * row[0]! - weights[2]! * row[1]!)) - Number(positive[i]),
      );
      const gradient = [0, 1].map((column) => errors.reduce((sum, error, i) => sum + error * rows[i]![column]!, weights[column + 1]!));
      gradient.forEach((slope) => expect(Math.abs(slope)).toBeLessThan(1e-6));
      if (positive.includes(true) && positive.includes(false)) expect(Math.abs(errors.reduce((a, b) => a + b, 0))).toBeLessThan(1e-5);
    }),
    { numRuns: 20 },
  );
});

test('a combination takes from each score what it is worth; leaving out never uses the own label', () => {
  const { weights } = fitCombination(patients, faulty);
  expect(weights.opposition).toBeGreaterThan(weights.softMinimum);
  expect(weights.selfInfluence).toBeLessThan(0);
  expect(combine(patients, { weights: { loss: 0, softMinimum: 0, opposition: 1, selfInfluence: 0 } }).indexOf(Math.max(...combine(patients, { weights: { loss: 0, softMinimum: 0, opposition: 1, selfInfluence: 0 } })))).toBe(0); // prettier-ignore
  const flipped = faulty.map((is, i) => (i === 6 ? !is : is));
  expect(combineLeavingOut(patients, flipped)[6]).toBe(combineLeavingOut(patients, faulty)[6]);
  expect(combineLeavingOut(patients, flipped)[5]).not.toBe(combineLeavingOut(patients, faulty)[5]);
  expect(COMBINED).toContain('loss');
});

test('a combination of scores that tell nothing is no worse than chance when patients are left out', () => {
  // One faulty patient alone: a fit without it knows of no fault at all.
  const alike = faulty.map((_, i) => patient(`P${i}`, {}));
  expect(new Set(combineLeavingOut(alike, faulty.map((__, i) => i === 0))).size).toBe(1); // prettier-ignore
  const next = uniform(4);
  const found = Array.from({ length: 40 }, () => {
    const some = Array.from({ length: 24 }, (_, i) => patient(`P${i}`, { loss: next(), softMinimum: next(), opposition: next(), selfInfluence: next() })); // prettier-ignore
    const planted = some.map((_, i) => i < 6);
    return auroc(combineLeavingOut(some, planted), planted);
  });
  expect(mean(found)).toBeGreaterThan(0.45);
});
