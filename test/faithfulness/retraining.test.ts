/** Removal and datamodel tests on a world where the loss is known: a sum over the patients trained on. */
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openReferenceEngine } from '../../lib/engine/reference';
import { scoreDatamodel, trainHalves } from '../../lib/faithfulness/datamodel';
import { patientTable, type PatientTable } from '../../lib/faithfulness/patient-influence';
import { chooseSubjects, testRemoval } from '../../lib/faithfulness/removal';
import { startOf } from '../../lib/faithfulness/retrainer';
import { testFaithfulness } from '../../lib/faithfulness/run';
import { readOnnx } from '../../lib/graph/onnx';
import type { Study } from '../../lib/influence/study';
import { train } from '../../lib/training/train';
import { writeStudy } from '../influence/support/studies';
import { blobs } from '../support/blobs';

const NAMES = ['A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J'];
/** Of each training patient on both test regions. */
const INFLUENCE = [5, 4, 1, 0, -1, -2, -3, 2, 0.5, -0.5];
/** A and B weigh most, C and D look most alike. */
const ALIKE = [0, 0, 9, 8, 1, 1, 1, 1, 1, 1];

let dir: string;
let study: Study;
let table: PatientTable;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tracin-retraining-'));
  study = await writeStudy(join(dir, 'study'), {
    classes: ['ED'],
    learningRates: [1],
    test: [
      ['T', 0, [3]],
      ['U', 0, [1]],
    ],
    train: NAMES.flatMap((name): [string, number, number[]][] => [
      [name, 0, [2]],
      [name, 1, [4]],
    ]),
    // each patient's influence is divided between its two slices
    products: [[...INFLUENCE, ...INFLUENCE].flatMap((sum) => [sum + 1, -1])],
  });
  const similarity = Float32Array.from([...ALIKE, ...ALIKE].flatMap((mean) => [mean - 0.5, mean + 0.5]));
  table = await patientTable(study, { similarity });
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** Everyone present lowers the loss of both regions by their influence. */
const calls: string[][] = [];
const losses = async (without: readonly string[]): Promise<Float64Array> => {
  calls.push([...without]);
  const loss = 100 - NAMES.reduce((sum, name, p) => sum + (without.includes(name) ? 0 : INFLUENCE[p]!), 0);
  return Float64Array.of(loss, loss);
};
const resampling = { resamples: 50, seed: 3 };

test('patients as a whole: influence summed, similarity averaged, pixels counted', () => {
  expect(table.patients).toEqual(NAMES);
  expect([...table.influence.subarray(0, 10)]).toEqual(INFLUENCE);
  expect([...table.similarity.subarray(10)]).toEqual(ALIKE);
  expect([...table.pixels]).toEqual(NAMES.map(() => 6));
});

test('removing proponents, look-alikes and random patients', async () => {
  const found = await testRemoval({ study, table, losses, subjects: 2, draws: 4, seeds: 1, resampling });
  expect(found).toMatchObject({ removed: 2, patients: 10, draws: 4 });
  expect(found.subjects.map(({ patient }) => patient).sort()).toEqual(['T', 'U']);
  const random = calls.slice(1, 5);
  for (const set of random) expect(set).toHaveLength(2);
  const expected = random.map((set) => set.reduce((sum, name) => sum + INFLUENCE[NAMES.indexOf(name)]!, 0)).reduce((a, b) => a + b) / 4;
  for (const subject of found.subjects) {
    expect(subject.proponents).toBeCloseTo(9, 9);
    expect(subject.neighbours).toBeCloseTo(1, 9);
    expect(subject.random).toBeCloseTo(expected, 9);
  }
  expect(found.overNeighbours).toEqual({ value: expect.closeTo(8, 9), low: expect.closeTo(8, 9), high: expect.closeTo(8, 9), n: 2 });
});

test('subjects: every test patient once before any twice', async () => {
  expect(await chooseSubjects(study, 5, 1)).toHaveLength(2);
  expect(await chooseSubjects(study, 1, 1)).toEqual(await chooseSubjects(study, 1, 1));
});

test('a region that nothing influences is no subject and has no datamodel', async () => {
  const one = Object.assign(Object.create(study) as Study, { norms: () => Promise.resolve(Float32Array.of(0, 1)) });
  expect(await chooseSubjects(one, 5, 1)).toEqual([{ patient: 'U', class: 'ED', regions: [1] }]);
  const halves = await trainHalves({ study: one, table, losses, subsets: 2, seeds: 1, faulty: undefined, resampling });
  expect(halves.regions).toEqual([1]);
});

test('the datamodelling score of a linear world is 1; of what has nothing to do with it, it is not', async () => {
  const faulty = new Set(['E', 'F', 'G', 'J']);
  const { scores, ...found } = scoreDatamodel(await trainHalves({ study, table, losses, subsets: 8, seeds: 1, faulty, resampling }));
  expect(found).toEqual({ subsets: 8, seeds: 1, regions: 2 });
  const of = (predictor: string) => scores.find((one) => one.predictor === predictor)!;
  expect(of('influence')).toMatchObject({ value: expect.closeTo(1, 9), baseline: false, n: 8 });
  expect(of('faulty').value).toBeGreaterThan(0.3);
  expect(of('pixels').value).toBeNull();
  const clean = scoreDatamodel(await trainHalves({ study, table, losses, subsets: 4, seeds: 1, faulty: undefined, resampling }));
  expect(clean.scores.map(({ predictor }) => predictor)).toEqual(['influence', 'pixels', 'similarity']);
});

test('a run that began with a file is trained again from that file alone', async () => {
  const engine = openReferenceEngine();
  const data = { train: blobs({ slices: 4, side: 16, role: 'train' }) };
  const epochs = await train({ data, network: { name: 'unet', width: 2, levels: 2 }, run: join(dir, 'before'), engine, epochs: 2 });
  const [first, second] = epochs.checkpoints.map(({ file }) => file);
  const start = join(dir, 'start.onnx');
  await copyFile(first!, start);
  const run = await train({ data, network: await readOnnx(start), run: join(dir, 'after'), engine, epochs: 1 });
  expect(await startOf(run)).toMatchObject({ source: start });
  await copyFile(second!, start);
  await expect(startOf(run)).rejects.toMatchObject({ code: 'ERR_TRACIN_CHECKPOINT', message: /start\.onnx is not the network any more/ });
});

test('retraining with no seed at all is refused', async () => {
  const asked = testFaithfulness({ study, engine: openReferenceEngine(), parts: [], budget: { seeds: 0 } });
  await expect(asked).rejects.toMatchObject({ code: 'ERR_TRACIN_USAGE', message: /seeds/ });
});
