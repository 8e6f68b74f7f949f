/** From finished studies to what a report says of them. */
import type { SliceSource } from '../dataset/slices';
import { TracinError, throwIfAborted } from '../errors';
import type { CaseDice } from '../inference/dice-table';
import { meanDice } from '../inference/dice-table';
import { describeDefinition } from '../influence/definition';
import { dominance } from '../influence/dominance';
import type { RegionAxis } from '../influence/folder';
import type { Study } from '../influence/study';
import type { OnProgress } from '../progress';
import { VERSION } from '../version';
import { Album } from './album';
import { classInfluence } from './class-influence';
import type { ClassDominance, NetworkReport, Report } from './model';
import { SHOWN, SliceReporter } from './slice-report';

/** A study with the slices it was computed from. */
export interface ReportSubject {
  /** Of the network, for people. */
  readonly name: string;
  readonly study: Study;
  readonly test: SliceSource;
  readonly train: SliceSource;
  /** How well the network does on volumes it has not seen: `dice` of a {@link Prediction}. */
  readonly dice?: readonly CaseDice[] | undefined;
}

export interface ReportOptions {
  readonly title: string;
  /** Lines about the cohort. */
  readonly cohort?: readonly string[] | undefined;
  /** All on the same classes and with test slices in common; the first one chooses which slices are shown. */
  readonly subjects: readonly ReportSubject[];
  /** Test patients shown, from the best predicted to the worst; default 4. */
  readonly patients?: number | undefined;
  /** Proponents and opponents of each region; default 3. */
  readonly top?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Stage `report`, in test slices. */
  readonly onProgress?: OnProgress | undefined;
}

/**
 * Reads studies and draws the slices worth showing.
 * @throws ERR_TRACIN_USAGE no studies, or studies of different classes; ERR_TRACIN_DATA slices of a study that its sources lack
 */
export async function buildReport(options: ReportOptions): Promise<Report> {
  const { subjects, signal, onProgress } = options;
  const [first] = subjects;
  if (!first) throw new TracinError('ERR_TRACIN_USAGE', 'a report needs at least one study');
  const { classes } = first.study;
  const other = subjects.find(({ study }) => study.classes.join() !== classes.join());
  if (other)
    throw new TracinError('ERR_TRACIN_USAGE', `${other.study.dir}: its classes are not ${classes.join(', ')}: report it on its own`);
  const shown = chooseSlices(first, options.patients ?? 4);
  const album = new Album();
  const networks: NetworkReport[] = [];
  let done = 0;
  for (const subject of subjects) {
    const reporter = new SliceReporter(subject, album, options.top ?? 3);
    const slices = [];
    for (const slice of shown) {
      throwIfAborted(signal);
      slices.push(await reporter.report(slice));
      onProgress?.({ stage: 'report', done: ++done, total: subjects.length * shown.length });
    }
    networks.push(await reportNetwork(subject, slices));
  }
  return { title: options.title, cohort: options.cohort ?? [], tool: `tracin-seg ${VERSION}`, classes, pictures: album.pictures, networks };
}

async function reportNetwork({ name, study, dice }: ReportSubject, slices: NetworkReport['slices']): Promise<NetworkReport> {
  return {
    name,
    parameterCount: study.record.parameterCount,
    engine: study.record.engine.description,
    checkpoints: study.checkpoints.map(({ epoch }, t) => ({ epoch, learningRate: study.learningRates[t]! })),
    dice: dice && { cases: dice, mean: meanDice(dice, study.classes.length) },
    definition: describeDefinition(study.definition),
    testSlices: study.tests.slices.length,
    trainingSlices: study.trainings.slices.length,
    influence: await classInfluence(study),
    dominance: await dominantPatients(study),
    slices,
  };
}

async function dominantPatients(study: Study): Promise<ClassDominance[]> {
  const found: ClassDominance[] = [];
  for (const [k, name] of study.classes.entries()) {
    for (const normalize of SHOWN) {
      const { top, patients } = await dominance(study, { testClass: k, trainClasses: [k], by: 'slice', normalize });
      if (patients[0]) found.push({ class: name, normalize, top, ...patients[0] });
    }
  }
  return found;
}

/** One slice of each of some patients: the one whose smallest region is largest, of those with most classes. */
function chooseSlices({ study: { tests }, dice }: ReportSubject, patients: number): RegionAxis['slices'] {
  const best = new Map<string, { row: number; present: number; least: number }>();
  tests.slices.forEach(({ patient }, row) => {
    const counts = tests.pixels[row]!.filter((pixels) => pixels > 0);
    const [present, least] = [counts.length, Math.min(...counts)];
    const known = best.get(patient);
    if (present > 0 && (!known || present > known.present || (present === known.present && least > known.least)))
      best.set(patient, { row, present, least });
  });
  const slices = [...best.values()].map(({ row }) => tests.slices[row]!);
  const quality = new Map(dice?.map((row) => [row.case, mean(row.dice)]));
  slices.sort((a, b) => (quality.get(b.case) ?? 0) - (quality.get(a.case) ?? 0));
  const count = Math.min(patients, slices.length);
  return Array.from({ length: count }, (_, i) => slices[count === 1 ? 0 : Math.round((i * (slices.length - 1)) / (count - 1))]!);
}

function mean(values: readonly (number | null)[]): number {
  const present = values.filter((value) => value !== null);
  return present.reduce((sum, value) => sum + value, 0) / Math.max(1, present.length);
}
