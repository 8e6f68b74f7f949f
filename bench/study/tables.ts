/** The study's figures as tables of the page. */
import type { Estimate } from '../../lib/faithfulness/estimate';
import { above } from '../../lib/faithfulness/verdict';
import { decimals, probability } from '../../lib/rounded';
import { mean } from '../../lib/statistics';
import type { Table } from '../subject';
import type { AuditResult } from './audits';
import type { ClassSummary, NetworkSummary } from './networks';
import { DEFAULT, DEFINITIONS, EPOCHS, FAULTY, TOP } from './recipe';
import type { Dice, Unit } from './unit';

type Figure = Pick<Estimate, 'value' | 'low' | 'high'>;
type Row = readonly string[];
type Alikeness = ClassSummary['alike'][number];

const number = (value: number | null, digits = 2): string => (value === null ? '-' : decimals(value, digits));
const figure = ({ value, low, high }: Figure, digits = 2): string =>
  value === null ? '-' : `${number(value, digits)} (${number(low, digits)} to ${number(high, digits)})`;
const chance = (p: number | null): string => (p === null ? '-' : probability(p));
const words = (shown: boolean): string => (shown ? 'shown' : 'not shown');

function byClass(networks: readonly NetworkSummary[], cells: (of: ClassSummary) => Row): Row[] {
  return networks.flatMap(({ network, classes }) => classes.map((one) => [network, one.class, ...cells(one)]));
}

/** The claims of verdict.ts, network by network and class by class, by its rule: the whole interval on the right side, six patients at least. */
export function claims(networks: readonly NetworkSummary[]): Row[] {
  return [
    ['network', 'class', 'alike', 'features needed', 'proponents over random', 'over look-alikes', 'LDS over baselines', 'own scanner, T', 'own scanner, cosine'], // prettier-ignore
    ...byClass(networks, ({ alike, ablation, removal, datamodel, scanner }) => {
      const [influence, ...baselines] = datamodel;
      return [
        above(alike[0]!, 0),
        above(ablation.difference, 0) && (ablation.p ?? 1) < 0.05 && (ablation.beaten ?? 0) >= 0.95,
        above(removal.overRandom, 0),
        above(removal.overNeighbours, 0),
        above(influence!, 0) && baselines.every(({ value }) => value === null || above(influence!, value)),
        ...[scanner.none, scanner.cosine].map(({ over, p }) => above(over, 0) && p < 0.05),
      ].map(words);
    }),
  ];
}

export function tables(units: readonly Unit[], networks: readonly NetworkSummary[], audits: readonly AuditResult[]): Table[] {
  return [
    { title: 'Dice of the networks', rows: dice(units) },
    { title: 'Are influential regions alike? Spearman of influence and similarity', rows: alikeRows(networks, ({ alike }) => alike) },
    { title: 'The same by the published code’s definition', rows: alikeRows(networks, ({ paper }) => paper.alike) },
    {
      title: 'Does the network need the selected features? Dice lost without one',
      rows: ablationRows(networks, ({ ablation }) => ablation),
    },
    {
      title: 'The same for features selected by the published code’s definition',
      rows: ablationRows(networks, ({ paper }) => paper.ablation),
    },
    {
      title: 'Do proponents matter? Loss after training without them, less the loss with everyone',
      rows: [
        ['network', 'class', 'without proponents', 'without random patients', 'without look-alikes', 'over random', 'over look-alikes', 'subjects'], // prettier-ignore
        ...byClass(networks, ({ removal: one }) => [
          ...[one.proponents, one.random, one.neighbours, one.overRandom, one.overNeighbours].map((value) => figure(value, 3)),
          String(one.subjects),
        ]),
        ...networks.map(({ network, overRandom, overNeighbours }) => [network, 'all', '', '', '', figure(overRandom, 3), figure(overNeighbours, 3), '']), // prettier-ignore
      ],
    },
    {
      title: 'Does influence predict the losses of other trainings? Linear datamodelling score',
      rows: [
        ['network', 'class', 'influence', 'pixels of the class', 'look-alikes', 'faulty patients', 'halves'],
        ...networks.flatMap(({ network, classes, datamodel }) =>
          [...classes, { class: 'all', datamodel }].map((one) => [
            network,
            one.class,
            ...one.datamodel.map((score) => figure(score)),
            String(one.datamodel[0]!.n),
          ]),
        ),
      ],
    },
    {
      title: `Are the ${TOP} leading patients of the test patient's own scanner?`,
      rows: [
        ['network', 'class', 'T', 'cosine', 'chance', 'T over chance', 'p', 'cosine over chance', 'p', 'lists'],
        ...byClass(networks, ({ scanner: { none, cosine } }) => [
          number(none.share),
          number(cosine.share),
          number(none.chance),
          figure(none.over),
          chance(none.p),
          figure(cosine.over),
          chance(cosine.p),
          String(none.lists),
        ]),
      ],
    },
    { title: 'Do trainings of other seeds agree?', rows: stability(networks) },
    ...auditTables(audits),
  ];
}

