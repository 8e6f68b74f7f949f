/** The study of faithfulness: what it joins over seeds and networks, and the page written from its results. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { auditResults, type AuditResult } from '../../bench/study/audits';
import { pooled } from '../../bench/study/figures';
import { ablationOf, alikeOf, datamodelOf, removalOf, type NetworkSummary } from '../../bench/study/networks';
import { EPOCHS, FAULTY, UNITS, type DefinitionName, type Faults, type Length } from '../../bench/study/recipe';
import { scannerShare } from '../../bench/study/scanner';
import { claims, tables } from '../../bench/study/tables';
import type { Alike, Condition, Leading, PaperUnit, Unit } from '../../bench/study/unit';
import { renderTable } from '../../bench/table';
import type { ClassAblation } from '../../lib/faithfulness/ablation';
import { AUDIT_SCORES, type PatientScores } from '../../lib/faithfulness/audit-scores';
import { predictorScore, PREDICTORS, type TrainedHalves } from '../../lib/faithfulness/datamodel';
import type { Estimate } from '../../lib/faithfulness/estimate';
import type { RemovalRegion, RemovalResult } from '../../lib/faithfulness/removal';
import { auroc, mannWhitney, mean, recallAt } from '../../lib/statistics';

const root = join(__dirname, '..', '..');
const resampling = { resamples: 50, seed: 1 };

interface Results {
  readonly dice: readonly (Pick<Unit, 'network' | 'seed'> & {
    readonly conditions: readonly Pick<Condition, 'faults' | 'length' | 'dice'>[];
  })[];
  readonly networks: readonly NetworkSummary[];
  readonly audits: readonly AuditResult[];
}
const results = JSON.parse(readFileSync(join(root, 'bench', 'results', 'faithfulness.json'), 'utf8')) as Results;

describe('the page', () => {
  const page = readFileSync(join(root, 'docs', 'faithfulness.md'), 'utf8');

  test('has every table of the stored results, number by number', () => {
    const units = results.dice.map((one) => ({ ...one, halves: { classes: results.networks[0]!.classes.length } }) as unknown as Unit);
    expect(units.map(({ network, seed }) => ({ network, seed }))).toEqual(UNITS);
    expect(page).toContain(renderTable(claims(results.networks)));
    const further = tables(units, results.networks, results.audits);
    expect(further.length).toBeGreaterThan(10);
    for (const { title, rows } of further) expect(page).toContain(`### ${title}\n\n${renderTable(rows)}\n`);
  });

  test('claims nothing without enough patients, an interval on the right side, or with a baseline in the way', () => {
    const [network] = results.networks as [NetworkSummary];
    const strong: Estimate = { value: 0.5, low: 0.4, high: 0.6, n: 6 };
    const one = {
      ...network.classes[0]!,
      alike: [strong] as never,
      ablation: { ...network.classes[0]!.ablation, difference: strong, p: 0.04, beaten: 0.95 },
      removal: { ...network.classes[0]!.removal, overRandom: strong, overNeighbours: strong },
      datamodel: PREDICTORS.map((predictor, i) => ({ ...strong, predictor, value: i === 0 ? 0.5 : 0.3 })),
      scanner: { none: { over: strong, p: 0.04 }, cosine: { over: strong, p: 0.04 } } as never,
    };
    const said = (changed: object): number[] => {
      const [, row] = claims([{ ...network, classes: [{ ...one, ...changed }] }]) as [unknown, string[]];
      return row.slice(2).flatMap((words, i) => (words === 'shown' ? [i] : []));
    };
    const without = (...places: number[]): number[] => [0, 1, 2, 3, 4, 5, 6].filter((place) => !places.includes(place));
    expect(said({})).toEqual(without());
    expect(said({ alike: [{ ...strong, n: 5 }] })).toEqual(without(0));
    for (const wrong of [{ p: 0.05 }, { p: null }, { beaten: 0.94 }, { difference: { ...strong, low: 0 } }])
      expect(said({ ablation: { ...one.ablation, ...wrong } })).toEqual(without(1));
    expect(said({ removal: { ...one.removal, overRandom: { ...strong, low: null } } })).toEqual(without(2));
    expect(said({ removal: { ...one.removal, overNeighbours: { ...strong, low: -0.1 } } })).toEqual(without(3));
    expect(said({ datamodel: one.datamodel.map((score, i) => (i === 2 ? { ...score, value: 0.4 } : score)) })).toEqual(without(4));
    expect(said({ datamodel: one.datamodel.map((score, i) => (i === 3 ? { ...score, value: null } : score)) })).toEqual(without());
    expect(said({ scanner: { none: { over: strong, p: 0.05 }, cosine: { over: strong, p: 0.04 } } })).toEqual(without(5));
    expect(said({ scanner: { none: { over: strong, p: 0.04 }, cosine: { over: { ...strong, low: 0 }, p: 0.04 } } })).toEqual(without(6));
  });
});

describe('over the seeds of a network', () => {
  test('likeness: by what is ranked and what is alike, test regions of all seeds, resampled by patient', () => {
    const alike = (patient: string, value: number, influence = 'none', similarity = 'features', name = 'ET'): Alike => ({ patient, class: name, influence, similarity, value }); // prettier-ignore
    const units = [
      { alike: [alike('A', 0.1), alike('B', 0.3), alike('A', 9, 'none', 'features', 'ED')] },
      { alike: [alike('A', 0.5), alike('A', -1, 'cosine', 'pooled')] },
    ];
    const found = alikeOf(units, 'ET', resampling);
    expect(found.map(({ influence, similarity, regions, n }) => [influence, similarity, regions, n])).toEqual([
      ['none', 'features', 3, 2],
      ['none', 'pooled', 0, 0],
      ['cosine', 'features', 0, 0],
      ['cosine', 'pooled', 1, 1],
    ]);
    expect(found.map(({ value }) => value)).toEqual([expect.closeTo(0.3, 12), null, null, -1]);
  });

  const ablation = (drops: (number | null)[], selected: number[], median: number | null, beaten: number | null): ClassAblation =>
    ({ class: 'ET', dice: 0.5, drops, selected, random: { draws: 9, quantiles: [0, median, 1], beaten } }) as unknown as ClassAblation;

  test('ablation: features of all seeds together, those without a drop left out', () => {
    const tested = [ablation([0.4, 0, null], [0, 2], 0.1, 1), ablation([0.1, 0.2], [1], 0.3, 0.5), ablation([0], [], null, null)];
    const found = ablationOf(tested.map((one) => ({ ablation: [{ ...one, class: 'ED', drops: [7] }, one] })), 'ET', resampling); // prettier-ignore
    const { p, effect } = mannWhitney([0.4, 0.2], [0, 0.1, 0]);
    expect(found).toMatchObject({ selected: 2, unselected: 3, randomDrop: 0.2, beaten: 0.75, p, effect, dice: [0.5, 0.5, 0.5] });
    expect(found.selectedDrop).toBeCloseTo(0.3, 12);
    expect(found.unselectedDrop).toBeCloseTo(0.1 / 3, 12);
    expect(found.difference).toMatchObject({ n: 5, value: expect.closeTo(0.3 - 0.1 / 3, 12) as number });
  });

  test('the features of several networks as if one had them all', () => {
    const units = [ablation([0.4, 0, null], [0, 2], 0, 0), ablation([0.1, 0.3], [1], 0, 0)];
    const papers = units.map((one): PaperUnit => ({ alike: [], ablation: [{ ...one, class: 'ED', drops: [7] }, one] }));
    const all = pooled(papers, 'ET');
    expect([all.drops, all.selected]).toEqual([[0.4, 0, null, 0.1, 0.3], [0, 2, 4]]); // prettier-ignore
    expect([all.selectedDrop, all.unselectedDrop]).toEqual([expect.closeTo(0.35, 12), expect.closeTo(0.05, 12)]);
  });

  test('removal: subjects of all seeds, of one class or of all', () => {
    const subject = (patient: string, name: string, proponents: number, random: number, neighbours: number): RemovalRegion => ({ patient, class: name, regions: 1, loss: 0, proponents, random, neighbours }); // prettier-ignore
    const seeds = [[subject('A', 'ET', 3, 1, 2), subject('B', 'ED', 1, 1, 1)], [subject('A', 'ET', 1, 1, 2), subject('C', 'ET', 5, 0, 0)]]; // prettier-ignore
    const tested = seeds.map((subjects) => ({ ablation: [], removal: { subjects } as unknown as RemovalResult }));
    const of = (name?: string): unknown[] => {
      const { subjects, proponents, random, neighbours, overRandom, overNeighbours } = removalOf(tested, name, resampling);
      return [subjects, proponents.n, ...[proponents, random, neighbours, overRandom, overNeighbours].map(({ value }) => value)];
    };
    expect(of('ET')).toEqual([3, 2, 3, 2 / 3, 4 / 3, 7 / 3, 5 / 3]);
    expect(of('NCR')).toEqual([0, 0, null, null, null, null, null]);
    expect(of()).toEqual([4, 3, 2.5, 0.75, 1.25, 1.75, 1.25]);
  });

  test('datamodelling: each seed’s score over its own halves', () => {
    const trained = (influence: number[], losses: number[]): TrainedHalves => ({
      table: { patients: ['a', 'b', 'c'], influence: Float64Array.from(influence), pixels: Float64Array.of(1, 2, 4), similarity: Float64Array.of(3, 2, 1) }, // prettier-ignore
      ...{ seeds: 1, resampling, classes: 1, regions: [0], faulty: [true, false, false] },
      halves: [[0, 1], [0, 2], [1, 2]], // prettier-ignore
      losses: losses.map((loss) => Float64Array.of(loss)),
    });
    // Sums of halves are 3, 5, 6; the second seed's losses say the contrary.
    const seeds = [trained([1, 2, 4], [3, 2, 1]), trained([1, 2, 4], [1, 2, 3])];
    expect(datamodelOf(seeds.slice(0, 1), resampling).map(({ predictor, value, n }) => [predictor, value, n])).toEqual([
      ['influence', 1, 3],
      ['pixels', 1, 3],
      ['similarity', -1, 3],
      ['faulty', expect.closeTo(Math.sqrt(3) / 2, 12), 3],
    ]);
    const both = datamodelOf([...seeds, seeds[0]!], resampling);
    both.forEach(({ predictor, value, n }) => {
      const each = [...seeds, seeds[0]!].map((seed) => predictorScore(seed, predictor)([0, 1, 2]));
      expect([value, n]).toEqual([expect.closeTo(mean(each), 12), 9]);
    });
  });
});

describe('own scanner', () => {
  const scannerOf = new Map([...'abcdef'].map((patient, i) => [patient, i < 3 ? 'X' : 'Y'] as const).concat([['t', 'X'], ['u', 'Y']])); // prettier-ignore
  const list = (patient: string, top: string): Leading => ({ patient, class: 'ET', influence: 'none', top: [...top], candidates: [...'abcdef'] }); // prettier-ignore

  test('the share of the leading, of all, and how often a deal gives as much', () => {
    const found = scannerShare([list('t', 'abc'), list('u', 'def'), list('t', 'abd')], scannerOf, { resamples: 400, seed: 1 });
    expect(found).toMatchObject({ share: expect.closeTo((1 + 1 + 2 / 3) / 3, 12) as number, chance: 0.5, lists: 3 });
    expect(found.over).toMatchObject({ n: 2, value: expect.closeTo(8 / 9 - 1 / 2, 12) as number });
    // Of the 20 ways to deal three X among six only the one that is so gives as much.
    expect(found.p).toBeGreaterThan(0.02);
    expect(found.p).toBeLessThan(0.09);
  });

  test('nothing above chance is as likely as not', () => {
    const found = scannerShare([list('t', 'abcdef')], scannerOf, { resamples: 20, seed: 1 });
    expect(found).toMatchObject({ share: 0.5, chance: 0.5, p: 1 });
    expect(found.over.value).toBe(0);
  });
});

describe('audits', () => {
  const patients = (scores: readonly number[]): PatientScores[] =>
    scores.map((score, i) => ({
      ...{ patient: `p${i}`, slices: 1, worst: i, selfInfluenceByClass: [] },
      // The loss is the score; the others are its reverse, and one knows nothing of the first patient, which JSON keeps as null.
      scores: Object.fromEntries(AUDIT_SCORES.map((name) => [name, name === 'loss' ? score : name === 'softMinimum' && i === 0 ? null : -score])) as unknown as PatientScores['scores'], // prettier-ignore
    }));
  const unitOf = (network: Unit['network'], faulty: readonly boolean[], scores: readonly number[]): Unit =>
    ({
      network,
      conditions: (Object.keys(FAULTY) as Faults[]).flatMap((faults) =>
        (Object.keys(EPOCHS) as Length[]).map((length) => ({
          ...{ faults, length, faulty },
          scores: new Proxy({} as Record<DefinitionName, PatientScores[]>, { get: () => patients(scores) }),
        })),
      ),
    }) as unknown as Unit;

  test('mean over the seeds of a network, and over those of all', () => {
    const level = fc.integer({ min: 0, max: 3 });
    const patient = fc.tuple(level, level, level);
    fc.assert(
      fc.property(fc.array(patient, { minLength: 6, maxLength: 10 }), (levels) => {
        const faulty = levels.map((_, i) => i < 2);
        const seeds = [0, 1, 2].map((seed) => levels.map((one) => one[seed]!));
        const units = [unitOf('unet', faulty, seeds[0]!), unitOf('unet', faulty, seeds[1]!), unitOf('resunet', faulty, seeds[2]!)];
        const all = auditResults(units, { resamples: 2, seed: 1 });
        expect(all).toHaveLength(2 * 2 * 3 * 3);
        for (const { network, scores, baseline, definition, patients: n, faulty: count } of all) {
          const own = network === 'all' ? seeds : network === 'unet' ? seeds.slice(0, 2) : seeds.slice(2);
          const meanOf = (values: (one: readonly number[]) => readonly number[]): number =>
            mean(own.map((one) => auroc(values(one), faulty)));
          const expected = {
            loss: meanOf((one) => one),
            softMinimum: meanOf((one) => one.map((score, i) => (i === 0 ? -Infinity : -score))),
            selfInfluence: meanOf((one) => one.map((score) => -score)),
          };
          const of = (name: string): AuditResult['scores'][number] => scores.find(({ score }) => score === name)!;
          for (const [name, value] of Object.entries(expected)) expect(of(name).auroc.value).toBeCloseTo(value, 12);
          expect([n, count]).toEqual([levels.length, 2]);
          expect(expected[baseline as 'loss' | 'softMinimum']).toBe(Math.max(expected.loss, expected.softMinimum));
          expect(of('loss').overBaseline).toBeNull();
          expect(of('selfInfluence').overBaseline!.value).toBeCloseTo(expected.selfInfluence - Math.max(expected.loss, expected.softMinimum), 12); // prettier-ignore
          const recall = of('loss').recall20;
          if (definition === 'Dice, predicted') expect(recall!.value).toBeCloseTo(mean(own.map((one) => recallAt(one, faulty, 0.2))), 12);
          else expect(recall).toBeNull();
        }
      }),
      { numRuns: 5 },
    );
  });
});
