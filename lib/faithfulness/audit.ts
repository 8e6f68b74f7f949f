/** Training patients in the order in which their labels should be looked at. */
import { TracinError, throwIfAborted } from '../errors';
import { check, kindOf, list, oneOf, optional, text, type Kinds } from '../kinds';
import { reopenNetworks, reopenSides } from '../influence/reopen';
import type { Study } from '../influence/study';
import { patientScores, type PatientScores } from './audit-scores';
import { combine } from './combination';
import { labelQuality } from './label-quality';
import { FOUND_BY, plantedSchema, type FoundBy, type PlantedResult } from './planted';
import { SUBJECT, type SubjectOptions } from './subject';
import { above } from './verdict';

/** Progress comes as the stage `audit`, in training slices. */
export interface AuditOptions extends SubjectOptions {
  /** Cases among the test slices whose labels are trusted; all of them when absent. */
  readonly trusted?: readonly string[] | undefined;
  /** What was found on planted faults, of this study or of one like it: decides the order, and combines the scores. */
  readonly evidence?: PlantedResult | undefined;
  /** In place of the order that the evidence favours. */
  readonly order?: FoundBy | undefined;
}

const OPTIONS: Kinds<AuditOptions> = {
  ...SUBJECT,
  trusted: optional(list(text)),
  evidence: optional(kindOf('what readEvidence has read', (value) => plantedSchema.safeParse(value).success)),
  order: optional(oneOf(FOUND_BY)),
};

/** A training patient of an audit, with every score that it has. */
export interface AuditedPatient {
  /** From 1. */
  readonly rank: number;
  readonly patient: string;
  /** Training slices of the patient. */
  readonly slices: number;
  /** Larger is more suspicious; null where a patient has no such score. */
  readonly scores: Readonly<Partial<Record<FoundBy, number | null>>>;
  /** Σ_t η_t ‖∇L‖² of its regions of each class, mean; null where it has none. */
  readonly selfInfluenceByClass: readonly (number | null)[];
  /** Its slice of largest loss. */
  readonly worst: { readonly case: string; readonly slice: number };
}

/** Training patients by how suspicious their labels are. */
export interface Audit {
  readonly order: FoundBy;
  /** Why that order, in words. */
  readonly evidence: string;
  readonly classes: readonly string[];
  readonly patients: readonly AuditedPatient[];
}

/**
 * Scores every training patient of a study.
 * @throws ERR_TRACIN_USAGE an unknown case or order, a combination without evidence to fit it;
 *   otherwise, where data or checkpoints are gone or have changed, ERR_TRACIN_DATA or ERR_TRACIN_CHECKPOINT
 */
export async function audit(options: AuditOptions): Promise<Audit> {
  check('audit', options, OPTIONS);
  const { study, evidence } = options;
  const { order, words } = chosenOrder(options.order, evidence);
  const patients = await scorePatients(options);
  const combined = evidence && combine(patients, evidence.combination);
  const scored = patients.map((one, i) => ({
    ...one,
    all: { ...one.scores, ...(combined && { combination: combined[i]! }) } as Record<FoundBy, number>,
  }));
  const key = (value: number): number => (Number.isNaN(value) ? -Infinity : value);
  scored.sort((a, b) => key(b.all[order]) - key(a.all[order]) || (a.patient < b.patient ? -1 : 1));
  const orNull = (value: number): number | null => (Number.isNaN(value) ? null : value);
  return {
    order,
    evidence: words,
    classes: study.classes,
    patients: scored.map(({ patient, slices, all, selfInfluenceByClass, worst }, i): AuditedPatient => {
      const { case: name, index } = study.trainings.slices[worst]!;
      const scores = Object.fromEntries(Object.entries(all).map(([score, value]) => [score, orNull(value)]));
      return {
        rank: i + 1,
        patient,
        slices,
        scores,
        selfInfluenceByClass: selfInfluenceByClass.map(orNull),
        worst: { case: name, slice: index },
      };
    }),
  };
}

/** Every score of every training patient, in the order of the training axis. */
export async function scorePatients({
  study,
  engine,
  trusted,
  batch = 8,
  test,
  train,
  data,
  run,
  signal,
  onProgress,
}: Omit<AuditOptions, 'order'>): Promise<PatientScores[]> {
  const rows = trustedRows(study, trusted);
  throwIfAborted(signal);
  const sides = await reopenSides(study, { test, train, data, signal });
  try {
    const networks = await reopenNetworks(study, { run, signal });
    const { size, output } = study.record;
    const program = await engine.compile(networks.graph, { size, output });
    try {
      await program.load(await networks.read(networks.checkpoints.at(-1)!));
      const total = study.trainings.slices.length;
      let done = 0;
      const onSlices = (slices: number): void => onProgress?.({ stage: 'audit', done: (done += slices), total });
      const quality = await labelQuality(program, sides.train.source, { batch, signal, onSlices });
      return await patientScores(study, quality, rows);
    } finally {
      program.dispose();
    }
  } finally {
    await sides.close();
  }
}

function trustedRows({ tests }: Study, trusted: readonly string[] | undefined): number[] {
  const unknown = trusted?.find((name) => !tests.slices.some((slice) => slice.case === name));
  if (unknown !== undefined) {
    const known = [...new Set(tests.slices.map((slice) => slice.case))];
    throw new TracinError(
      'ERR_TRACIN_USAGE',
      `trusted case ${unknown} is no test case of the study: choose from ${known.slice(0, 10).join(', ')}`,
    );
  }
  return tests.slices.flatMap((slice, row) => (!trusted || trusted.includes(slice.case) ? [row] : []));
}

/** The order asked for, else the one that found most of the planted faults, else the loss. */
function chosenOrder(asked: FoundBy | undefined, evidence: PlantedResult | undefined): { order: FoundBy; words: string } {
  if (asked !== undefined) {
    if (asked === 'combination' && !evidence) {
      throw new TracinError(
        'ERR_TRACIN_USAGE',
        'a combination is fitted on planted faults and there is no evidence of any: run faithfulness on a study that has some',
      );
    }
    return { order: asked, words: 'as asked for' };
  }
  if (!evidence) {
    const words =
      'no planted faults were looked for in this study; on synthetic patients the loss found most unless the network had learnt its faulty labels by heart, where self-influence found as many or more';
    return { order: 'loss', words };
  }
  const best = evidence.scores.find(({ overBaseline }) => overBaseline && above(overBaseline, 0));
  const order = best?.score ?? evidence.baseline;
  const { auroc } = evidence.scores.find(({ score }) => score === order)!;
  const digits = (value: number | null): string => value?.toFixed(2) ?? '-';
  const why = best ? `more than the baseline ${evidence.baseline}` : 'no other score was shown to find more';
  const words = `AUROC ${digits(auroc.value)} (${digits(auroc.low)} to ${digits(auroc.high)}) on ${evidence.faulty} of ${evidence.patients} patients with planted faults; ${why}`;
  return { order, words };
}
