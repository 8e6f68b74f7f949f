/** What was shown and what was not, in words. A claim needs its interval on the right side, and the baseline beaten. */
import { decimals, percent } from '../rounded';
import type { ClassAblation } from './ablation';
import type { ClassCorrelation } from './correlation';
import type { Estimate } from './estimate';
import type { DatamodelResult } from './datamodel';
import type { Faithfulness, Part } from './files';
import type { PlantedResult } from './planted';
import type { RemovalResult } from './removal';

/** What one test allows to say, and whether it was shown. */
export interface Claim {
  readonly part: Part;
  readonly shown: boolean;
  readonly words: string;
}

type Results = Pick<Faithfulness, Part>;

export function verdictOf(results: Results): Claim[] {
  const { correlation, ablation, faults, retraining } = results;
  return [
    ...(correlation ? correlationClaims(correlation) : []),
    ...(ablation ? ('skipped' in ablation ? [skipped('ablation', ablation.skipped)] : ablation.classes.map(ablationClaim)) : []),
    ...(faults ? ('skipped' in faults ? [skipped('faults', faults.skipped)] : faultClaims(faults)) : []),
    ...(retraining
      ? 'skipped' in retraining
        ? [skipped('retraining', retraining.skipped)]
        : [...removalClaims(retraining.removal), datamodelClaim(retraining.datamodel)]
      : []),
  ];
}

export function skipped(part: Part, why: string): Claim {
  return { part, shown: false, words: `not tested: ${why}` };
}

/** `0.310 (0.120 to 0.440)`, without what there is not. */
export function inWords({ value, low, high }: Pick<Estimate, 'value' | 'low' | 'high'>): string {
  if (value === null) return '–';
  const range = low === null || high === null ? '' : ` (${decimals(low, 3)} to ${decimals(high, 3)})`;
  return `${decimals(value, 3)}${range}`;
}

/** Units below which nothing is shown: five of the same sign happen by chance more than once in twenty times, whatever an interval says. */
const LEAST_UNITS = 6;

/** Whether a whole interval lies above a bound, and enough units stand behind it. */
export function above({ low, n }: Estimate, bound: number): boolean {
  return n >= LEAST_UNITS && low !== null && low > bound;
}

/** What to add where too few units could have shown anything. */
export function tooFew({ n }: Estimate, units: string): string {
  return n < LEAST_UNITS ? `; fewer than ${LEAST_UNITS} ${units} cannot show it` : '';
}

function correlationClaims(found: readonly ClassCorrelation[]): Claim[] {
  return found
    .filter(({ similarity, coefficient }) => similarity === 'features' && coefficient === 'spearman')
    .map((one): Claim => {
      const shown = above(one, 0);
      const what = `${one.class}: training regions with more ${one.influence === 'none' ? 'influence' : `${one.influence} influence`} are more alike in their features`;
      return {
        part: 'correlation',
        shown,
        words: `${shown ? 'shown' : 'not shown'}: ${what}: Spearman ${inWords(one)} over ${one.regions} regions of ${one.n} test patients${tooFew(one, 'patients')}`,
      };
    });
}

function ablationClaim(one: ClassAblation): Claim {
  const { class: name, selected, drops, difference, random, together } = one;
  const claim = (shown: boolean, words: string): Claim => ({
    part: 'ablation',
    shown,
    words: `${shown ? 'shown' : 'not shown'}: ${words}`,
  });
  const what = `${name}: the network needs the selected features more than others`;
  if (selected.length === 0) return claim(false, `${what}: none was selected`);
  if (selected.length === drops.length) return claim(false, `${what}: all were selected, there are no others`);
  const share = (beaten: number | null): string => (beaten === null ? '-' : percent(beaten));
  return claim(
    above(difference, 0) && (random.beaten ?? 0) >= 0.95,
    `${what}: Dice lost without one of the ${selected.length} selected, less that without one of the ${drops.length - selected.length} others: ${inWords(difference)} over ` +
      `${difference.n} patients; beats ${share(random.beaten)} of ${random.draws} random sets, all at once ${share(together.beaten)} of ${together.draws}${tooFew(difference, 'patients')}`,
  );
}

/** The scores influence gives, alone and combined with the baselines, against the better baseline. */
function faultClaims({ patients, faulty, baseline, scores }: PlantedResult): Claim[] {
  const of = (score: string) => scores.find((one) => one.score === score)!;
  const sample = `${faulty} of ${patients} patients have planted faults`;
  return (['opposition', 'selfInfluence', 'combination'] as const).map((score): Claim => {
    const { auroc, overBaseline } = of(score);
    const shown = above(overBaseline!, 0);
    const words =
      `${score} finds more label errors than ${baseline} alone: AUROC ${inWords(auroc)} against ${inWords(of(baseline).auroc)}, ` +
      `difference ${inWords(overBaseline!)}; ${sample}`;
    return { part: 'faults', shown, words: `${shown ? 'shown' : 'not shown'}: ${words}` };
  });
}

function removalClaims({ removed, patients, draws, seeds, subjects, overRandom, overNeighbours }: RemovalResult): Claim[] {
  const sample = `mean over ${subjects.length} test patients and classes, ${seeds} ${seeds === 1 ? 'seed' : 'seeds'}`;
  const claim = (difference: Estimate, others: string): Claim => {
    const shown = above(difference, 0);
    const words = `training without the ${removed} leading proponents of ${patients} patients raises the loss more than without ${others}: ${inWords(difference)}, ${sample}${tooFew(difference, 'patients')}`;
    return { part: 'retraining', shown, words: `${shown ? 'shown' : 'not shown'}: ${words}` };
  };
  return [claim(overRandom, `as many random ones (${draws} draws)`), claim(overNeighbours, 'as many look-alikes')];
}

/** Influence predicts the losses of retrained networks when its score is above 0 and above every baseline's. */
function datamodelClaim({ subsets, regions, scores }: DatamodelResult): Claim {
  const ours = scores.find(({ predictor }) => predictor === 'influence')!;
  const baselines = scores.filter(({ baseline }) => baseline);
  const shown = above(ours, 0) && baselines.every(({ value }) => value === null || above(ours, value));
  const others = baselines.map((one) => `${one.predictor} ${inWords(one)}`).join(', ');
  const words = `influence predicts the losses of networks trained on half of the patients, better than counts do: LDS ${inWords(ours)} against ${others}; ${subsets} halves, ${regions} test regions`;
  return { part: 'retraining', shown, words: `${shown ? 'shown' : 'not shown'}: ${words}` };
}
