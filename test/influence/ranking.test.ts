import { mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { dominance } from '../../lib/influence/dominance';
import { studyPaths } from '../../lib/influence/folder';
import { rank, type Ranking } from '../../lib/influence/ranking';
import type { Progress } from '../../lib/progress';
import type { Study } from '../../lib/influence/study';
import { writeStudy, type Numbers } from './support/studies';

/** Two test slices of one case; patients A (two slices), B and C. ET is absent in A's first slice. Only test class ED has products. */
const NUMBERS: Numbers = {
  classes: ['ED', 'ET'],
  learningRates: [1, 2],
  test: [
    ['T', 10, [5, 0]],
    ['T', 11, [9, 2]],
  ],
  train: [
    ['A', 0, [3, 0]],
    ['A', 1, [4, 6]],
    ['B', 0, [5, 7]],
    ['C', 0, [6, 8]],
  ],
  // each line: one test class, 4 slices × [ED, ET]
  products: [
    [
      [1, 0, -6, 1, 4, 2, 4, 3],
      [0, 0, 0, 0, 0, 0, 0, 0],
      [2, 0, 2, 0, 2, 0, 2, 0],
      [0, 0, 0, 0, 0, 0, 0, 0],
    ].flat(),
    [
      [1, 0, 2, 0, 0, 0, 0, 0],
      [0, 0, 0, 0, 0, 0, 0, 0],
      [0, 0, 0, 0, 0, 0, 1, 0],
      [0, 0, 0, 0, 0, 0, 0, 0],
    ].flat(),
  ],
  testNorms: [4, 0, 1, 1, 16, 0, 1, 1],
  // checkpoint 0: A0 1, A1 4, B 16, C 0 (a zero gradient); checkpoint 1 all 1
  trainNorms: [1, 0, 4, 1, 16, 1, 0, 1, 1, 0, 1, 1, 1, 1, 1, 1],
};

let dir: string;
let study: Study;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tracin-rank-'));
  study = await writeStudy(join(dir, 'study'), NUMBERS);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const told = (regions: Ranking['proponents']): [string, number, number][] =>
  regions.map(({ patient, slice, score }) => [patient, slice, score]);
const test10 = { case: 'T', slice: 10 };

describe('rank', () => {
  test('by slice: proponents by falling, opponents by rising influence, equal scores in the order of the axis', async () => {
    const ranking = await rank(study, { test: test10, class: 'ED' });
    // T = products_0 + 2 · products_1: A0 3, A1 −2, B 4, C 4
    expect(told(ranking.proponents)).toEqual([['B', 0, 4], ['C', 0, 4], ['A', 0, 3], ['A', 1, -2]]); // prettier-ignore
    expect(told(ranking.opponents)).toEqual([['A', 1, -2], ['A', 0, 3], ['B', 0, 4], ['C', 0, 4]]); // prettier-ignore
    expect(ranking).toMatchObject({
      test: { case: 'T', slice: 10, patient: 'T', class: 'ED', pixels: 5 },
      trainClass: 'ED',
      candidates: 4,
    });
    expect(ranking.proponents[0]).toEqual({ rank: 1, score: 4, regions: 1, case: 'B', slice: 0, patient: 'B', class: 'ED', pixels: 5 });
    expect(JSON.parse(JSON.stringify(ranking))).toEqual(ranking);
  });

  test('top cuts both lists', async () => {
    const { proponents, opponents } = await rank(study, { test: test10, class: 'ED', top: 1 });
    expect([proponents.length, opponents.length]).toEqual([1, 1]);
  });

  test('absent regions are never ranked', async () => {
    const { proponents, candidates } = await rank(study, { test: test10, class: 'ED', trainClass: 'ET' });
    expect(told(proponents)).toEqual([['C', 0, 3], ['B', 0, 2], ['A', 1, 1]]); // prettier-ignore
    expect(candidates).toBe(3);
    expect(await rank(study, { test: test10, class: 'ED', trainClass: 'all' })).toMatchObject({ candidates: 7 });
  });

  test('by patient: the sum, shown by the slice of largest |T|', async () => {
    const { proponents } = await rank(study, { test: test10, class: 'ED', by: 'patient' });
    expect(proponents.map(({ patient, score, slice, regions }) => [patient, score, slice, regions])).toEqual([
      ['B', 4, 0, 1],
      ['C', 4, 0, 1],
      ['A', 1, 0, 2],
    ]);
    const all = await rank(study, { test: test10, class: 'ED', by: 'patient', trainClass: 'all' });
    expect(all.proponents.map(({ patient, score, class: name }) => [patient, score, name])).toEqual([
      ['C', 7, 'ED'],
      ['B', 6, 'ED'],
      ['A', 2, 'ED'],
    ]);
  });

  test('cosine: Σ_t η_t g′·g / (‖g′‖ ‖g‖), zero gradients counting nothing', async () => {
    const { proponents } = await rank(study, { test: test10, class: 'ED', normalize: 'cosine' });
    // ‖g'‖ = 2 and 4: A0 1/2 + 2·1/4, A1 −6/(2·2) + 2·2/4, B 4/(2·4), C 0
    expect(told(proponents)).toEqual([['A', 0, 1], ['B', 0, 0.5], ['A', 1, -0.5]]); // prettier-ignore
  });

  test('cosine, as a mean over checkpoints and a patient’s regions beside the sum that orders', async () => {
    const query = { test: test10, class: 'ED', normalize: 'cosine' } as const;
    // Σ η = 3; A has two regions, of 1 and −1/2
    expect((await rank(study, query)).proponents.map(({ cosine }) => cosine)).toEqual([1 / 3, 1 / 6, -1 / 6]);
    const { proponents } = await rank(study, { ...query, by: 'patient' });
    expect(proponents.map(({ patient, score, cosine }) => [patient, score, cosine])).toEqual([
      ['A', 0.5, 1 / 12],
      ['B', 0.5, 1 / 6],
    ]);
    expect((await rank(study, { ...query, normalize: 'relative' })).proponents[0]).not.toHaveProperty('cosine');
  });

  test('relative: Σ_t η_t g′·g / ‖g‖', async () => {
    const { proponents } = await rank(study, { test: test10, class: 'ED', normalize: 'relative' });
    // A0 1 + 2, A1 −3 + 4, B 1, C 0
    expect(told(proponents)).toEqual([['A', 0, 3], ['A', 1, 1], ['B', 0, 1]]); // prettier-ignore
  });

  test('a case without a slice means the one in which the class has most pixels', async () => {
    expect((await rank(study, { test: { case: 'T' }, class: 'ED' })).test.slice).toBe(11);
  });

  test('other learning rates, other ranking', async () => {
    const { proponents } = await rank(study.reweighted([0, 1]), { test: test10, class: 'ED', top: 2 });
    expect(told(proponents)).toEqual([['A', 1, 2], ['A', 0, 1]]); // prettier-ignore
  });

  test.each(['none', 'cosine', 'relative'] as const)(
    'a region whose gradient is zero has neither proponents nor opponents (%s)',
    async (normalize) => {
      const none = await writeStudy(join(dir, `zero-${normalize}`), {
        ...NUMBERS,
        products: NUMBERS.products.map((products) => products.map((product, i) => (Math.floor(i / 8) === 2 ? 0 : product))),
        testNorms: [4, 0, 0, 1, 16, 0, 0, 1],
      });
      const query = { test: { case: 'T', slice: 11 }, class: 'ED', normalize };
      expect(await rank(none, query)).toMatchObject({
        zeroGradient: true,
        candidates: 4,
        proponents: [],
        opponents: [],
        test: { pixels: 9 },
      });
      expect((await rank(none, { ...query, by: 'patient' })).opponents).toEqual([]);
      expect(await rank(none, { ...query, test: test10 })).toMatchObject({ zeroGradient: false });
      // nor does it count among the lists that somebody leads
      const { tests, patients } = (await rank(none, query)).dominance;
      expect([tests, ...patients.map(({ share }) => share)]).toEqual([1, 1]);
      // a gradient at one checkpoint is a gradient, if the checkpoint counts
      const some = await writeStudy(join(dir, `some-${normalize}`), { ...NUMBERS, testNorms: [0, 0, 1, 1, 16, 0, 1, 1] });
      expect(await rank(some, { ...query, test: test10 })).toMatchObject({ zeroGradient: false });
      expect(await rank(some.reweighted([1, 0]), { ...query, test: test10 })).toMatchObject({ zeroGradient: true });
      const painted = { row: 0, k: 0, pixels: 4, products: NUMBERS.products.map(() => new Float32Array(8)), norms: [0, 1] };
      expect(await rank(some, { ...query, test: test10 }, painted)).toMatchObject({ zeroGradient: false });
      expect(await rank(some.reweighted([1, 0]), { ...query, test: test10 }, painted)).toMatchObject({ zeroGradient: true });
    },
  );

  test('a file that could not be read is read when it is there again', async () => {
    const { norms, products } = studyPaths(join(dir, 'away'));
    for (const path of [norms('test'), products(1)]) {
      const own = await writeStudy(join(dir, 'away'), NUMBERS);
      const query = { test: test10, class: 'ED', normalize: 'cosine' as const };
      await rename(path, `${path}.away`);
      await expect(rank(own, query)).rejects.toMatchObject({ code: 'ERR_TRACIN_STUDY' });
      await expect(dominance(own, { testClass: 0, trainClasses: [0], by: 'slice', normalize: 'cosine' })).rejects.toThrow('missing');
      await rename(`${path}.away`, path);
      expect((await rank(own, query)).dominance).toEqual((await rank(study, query)).dominance);
    }
  });

  test('dominance, which reads every test slice of the study, tells how far it is and can be stopped', async () => {
    const fresh = study.reweighted([1, 2]);
    const told: Progress[] = [];
    await rank(fresh, { test: test10, class: 'ED' }, undefined, { onProgress: (progress) => told.push(progress) });
    expect(told).toEqual([1, 2].map((done) => ({ stage: 'dominance', done, total: 2 })));
    const stopping = new AbortController();
    const other = study.reweighted([2, 1]);
    const query = { testClass: 0, trainClasses: [0], by: 'slice', normalize: 'none' } as const;
    const stopped = dominance(other, query, { signal: stopping.signal, onProgress: () => stopping.abort() });
    const [first, second] = await Promise.allSettled([stopped, dominance(other, query)]);
    expect(first).toMatchObject({ status: 'rejected', reason: { code: 'ERR_TRACIN_ABORTED' } });
    expect(second).toMatchObject({ status: 'fulfilled', value: { tests: 2 } });
  });

  test('options that are no object are refused before any work', async () => {
    const refused = rank(study, { test: test10, class: 'ED' }, undefined, null as never);
    await expect(refused).rejects.toMatchObject({
      code: 'ERR_TRACIN_USAGE',
      message: expect.stringContaining('options is null') as string,
    });
  });

  test('dominance: share of the test regions in whose leading tenth a patient occurs', async () => {
    // four candidates: the first one alone; slice 10: B (4, before C of the same score), slice 11: C (4)
    const { dominance } = await rank(study, { test: test10, class: 'ED' });
    expect(dominance).toEqual({ top: 1, tests: 2, patients: [{ patient: 'B', share: 0.5 }, { patient: 'C', share: 0.5 }] }); // prettier-ignore
    const cosine = await rank(study, { test: test10, class: 'ED', normalize: 'cosine' });
    expect(cosine.dominance.patients[0]).toEqual({ patient: 'A', share: 1 });
  });

  test.each<[string, object]>([
    ['unknown test case X: choose from T', { test: { case: 'X' } }],
    ['case T has no test slice 12: choose from 10, 11', { test: { case: 'T', slice: 12 } }],
    ['unknown class XX: choose from ED, ET', { class: 'XX' }],
    ['unknown class YY', { trainClass: 'YY' }],
    ['case T, slice 10 has no ET region: choose from ED', { class: 'ET' }],
    ['rank: top', { top: 0 }],
    ['rank: by', { by: 'case' }],
    ['rank: normalize', { normalize: 'l2' }],
  ])('refuses with: %s', async (message, wrong) => {
    const refused = rank(study, { test: test10, class: 'ED', ...wrong });
    await expect(refused).rejects.toMatchObject({ code: 'ERR_TRACIN_USAGE', message: expect.stringContaining(message) as string });
  });

  test('holds for any numbers: opponents are proponents read from the other end, patients are sums', async () => {
    let n = 0;
    const score = fc.integer({ min: -3, max: 3 });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.constantFrom('A', 'B', 'C'), score), { minLength: 1, maxLength: 12 }), async (regions) => {
        const any = await writeStudy(join(dir, `any-${n++}`), {
          classes: ['ET'],
          learningRates: [1],
          test: [['T', 0, [1]]],
          train: regions.map(([patient], i) => [patient, i, [1]]),
          products: [regions.map(([, product]) => product)],
        });
        const { proponents, opponents } = await rank(any, { test: { case: 'T' }, class: 'ET', top: 12 });
        const scores = proponents.map((region) => region.score);
        expect(scores).toEqual(scores.toSorted((a, b) => b - a));
        expect(opponents.map((region) => region.score)).toEqual(scores.toReversed());
        const influential = regions.flatMap(([, product], i) => (product === 0 ? [] : [i]));
        expect(proponents.map((region) => region.slice).toSorted((a, b) => a - b)).toEqual(influential);
        const patients = await rank(any, { test: { case: 'T' }, class: 'ET', by: 'patient' });
        for (const { patient, score: sum, slice, regions: count } of patients.proponents) {
          const own = regions.filter(([name]) => name === patient).map(([, product]) => product);
          expect([sum, count]).toEqual([own.reduce((a, b) => a + b, 0), own.length]);
          expect(Math.abs(regions[slice]![1])).toBe(Math.max(...own.map(Math.abs)));
        }
      }),
      { numRuns: 30 },
    );
  });
});
