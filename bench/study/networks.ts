/** What the tests of one network say over all its training seeds. */
import { groupedMean, estimate, orNull, type Estimate } from '../../lib/faithfulness/estimate';
import { predictorScore, PREDICTORS, type Predictor, type TrainedHalves } from '../../lib/faithfulness/datamodel';
import type { ClassAblation } from '../../lib/faithfulness/ablation';
import type { RemovalResult } from '../../lib/faithfulness/removal';
import { testStability } from '../../lib/faithfulness/stability';
import type { Stability } from '../../lib/faithfulness/stability-file';
import { openStudy } from '../../lib/influence/study';
import { mannWhitney, mean, type Resampling } from '../../lib/statistics';
import { SEEDS, TOP, unitPaths, type UnitName } from './recipe';
import { scannerShare, type ScannerShare } from './scanner';
import type { Leading, PaperUnit, Unit } from './unit';

export interface ClassSummary {
  readonly class: string;
  /** Mean Spearman over test regions and seeds, by what is ranked and what is alike; resampled by test patient. */
  readonly alike: readonly (Estimate & { readonly influence: string; readonly similarity: string; readonly regions: number })[];
  readonly ablation: {
    /** Features of all seeds' networks. */
    readonly selected: number;
    readonly unselected: number;
    /** Mean Dice lost without one. */
    readonly selectedDrop: number | null;
    readonly unselectedDrop: number | null;
    /** Median of the random sets' mean drops, mean over seeds, and the share of them that the selection beats. */
    readonly randomDrop: number | null;
    readonly beaten: number | null;
    /** Selected less unselected, resampled by feature. */
    readonly difference: Estimate;
    /** Mann-Whitney over the features of all seeds; `effect` is the rank-biserial correlation. */
    readonly p: number | null;
    readonly effect: number | null;
    readonly dice: readonly (number | null)[];
  };
  /** Change of the test region's loss; `n` are test patients. */
  readonly removal: {
    readonly subjects: number;
    readonly proponents: Estimate;
    readonly random: Estimate;
    readonly neighbours: Estimate;
    readonly overRandom: Estimate;
    readonly overNeighbours: Estimate;
  };
  /** Mean over test regions and seeds, resampled by half. */
  readonly datamodel: readonly (Estimate & { readonly predictor: Predictor })[];
  readonly scanner: Readonly<Record<Leading['influence'], ScannerShare>>;
  /** By the published code's definition. */
  readonly paper: Pick<ClassSummary, 'alike' | 'ablation'>;
}

export interface NetworkSummary {
  readonly network: string;
  readonly classes: readonly ClassSummary[];
  /** Over all classes. */
  readonly removed: number;
  readonly overRandom: Estimate;
  readonly overNeighbours: Estimate;
  readonly datamodel: ClassSummary['datamodel'];
  readonly stability: Pick<Stability, 'correlation' | 'lists' | 'verdict' | 'top' | 'by'>;
}

interface Tested {
  readonly ablation: readonly ClassAblation[];
  readonly removal: RemovalResult;
}

/** @param units of one network */
export async function summarise(
  work: string,
  network: UnitName['network'],
  units: readonly Unit[],
  papers: readonly PaperUnit[],
  scannerOf: ReadonlyMap<string, string>,
  resampling: Resampling,
): Promise<NetworkSummary> {
  const tested = units.map(({ faithfulness: { ablation, retraining } }): Tested => {
    if (!ablation || 'skipped' in ablation || !retraining || 'skipped' in retraining) throw new Error(`${network}: a test was skipped`);
    return { ablation: ablation.classes, removal: retraining.removal };
  });
  const studies = await Promise.all(SEEDS.map((seed) => openStudy(unitPaths(work, { network, seed }).study('coarse', 'short'))));
  const { correlation, lists, verdict, top, by } = await testStability({ studies, top: TOP, by: 'patient', ...resampling });
  const halves = units.map((unit) => unit.halves);
  return {
    network,
    classes: studies[0]!.classes.map((name, k) => ({
      class: name,
      alike: alikeOf(units, name, resampling),
      ablation: ablationOf(tested, name, resampling),
      paper: { alike: alikeOf(papers, name, resampling), ablation: ablationOf(papers, name, resampling) },
      removal: removalOf(tested, name, resampling),
      datamodel: datamodelOf(halves.map((one) => ofClass(one, k)), resampling), // prettier-ignore
      scanner: {
        none: scannerShare(listsOf(units, name, 'none'), scannerOf, resampling),
        cosine: scannerShare(listsOf(units, name, 'cosine'), scannerOf, resampling),
      },
    })),
    removed: tested[0]!.removal.removed,
    overRandom: removalOf(tested, undefined, resampling).overRandom,
    overNeighbours: removalOf(tested, undefined, resampling).overNeighbours,
    datamodel: datamodelOf(halves, resampling),
    stability: { correlation, lists, verdict, top, by },
  };
}