function alikeRows(networks: readonly NetworkSummary[], of: (one: ClassSummary) => ClassSummary['alike']): Row[] {
  return [
    ['network', 'class', 'T and S', 'cosine and S', 'T and pooled features', 'cosine and pooled features', 'test regions', 'patients'],
    ...byClass(networks, (one) => {
      const [raw, rawPooled, cosine, cosinePooled] = of(one) as [Alikeness, Alikeness, Alikeness, Alikeness];
      return [...[raw, cosine, rawPooled, cosinePooled].map((value) => figure(value)), String(raw.regions), String(raw.n)];
    }),
  ];
}

function ablationRows(networks: readonly NetworkSummary[], of: (one: ClassSummary) => ClassSummary['ablation']): Row[] {
  return [
    ['network', 'class', 'features', 'Dice', 'selected', 'others', 'random', 'selected less others', 'effect', 'p'],
    ...byClass(networks, (summary) => {
      const one = of(summary);
      return [
        `${one.selected} of ${one.selected + one.unselected}`,
        one.dice.map((value) => number(value)).join(', '),
        number(one.selectedDrop, 3),
        number(one.unselectedDrop, 3),
        number(one.randomDrop, 3),
        figure(one.difference, 3),
        number(one.effect),
        chance(one.p),
      ];
    }),
  ];
}

function dice(units: readonly Unit[]): Row[] {
  const conditions = Object.keys(FAULTY).flatMap((faults) => Object.keys(EPOCHS).map((length) => ({ faults, length })));
  const networks = [...new Set(units.map(({ network }) => network))];
  const { classes } = units[0]!.halves;
  const of = (all: readonly Dice[]): string =>
    Array.from({ length: classes }, (_, k) => {
      const known = all.map((one) => one[k] ?? null).filter((value) => value !== null);
      return `${number(mean(known))} (${number(Math.min(...known))} to ${number(Math.max(...known))})`;
    }).join(', ');
  return [
    ['network', 'faults', 'epochs', 'training Dice', 'test Dice'],
    ...networks.flatMap((network) =>
      conditions.map(({ faults, length }) => {
        const some = units
          .filter((unit) => unit.network === network)
          .map((unit) => unit.conditions.find((one) => one.faults === faults && one.length === length)!.dice);
        const epochs = String(EPOCHS[length as keyof typeof EPOCHS]);
        return [network, faults, epochs, of(some.map(({ train }) => train)), of(some.map(({ test }) => test))];
      }),
    ),
  ];
}

function stability(networks: readonly NetworkSummary[]): Row[] {
  return [
    ['network', 'class', 'rank correlation of T', `shared of the ${TOP} leading patients`, 'by chance', 'test regions', 'verdict'],
    ...networks.flatMap(({ network, stability: { correlation, lists, verdict } }) => [
      ...lists.map((list) => {
        const own = correlation.classPairs.find((pair) => pair.class === list.class && pair.trainClass === list.class)!;
        return [network, list.class, figure(own), figure(list.overlap), number(list.chance), String(list.overlap.regions), ''];
      }),
      [network, 'all pairs', figure(correlation.overall), '', '', String(correlation.overall.regions), verdict.level],
    ]),
  ];
}

function auditTables(audits: readonly AuditResult[]): Table[] {
  return Object.keys(FAULTY).flatMap((faults) =>
    (Object.keys(EPOCHS) as (keyof typeof EPOCHS)[]).flatMap((length): Table[] => {
      const some = audits.filter((one) => one.faults === faults && one.length === length);
      const own = some.filter(({ definition }) => definition === DEFAULT);
      const state = length === 'long' ? 'memorised' : 'not memorised';
      const head = ['score', ...own.map(({ network }) => network)];
      const table = (cell: (score: AuditResult['scores'][number]) => string): Row[] => [
        head,
        ...own[0]!.scores.map(({ score }, i) => [score, ...own.map(({ scores }) => cell(scores[i]!))]),
      ];
      const where = `${faults} faults, ${state}`;
      const over = (['opposition', 'selfInfluence', 'combination'] as const).map((name) => [
        `${name} less the better baseline`,
        ...own.map(({ baseline, scores }) => `${figure(scores.find(({ score }) => score === name)!.overBaseline!)} ${baseline}`),
      ]);
      return [
        { title: `AUROC: ${where}`, rows: [...table(({ auroc }) => figure(auroc)), ...over] },
        { title: `Recall among the first 20 %: ${where}`, rows: table(({ recall20 }) => figure(recall20!)) },
        { title: `AUROC by definition, all networks: ${where}`, rows: definitions(some) },
      ];
    }),
  );
}

function definitions(audits: readonly AuditResult[]): Row[] {
  const all = audits.filter(({ network }) => network === 'all');
  const names = Object.keys(DEFINITIONS);
  const scores = ['opposition', 'oppositionRaw', 'selfInfluence', 'selfInfluenceSized', 'combination'];
  const of = (name: string, score: string): Estimate =>
    all.find(({ definition }) => definition === name)!.scores.find((one) => one.score === score)!.auroc;
  return [['score', ...names], ...scores.map((score) => [score, ...names.map((name) => figure(of(name, score)))])];
}
