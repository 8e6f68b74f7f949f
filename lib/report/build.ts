/** From finished studies to what a report says of them. */
import { caseOrSlice, type SliceSource } from '../dataset/slices';
import { openedEngine, type Engine } from '../engine/engine';
import { TracinError, throwIfAborted } from '../errors';
import { readFindings } from '../faithfulness/findings';
import { readStability } from '../faithfulness/stability-file';
import type { CaseDice } from '../inference/dice-table';
import { meanDice } from '../inference/dice-table';
import { describeDefinition } from '../influence/definition';
import { dominance } from '../influence/dominance';
import type { RegionAxis } from '../influence/folder';
import { SIDES } from '../influence/reopen';
import { openedStudy, type Study, type WholeStudyOptions } from '../influence/study';
import { CALL, anyPath, check, list, object, oneOf, optional, shape, text, whole, type Kinds } from '../kinds';
import type { OnProgress } from '../progress';
import { VERSION } from '../version';
import { Album } from './album';
import { auditReport } from './audit-report';
import { checkpointShares } from './checkpoint-shares';
import { askedSlices, chooseSlices, type AskedSlice } from './choose';
import { classInfluence } from './class-influence';
import { featureReport } from './feature-report';
import { drawMapLayers } from './map-layers';
import { missingParts } from './missing';
import type { ClassDominance, DiceReport, NetworkReport, Report, SideReport, SliceReport } from './model';
import { sliceDice } from './slice-dice';
import { MAPPED, pairsOf, SHOWN, SliceReporter, type Mapped, type RankedSlice } from './slice-report';

/** A study with the slices it was computed from. */
export interface ReportSubject {
  /** Of the network, for people. */
  readonly name: string;
  readonly study: Study;
  /** Without them nothing is pictured. */
  readonly test?: SliceSource | undefined;
  readonly train?: SliceSource | undefined;
  /** Computes the influence maps that the study lacks; without one, those it has are shown. Needs the checkpoints. */
  readonly engine?: Engine | undefined;
  /** Folder of the checkpoints, when not where study.json says. */
  readonly run?: string | undefined;
  /** How well the network does on volumes it has not seen: `dice` of a {@link Prediction}. Without it, Dice over the test slices is taken. */
  readonly dice?: readonly CaseDice[] | undefined;
}

/** The studies of a page, and what of them it shows. */
export interface ReportOptions {
  readonly title: string;
  /** Lines about the cohort. */
  readonly cohort?: readonly string[] | undefined;
  /** All on the same classes and with test slices in common; the first one chooses which slices are shown. */
  readonly subjects: readonly ReportSubject[];
  /** Test slices shown, in this order; without a slice, the most telling one of the case. */
  readonly tests?: readonly AskedSlice[] | undefined;
  /** Without `tests`: patients shown, from the best predicted to the worst; default 4. */
  readonly patients?: number | undefined;
  /** Proponents and opponents of each region; default 3. */
  readonly top?: number | undefined;
  /** Which rankings get influence maps, where a subject has an engine to compute them; default raw, by slice alone. */
  readonly maps?: Mapped | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Stages `dominance`, in test regions, `maps`, in passes through a network, `report`, `checkpoints` and `classes`, in test slices. */
  readonly onProgress?: OnProgress | undefined;
}

const OPTIONS: Kinds<ReportOptions> = {
  ...CALL,
  title: text,
  cohort: optional(list(text)),
  subjects: list(
    shape<ReportSubject>({
      ...SIDES,
      name: text,
      study: openedStudy,
      engine: optional(openedEngine),
      run: optional(anyPath),
      dice: optional(list(object)),
    }),
  ),
  tests: optional(list(caseOrSlice)),
  patients: optional(whole(1)),
  top: optional(whole(1)),
  maps: optional(oneOf(MAPPED)),
};

/**
 * Reads studies and draws the slices worth showing. Nothing is written.
 * @throws ERR_TRACIN_USAGE no studies, studies of different classes, or slices that the first one does not have; ERR_TRACIN_DATA slices of a
 *   study that its sources lack; otherwise as maps are computed
 */