export function alikeOf(units: readonly Pick<Unit, 'alike'>[], name: string, resampling: Resampling): ClassSummary['alike'] {
  const all = units.flatMap(({ alike }) => alike).filter((one) => one.class === name);
  return ['none', 'cosine'].flatMap((influence) =>
    ['features', 'pooled'].map((similarity) => {
      const some = all.filter((one) => one.influence === influence && one.similarity === similarity);
      const spearman = groupedMean(some.map(({ value }) => value), some.map(({ patient }) => patient), resampling); // prettier-ignore
      return { influence, similarity, ...spearman, regions: some.length };
    }),
  );
}

export function ablationOf(tested: readonly Pick<Tested, 'ablation'>[], name: string, resampling: Resampling): ClassSummary['ablation'] {
  const classes = tested.map(({ ablation }) => ablation.find((one) => one.class === name)!);
  const features = classes.flatMap(({ drops, selected }) =>
    drops.flatMap((drop, k) => (drop === null ? [] : [{ drop, selected: selected.includes(k) }])),
  );
  const dropsOf = (is: boolean, some = features): number[] => some.flatMap(({ drop, selected }) => (selected === is ? [drop] : []));
  const { p, effect } = mannWhitney(dropsOf(true), dropsOf(false));
  const known = (values: readonly (number | null)[]): number[] => values.filter((value) => value !== null);
  return {
    selected: dropsOf(true).length,
    unselected: dropsOf(false).length,
    selectedDrop: orNull(mean(dropsOf(true))),
    unselectedDrop: orNull(mean(dropsOf(false))),
    randomDrop: orNull(mean(known(classes.map(({ random }) => random.quantiles[1]!)))),
    beaten: orNull(mean(known(classes.map(({ random }) => random.beaten)))),
    difference: estimate(
      features.length,
      (sample) => {
        const some = Array.from(sample, (i) => features[i]!);
        return mean(dropsOf(true, some)) - mean(dropsOf(false, some));
      },
      resampling,
    ),
    p: orNull(p),
    effect: orNull(effect),
    dice: classes.map(({ dice }) => dice),
  };
}

/** @param name of the subjects' class; all when absent */
export function removalOf(tested: readonly Tested[], name: string | undefined, resampling: Resampling): ClassSummary['removal'] {
  const subjects = tested.flatMap(({ removal }) => removal.subjects).filter((one) => name === undefined || one.class === name);
  const over = (value: (one: (typeof subjects)[number]) => number): Estimate =>
    groupedMean(subjects.map(value), subjects.map(({ patient }) => patient), resampling); // prettier-ignore
  return {
    subjects: subjects.length,
    proponents: over((one) => one.proponents),
    random: over((one) => one.random),
    neighbours: over((one) => one.neighbours),
    overRandom: over((one) => one.proponents - one.random),
    overNeighbours: over((one) => one.proponents - one.neighbours),
  };
}

function ofClass(trained: TrainedHalves, k: number): TrainedHalves {
  return { ...trained, regions: trained.regions.filter((region) => region % trained.classes === k) };
}

/** The halves of all seeds are resampled together, and each seed's score is taken over its own. */
export function datamodelOf(trained: readonly TrainedHalves[], resampling: Resampling): ClassSummary['datamodel'] {
  const units = trained.flatMap(({ halves }, seed) => halves.map((_, half) => ({ seed, half })));
  return PREDICTORS.map((predictor) => {
    const scores = trained.map((one) => predictorScore(one, predictor));
    const statistic = (sample: Int32Array): number => {
      const drawn = trained.map((_, seed) =>
        Array.from(sample, (i) => units[i]!).flatMap((unit) => (unit.seed === seed ? [unit.half] : [])),
      );
      return mean(scores.map((score, seed) => score(drawn[seed]!)).filter((value) => !Number.isNaN(value)));
    };
    return { predictor, ...estimate(units.length, statistic, resampling) };
  });
}

function listsOf(units: readonly Unit[], name: string, influence: Leading['influence']): Leading[] {
  return units.flatMap(({ leading }) => leading.filter((one) => one.class === name && one.influence === influence));
}
