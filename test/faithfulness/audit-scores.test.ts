import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openReferenceEngine } from '../../lib/engine/reference';
import { audit } from '../../lib/faithfulness/audit';
import { patientScores } from '../../lib/faithfulness/audit-scores';
import { labelLikelihood, softMinimum } from '../../lib/faithfulness/label-quality';
import { computeInfluence } from '../../lib/influence/run';
import { writeStudy } from '../influence/support/studies';
import { openTiny } from '../influence/support/tiny';

let dir: string;
beforeAll(async () => void (dir = await mkdtemp(join(tmpdir(), 'tracin-audit-'))));
afterAll(() => rm(dir, { recursive: true, force: true }));

test('scores of two patients, by hand', async () => {
  const study = await writeStudy(join(dir, 'study'), {
    classes: ['ED', 'ET'],
    learningRates: [0.5],
    test: [
      ['T', 0, [3, 0]],
      ['U', 0, [1, 2]],
    ],
    train: [
      ['A', 4, [8, 0]],
      ['A', 5, [2, 4]],
      ['B', 1, [0, 6]],
    ],
    // [test][i][train][j]
    products: [[
      2, 0, -4, 9, 0, 9, 0, 0, 0, 0, 0, 0,
      6, 0, 2, 9, 0, 9, 9, 0, 9, 8, 0, -2,
    ]], // prettier-ignore
    testNorms: [4, 0, 1, 16],
    trainNorms: [1, 0, 4, 9, 0, 25],
  });
  const quality = { loss: Float64Array.of(0.1, 0.5, 0.2), softMinimum: Float64Array.of(0.2, 0.4, 0.9) };
  const [a, b] = await patientScores(study, quality, [0, 1]);
  // T of ED: A4 1 and 3, A5 −2 and 1; of ET on U: A5 4, B −1
  expect(a).toMatchObject({ patient: 'A', slices: 2, worst: 1 });
  expect(a!.scores.loss).toBeCloseTo(0.3, 12);
  expect(a!.scores.softMinimum).toBeCloseTo(0.3, 12);
  expect(a!.scores.oppositionRaw).toBeCloseTo(-((1 + 3) / 2 + (-2 + 1) / 2 + 4) / 3, 6);
  expect(b!.scores.oppositionRaw).toBeCloseTo(1, 6);
  // cosines: 0.5 · product / (‖g'‖ ‖g‖)
  expect(a!.scores.opposition).toBeCloseTo(-0.5 * ((2 / 2 + 6 / 1) / 2 + (-4 / 4 + 2 / 2) / 2 + 8 / 12) / 3, 6); // prettier-ignore
  expect(b!.scores.opposition).toBeCloseTo((0.5 * 2) / 20, 6);
  expect(a!.scores.selfInfluence).toBeCloseTo((0.5 * (1 + 4 + 9)) / 3, 6);
  expect(a!.selfInfluenceByClass).toEqual([1.25, 4.5]);
  expect(b!.selfInfluenceByClass).toEqual([NaN, 12.5]);
  // two regions a class lie on their line
  expect(a!.scores.selfInfluenceSized).toBeCloseTo(0, 9);
  // trusting only T leaves ET without counterpart
  const [, alone] = await patientScores(study, quality, [0]);
  expect(alone!.scores.opposition).toBeNaN();
});

test('trusted regions that nothing influences say nothing of opposition', async () => {
  const study = await writeStudy(join(dir, 'flat'), {
    classes: ['ED', 'ET'],
    learningRates: [1],
    test: [
      ['T', 0, [3, 3]],
      ['U', 0, [1, 2]],
    ],
    train: [['A', 4, [8, 5]]],
    // [test][i][train][j]: no region of ET has a gradient, nor has ED of U
    products: [[3, 0, 0, 0, 0, 0, 0, 0]],
    testNorms: [9, 0, 0, 0],
    trainNorms: [4, 1],
  });
  const [a] = await patientScores(study, { loss: Float64Array.of(1), softMinimum: Float64Array.of(1) }, [0, 1]);
  expect(a!.scores.oppositionRaw).toBeCloseTo(-3, 6);
  expect(a!.scores.opposition).toBeCloseTo(-0.5, 6);
});

test('likelihood of the labels, and the soft minimum over it', () => {
  // logits [2 classes, 2 pixels]: pixel 0 (0, ln 3), pixel 1 (2, 2)
  const logits = Float64Array.of(9, 0, 2, Math.log(3), 2);
  const likelihood = labelLikelihood(logits, 1, 2, Uint8Array.of(1, 0));
  expect([...likelihood]).toEqual([expect.closeTo(0.75, 12), expect.closeTo(0.5, 12)]);
  const [u, v] = [Math.exp(2.5), Math.exp(5)];
  expect(softMinimum(likelihood)).toBeCloseTo((0.75 * u + 0.5 * v) / (u + v), 12);
  expect(softMinimum(new Float64Array(100).fill(1))).toBe(1);
  const oneWrong = new Float64Array(100).fill(1);
  oneWrong[7] = 0;
  expect(softMinimum(oneWrong)).toBeLessThan(0.005);
});

test('the order follows a score that beat the baseline on enough patients, else the baseline', async () => {
  const tiny = await openTiny();
  const { test: asked, train, networks } = tiny;
  const engine = openReferenceEngine();
  const study = await computeInfluence({ train, test: asked, networks, engine, definition: { region: 'truth' }, out: join(dir, 'tiny') });
  const orderOn = async (patients: number): Promise<string> => {
    const estimate = { value: 0.9, low: 0.8, high: 1, n: patients };
    const found = { auroc: estimate, recall10: estimate, recall20: estimate };
    const evidence = {
      ...{ patients, faulty: 2, baseline: 'loss' as const },
      scores: [
        { score: 'selfInfluence' as const, baseline: false, ...found, overBaseline: { ...estimate, low: 0.1 } },
        { score: 'loss' as const, baseline: true, ...found, overBaseline: null },
      ],
      combination: { weights: { loss: 1, softMinimum: 0, opposition: 0, selfInfluence: 0 } },
    };
    return (await audit({ study, engine, test: asked, train, evidence })).order;
  };
  expect([await orderOn(5), await orderOn(6)]).toEqual(['loss', 'selfInfluence']);
  await tiny.close();
});