export async function buildReport(options: ReportOptions): Promise<Report> {
  check('buildReport', options, OPTIONS);
  const { subjects, tests, signal } = options;
  const [first] = subjects;
  if (!first) throw new TracinError('ERR_TRACIN_USAGE', 'a report needs at least one study');
  const { classes } = first.study;
  const other = subjects.find(({ study }) => study.classes.join() !== classes.join());
  if (other)
    throw new TracinError('ERR_TRACIN_USAGE', `${other.study.dir}: its classes are not ${classes.join(', ')}: report it on its own`);
  throwIfAborted(signal);
  const dice = await diceOf(first, signal);
  const shown = tests ? askedSlices(first.study.tests, tests) : chooseSlices(first.study.tests, dice?.cases, options.patients ?? 4);
  const album = new Album();
  const networks: NetworkReport[] = [];
  for (const [place, subject] of subjects.entries()) {
    const ofSubject = subject === first ? dice : await diceOf(subject, signal);
    networks.push(await reportNetwork(subject, ofSubject, shown, album, { ...options, before: place * shown.length }));
  }
  return { title: options.title, cohort: options.cohort ?? [], tool: `tracin-seg ${VERSION}`, classes, pictures: album.pictures, networks };
}

async function reportNetwork(
  subject: ReportSubject,
  dice: DiceReport | undefined,
  shown: RegionAxis['slices'],
  album: Album,
  options: ReportOptions & { readonly before: number },
): Promise<NetworkReport> {
  const { name, study } = subject;
  const { signal, onProgress, subjects, before } = options;
  const reporter = new SliceReporter(subject, album, options.top ?? 3);
  const ranked: RankedSlice[] = [];
  for (const slice of shown) ranked.push(await reporter.rank(slice, { signal, onProgress }));
  const maps =
    reporter.shelves && (await drawMapLayers(subject, pairsOf(ranked, options.maps ?? 'raw'), reporter.shelves, { signal, onProgress }));
  const stability = await readStability(study);
  const slices: SliceReport[] = [];
  for (const one of ranked) {
    throwIfAborted(signal);
    slices.push(await reporter.report(one, { dice: dice?.cases, maps, stability }));
    onProgress?.({ stage: 'report', done: before + slices.length, total: subjects.length * shown.length });
  }
  const parts = {
    dice,
    slices,
    features: await featureReport(study),
    faithfulness: await readFindings(study.dir),
    stability,
    audit: await auditReport(study, reporter.shelves?.train),
  };
  return {
    name,
    parameterCount: study.record.parameterCount,
    engine: study.record.engine.description,
    checkpoints: await checkpointShares(study, { signal, onProgress }),
    definition: describeDefinition(study.definition),
    sides: { test: sideOf(study.tests), train: sideOf(study.trainings) },
    influence: await classInfluence(study, { signal, onProgress }),
    dominance: await dominantPatients(study, { signal, onProgress }),
    ...parts,
    missing: await missingParts(subject, parts),
  };
}

async function diceOf({ study, test, dice }: ReportSubject, signal: AbortSignal | undefined): Promise<DiceReport | undefined> {
  const cases = dice ?? (test && (await sliceDice(study, test, signal)));
  return cases && { over: dice ? 'volumes' : 'slices', cases, mean: meanDice(cases, study.classes.length) };
}

function sideOf({ slices, pixels }: RegionAxis): SideReport {
  return {
    patients: new Set(slices.map(({ patient }) => patient)).size,
    slices: slices.length,
    regions: (pixels[0] ?? []).map((_, k) => pixels.filter((counts) => counts[k]! > 0).length),
  };
}

async function dominantPatients(study: Study, options: WholeStudyOptions): Promise<ClassDominance[]> {
  const found: ClassDominance[] = [];
  for (const [k, name] of study.classes.entries()) {
    for (const normalize of SHOWN) {
      const { top, patients } = await dominance(study, { testClass: k, trainClasses: [k], by: 'slice', normalize }, options);
      if (patients[0]) found.push({ class: name, normalize, top, ...patients[0] });
    }
  }
  return found;
}
