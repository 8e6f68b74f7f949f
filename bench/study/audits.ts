/** How well each audit score finds the planted faults, mean over training seeds, resampled by training patient. */
import { AUDIT_SCORES, type PatientScores } from '../../lib/faithfulness/audit-scores';
import { combineLeavingOut } from '../../lib/faithfulness/combination';
import { estimate, type Estimate } from '../../lib/faithfulness/estimate';
import { BASELINES, FOUND_BY, type FoundBy } from '../../lib/faithfulness/planted';
import { mean, recallAt, type Resampling } from '../../lib/statistics';
import { DEFAULT, DEFINITIONS, EPOCHS, FAULTY, type DefinitionName, type Faults, type Length } from './recipe';
import type { Unit } from './unit';

export interface AuditResult {
  readonly faults: Faults;
  readonly length: Length;
  readonly definition: DefinitionName;
  /** A network, or `all` of them together. */
  readonly network: string;
  readonly seeds: number;
  readonly patients: number;
  readonly faulty: number;
  readonly baseline: FoundBy;
  readonly scores: readonly {
    readonly score: FoundBy;
    readonly auroc: Estimate;
    /** Under the default definition. */
    readonly recall20: Estimate | null;
    /** AUROC less that of the better baseline; null for the baselines. */
    readonly overBaseline: Estimate | null;
  }[];
}

export function auditResults(units: readonly Unit[], resampling: Resampling): AuditResult[] {
  const networks = [...new Set(units.map(({ network }) => network))];
  return (Object.keys(FAULTY) as Faults[]).flatMap((faults) =>
    (Object.keys(EPOCHS) as Length[]).flatMap((length) =>
      (Object.keys(DEFINITIONS) as DefinitionName[]).flatMap((definition) =>
        [...networks, 'all'].map((network) => {
          const some = units.filter((unit) => network === 'all' || unit.network === network);
          return { faults, length, definition, network, seeds: some.length / (network === 'all' ? networks.length : 1), ...audit(some, faults, length, definition, resampling) }; // prettier-ignore
        }),
      ),
    ),
  );
}

/** Of one training: each patient's scores. */
type Found = ReadonlyMap<FoundBy, readonly number[]>;
const known = new WeakMap<object, Found>();

/** Found once, since fitting the combination takes its time. */
function foundBy(scores: readonly PatientScores[], faulty: readonly boolean[]): Found {
  let found = known.get(scores);
  if (!found) {
    const patients = scores.map(revived);
    const of = (score: FoundBy): number[] =>
      score === 'combination' ? combineLeavingOut(patients, faulty) : patients.map((one) => one.scores[score]);
    found = new Map(FOUND_BY.map((score) => [score, of(score).map((value) => (Number.isNaN(value) ? -Infinity : value))]));
    known.set(scores, found);
  }
  return found;
}

function audit(
  units: readonly Unit[],
  faults: Faults,
  length: Length,
  definition: DefinitionName,
  resampling: Resampling,
): Pick<AuditResult, 'patients' | 'faulty' | 'baseline' | 'scores'> {
  const conditions = units.map((unit) => unit.conditions.find((one) => one.faults === faults && one.length === length)!);
  const { faulty } = conditions[0]!;
  const found = conditions.map((condition) => foundBy(condition.scores[definition], faulty));
  const values = (score: FoundBy): (readonly number[])[] => found.map((one) => one.get(score)!);
  const aurocs = Object.fromEntries(FOUND_BY.map((score) => [score, meanAuroc(values(score), faulty)])) as Record<FoundBy, Statistic>;
  const recall = (score: FoundBy, sample: Int32Array): number => {
    const positive = Array.from(sample, (i) => faulty[i]!);
    return mean(values(score).map((one) => recallAt(Array.from(sample, (i) => one[i]!), positive, 0.2))); // prettier-ignore
  };
  const over = (statistic: Statistic): Estimate => estimate(faulty.length, statistic, resampling);
  const everyone = Int32Array.from(faulty.keys());
  const baseline = BASELINES.reduce((best, one) => (aurocs[one](everyone) > aurocs[best](everyone) ? one : best)) as FoundBy;
  return {
    patients: faulty.length,
    faulty: faulty.filter(Boolean).length,
    baseline,
    scores: FOUND_BY.map((score) => ({
      score,
      auroc: over(aurocs[score]),
      recall20: definition === DEFAULT ? over((sample) => recall(score, sample)) : null,
      overBaseline: (BASELINES as readonly FoundBy[]).includes(score)
        ? null
        : over((sample) => aurocs[score](sample) - aurocs[baseline](sample)),
    })),
  };
}

type Statistic = (sample: Int32Array) => number;

/** AUROC of a sample of patients, mean over trainings: which pairs each training puts in order is known before any sample is drawn. */
function meanAuroc(trainings: readonly (readonly number[])[], positive: readonly boolean[]): Statistic {
  const n = positive.length;
  const order = Float64Array.from({ length: n * n }, (_, pair) => {
    const [i, j] = [Math.floor(pair / n), pair % n];
    return mean(trainings.map((scores) => (scores[i]! > scores[j]! ? 1 : scores[i] === scores[j] ? 0.5 : 0)));
  });
  return (sample) => {
    let [sum, pairs] = [0, 0];
    for (const i of sample) {
      if (!positive[i]) continue;
      for (const j of sample) {
        if (positive[j]) continue;
        sum += order[i * n + j]!;
        pairs++;
      }
    }
    return sum / pairs;
  };
}

/** JSON keeps NaN as null. */
function revived(patient: PatientScores): PatientScores {
  const scores = Object.fromEntries(AUDIT_SCORES.map((score) => [score, patient.scores[score] ?? NaN]));
  return { ...patient, scores: scores as PatientScores['scores'] };
}
