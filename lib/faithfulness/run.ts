/** Tests what a study claims: every figure with its interval, sample size and seed, next to the baseline it has to beat. */
import { changeFile } from '../change-file';
import { sliceSource, type SliceSource } from '../dataset/slices';
import { TracinError, throwIfAborted } from '../errors';
import { computeFeatures } from '../explanation/features';
import { readFeatures, type Features } from '../explanation/files';
import { featureHead } from '../explanation/head';
import { replaceFile } from '../files';
import { selectParameters } from '../graph/parameters';
import { toJson } from '../json';
import { callback, check, kindOf, list, oneOf, optional, shape, whole, type Kinds } from '../kinds';
import { matchNetwork } from '../influence/checks';
import { reopenNetworks, reopenSides } from '../influence/reopen';
import type { Run } from '../training/run';
import { VERSION } from '../version';
import { WorkerThread } from '../worker-thread';
import { ablate, ablationPasses, type ClassAblation } from './ablation';
import { scorePatients } from './audit';
import type { PatientScores } from './audit-scores';
import { classCorrelations, encodeCorrelations, readFeatureArrays, type RegionCorrelation } from './correlation';
import { trainHalves, type DatamodelResult } from './datamodel';
import { FORMAT_VERSION, PARTS, faithfulnessPaths, readKept, type Faithfulness, type Part, type Tested } from './files';
import { patientTable } from './patient-influence';
import { drawFaults, studyOfFaults, withFaults } from './plant';
import type { PlantedResult } from './planted';
import { testRemoval } from './removal';
import { Retrainer } from './retrainer';
import type { PlantedArgument } from './statistics-worker';
import { checkHeldOut, openRunCases, plantedPatients, runOf, SUBJECT, type SubjectOptions } from './subject';
import { verdictOf } from './verdict';

/** Progress comes as a stage for each part. */
export interface FaithfulnessOptions extends SubjectOptions {
  /** quick: minutes on a small study; full: more resamples, sets and retrainings. Default quick. */
  readonly mode?: 'quick' | 'full' | undefined;
  /** In place of some of the mode's numbers. */
  readonly budget?: Partial<Budget> | undefined;
  /** Of everything drawn; default 1. */
  readonly seed?: number | undefined;
  /** Which tests; all when absent. What earlier tests of the study found in the others stays. */
  readonly parts?: readonly Part[] | undefined;
  /** Labelled slices that neither trained the network nor are asked about; the validation cases of the study's run when absent. */
  readonly heldOut?: SliceSource | undefined;
  /**
   * Share of the run's training patients whose labels are corrupted, to train on them and look for them. When absent, the faults of the
   * data's own planted.json are looked for.
   */
  readonly plant?: number | undefined;
  /** One line each, for people. */
  readonly onNotice?: ((line: string) => void) | undefined;
}

/** How much work the tests of faithfulness may do. */
export interface Budget {
  readonly resamples: number;
  /** Random sets of features, and how many of them are silenced all at once. */
  readonly draws: number;
  readonly together: number;
  /** Test patients and classes whose proponents are removed, and random sets removed instead. */
  readonly subjects: number;
  readonly removals: number;
  /** Random halves trained on. */
  readonly subsets: number;
  /** Retrainings of each set. */
  readonly seeds: number;
}

const BUDGETS: Readonly<Record<'quick' | 'full', Budget>> = {
  quick: { resamples: 200, draws: 100, together: 20, subjects: 6, removals: 3, subsets: 8, seeds: 1 },
  full: { resamples: 1000, draws: 100, together: 100, subjects: 12, removals: 8, subsets: 24, seeds: 2 },
};

const count = optional(whole(0));
const OPTIONS: Kinds<FaithfulnessOptions> = {
  ...SUBJECT,
  mode: optional(oneOf(['quick', 'full'])),
  budget: optional(
    shape<Partial<Budget>>({
      resamples: count,
      draws: count,
      together: count,
      subjects: count,
      removals: count,
      subsets: count,
      seeds: optional(whole(1)),
    }),
  ),
  seed: optional(whole(0)),
  parts: optional(list(oneOf(PARTS))),
  heldOut: optional(sliceSource),
  plant: optional(kindOf('a share between 0 and 1', (value) => typeof value === 'number' && value > 0 && value < 1)),
  onNotice: optional(callback),
};

/** What every part gets. */
export interface Setting extends FaithfulnessOptions, Budget {
  readonly seed: number;
  readonly batch: number;
  readonly onNotice: (line: string) => void;
}

/**
 * Writes STUDY/faithfulness/faithfulness.json, part by part, and the tables beside it; features are computed first where the study has none.
 * @throws ERR_TRACIN_USAGE options that cannot be meant;
 *   otherwise, where data or checkpoints are gone or have changed, ERR_TRACIN_DATA or ERR_TRACIN_CHECKPOINT
 */
export async function testFaithfulness(options: FaithfulnessOptions): Promise<Faithfulness> {
  check('testFaithfulness', options, OPTIONS);
  const { study, mode = 'quick', seed = 1, parts = PARTS, signal } = options;
  throwIfAborted(signal);
  const setting: Setting = {
    ...options,
    ...BUDGETS[mode],
    ...options.budget,
    seed,
    batch: options.batch ?? 8,
    onNotice: options.onNotice ?? (() => undefined),
  };
  const tested = { mode, seed, resamples: setting.resamples };
  let result = await withResults(study.dir, {}, tested, null);
  const features = parts.some((part) => part !== 'faults') ? await featuresOf(setting) : null;
  const tests: Record<Part, () => Promise<Faithfulness[Part]>> = {
    correlation: () => correlate(setting),
    ablation: () => ablateHeldOut(setting, features!),
    faults: () => findFaults(setting),
    retraining: () => retrain(setting),
  };
  // Retraining takes hours: what was found before it stays when it is interrupted.
  for (const part of PARTS.filter((one) => parts.includes(one))) {
    const found = await tests[part]();
    await changeFile(faithfulnessPaths(study.dir).result, async () => {
      result = await withResults(study.dir, { [part]: found }, tested, features);
      return toJson(result);
    });
  }
  return result;
}

/** What the file of a study has, with parts that are tested now in place of what it says of them. */
async function withResults(
  dir: string,
  results: Pick<Faithfulness, Part>,
  tested: Tested,
  features: Features | null,
): Promise<Faithfulness> {
  const parts = PARTS.filter((part) => part in results);
  const kept = await readKept(dir, parts);
  const claims = [...kept.verdict, ...verdictOf(results)];
  return {
    formatVersion: FORMAT_VERSION,
    tool: `tracin-seg ${VERSION}`,
    ...tested,
    ...kept,
    ...(features && { features: pick(features) }),
    ...results,
    tested: { ...kept.tested, ...Object.fromEntries(parts.map((part) => [part, tested])) },
    verdict: PARTS.flatMap((part) => claims.filter((claim) => claim.part === part)),
  };
}

function pick({ similarity, normalize, shuffles, seed }: Features): Faithfulness['features'] {
  return { similarity, normalize, shuffles, seed };
}

/** Those of the study, computed where there are none or where they are of other learning rates. */
async function featuresOf(setting: Setting): Promise<Features> {
  const { study, engine, batch, seed, test, train, data, run, signal, onProgress, onNotice } = setting;
  const known = await readFeatures(study).catch((error: unknown) => {
    if (error instanceof TracinError && error.code === 'ERR_TRACIN_STUDY') return undefined;
    throw error;
  });
  if (known?.learningRates.join() === study.learningRates.join()) return known;
  onNotice(`computing the features of ${study.dir}`);
  return computeFeatures({ study, engine, batch, seed, test, train, data, run, signal, onProgress });
}

async function correlate({ study, resamples, seed, signal, onProgress }: Setting): Promise<Faithfulness['correlation']> {
  const resampling = { resamples, seed };
  const worker = new WorkerThread('faithfulness/statistics-worker');
  try {
    await worker.call('open', { dir: study.dir, learningRates: study.learningRates }, { signal });
    const regions: RegionCorrelation[] = [];
    const total = study.tests.slices.length;
    for (let test = 0; test < total; test++) {
      regions.push(...(await worker.call<RegionCorrelation[]>('correlate', { test, resampling }, { signal })));
      onProgress?.({ stage: 'correlation', done: test + 1, total });
    }
    await replaceFile(faithfulnessPaths(study.dir).correlations, encodeCorrelations(study, regions));
    return classCorrelations(study, regions, resampling);
  } finally {
    await worker.close();
  }
}

async function ablateHeldOut(setting: Setting, features: Features): Promise<Faithfulness['ablation']> {
  const { study, engine, batch, draws, together, resamples, seed, signal, onProgress } = setting;
  const run = await runOf(study, setting.run);
  const slices = setting.heldOut ?? (run && (await validationOf(run, setting)));
  if (!slices) return { skipped: withoutHeldOut(run) };
  try {
    checkHeldOut(slices, study, run);
    const networks = await reopenNetworks(study, setting);
    const heldOut = matchNetwork({ test: slices, train: slices }, networks.lowered, networks.graph.source, study.classes).test;
    const head = featureHead(networks.lowered, networks.graph.source);
    const { size, output } = study.record;
    const program = await engine.compile(networks.graph, { size, output, parameters: [head.kernel] });
    try {
      const checkpoint = await networks.read(networks.checkpoints.at(-1)!);
      const total = ablationPasses(features, together);
      let done = 0;
      const onForward = (): void => onProgress?.({ stage: 'ablation', done: ++done, total });
      const resampling = { resamples, seed };
      const counts = await ablate({ program, checkpoint, head, features, heldOut, draws, together, batch, resampling, signal, onForward });
      const classes = await inWorker<ClassAblation[]>('ablation', counts, signal);
      return { patients: new Set(heldOut.slices.map(({ patient }) => patient)).size, slices: heldOut.slices.length, classes };
    } finally {
      program.dispose();
    }
  } finally {
    if (!setting.heldOut) await slices.close();
  }
}

/** Scores the training patients and looks where the planted faults stand. */
async function findFaults(setting: Setting): Promise<Faithfulness['faults']> {
  if (setting.plant !== undefined) return plantFaults(setting, setting.plant);
  const planted = await plantedPatients(setting.study, setting.data);
  if (!planted) {
    const plant = (await runOf(setting.study, setting.run)) ? ', and --plant makes some' : '';
    return { skipped: `no training labels with planted faults: a phantom made with --planted has some${plant}` };
  }
  const patients = await scorePatients(setting);
  return lookFor(planted, patients, setting);
}

/** Trains the study's run on corrupted labels and looks for them. */
async function plantFaults(setting: Setting, share: number): Promise<Faithfulness['faults']> {
  const { study, engine, seed, signal, onProgress } = setting;
  const run = await runOf(study, setting.run);
  if (!run) return { skipped: 'the networks of this study come from no run of ours, so they cannot be trained on corrupted labels' };
  const sides = await reopenSides(study, setting);
  try {
    const source = await openRunCases(run, run.split.train, setting);
    try {
      const faults = drawFaults([...new Set(source.slices.map(({ patient }) => patient))], share, seed);
      const folder = faithfulnessPaths(study.dir).planted(share, seed);
      const test = sides.test.source;
      const { definition, checkpoints } = study;
      const known = checkpoints.flatMap(({ epoch }) => (epoch === null ? [] : [epoch]));
      const epochs = known.length === checkpoints.length ? known : undefined;
      const planted = await studyOfFaults({ run, engine, train: source, test, definition, epochs, faults, folder, signal, onProgress });
      const patients = await scorePatients({
        ...setting,
        study: planted,
        train: withFaults(source, faults),
        test,
        data: undefined,
        run: undefined,
      });
      return await lookFor(new Set(faults.keys()), patients, setting);
    } finally {
      await source.close();
    }
  } finally {
    await sides.close();
  }
}

async function lookFor(
  planted: ReadonlySet<string>,
  patients: readonly PatientScores[],
  { resamples, seed, signal }: Setting,
): Promise<Faithfulness['faults']> {
  const faulty = patients.map(({ patient }) => planted.has(patient));
  if (!faulty.includes(true) || !faulty.includes(false)) {
    return { skipped: `${planted.size > 0 ? 'all' : 'none'} of the training patients have planted faults: there is nothing to tell apart` };
  }
  return inWorker<PlantedResult>('planted', { patients, faulty, resampling: { resamples, seed } } satisfies PlantedArgument, signal);
}

/** Trains the study's run again without some of its patients. */
async function retrain(setting: Setting): Promise<Faithfulness['retraining']> {
  const { study, engine, batch, subjects, removals, subsets, seeds, resamples, seed, signal, onProgress } = setting;
  const run = await runOf(study, setting.run);
  if (!run) return { skipped: 'the networks of this study come from no run of ours, so they cannot be trained again' };
  const resampling = { resamples, seed };
  const sides = await reopenSides(study, setting);
  try {
    const source = await openRunCases(run, run.split.train, setting);
    try {
      const networks = await reopenNetworks(study, setting);
      const { size, output } = study.record;
      const parameters = selectParameters(networks.lowered, 'head'); // only losses are asked for
      const program = await engine.compile(networks.graph, { size, output, parameters });
      try {
        const total = (1 + removals + 2 * subjects + subsets) * seeds;
        let finished = 0;
        const onShare = (share: number): void => {
          if (share === 1) finished++;
          const done = share === 1 ? finished : finished + share;
          onProgress?.({ stage: 'retraining', done: Math.floor(done * 100), total: total * 100 });
        };
        const folder = faithfulnessPaths(study.dir).retrainings;
        const retrainer = await Retrainer.open({ study, run, engine, train: source, test: sides.test, program, folder, seeds, batch, signal, onShare }); // prettier-ignore
        const table = await patientTable(study, await readFeatureArrays(study));
        const losses = (without: readonly string[]): Promise<Float64Array> => retrainer.losses(without);
        const removal = await testRemoval({ study, table, losses, subjects, draws: removals, seeds, resampling });
        const faulty = await plantedPatients(study, setting.data);
        const halves = await trainHalves({ study, table, losses, subsets, seeds, faulty, resampling });
        return { removal, datamodel: await inWorker<DatamodelResult>('datamodel', halves, signal) };
      } finally {
        program.dispose();
      }
    } finally {
      await source.close();
    }
  } finally {
    await sides.close();
  }
}

async function inWorker<T>(method: string, argument: object, signal: AbortSignal | undefined): Promise<T> {
  const worker = new WorkerThread('faithfulness/statistics-worker');
  try {
    return await worker.call<T>(method, argument, { signal });
  } finally {
    await worker.close();
  }
}

function withoutHeldOut(run: Run | undefined): string {
  if (!run) return 'no held-out slices: the networks of this study come from no run of ours, which would have validation cases';
  return 'no held-out slices: the run has no validation cases but those that the study is about; name cases that had no part in it';
}

/** The validation cases of the run that a study is about, but those that it asks about; undefined where there are none. */
async function validationOf(run: Run, setting: Setting): Promise<SliceSource | undefined> {
  const { tests, trainings } = setting.study;
  const known = new Set([...tests.slices, ...trainings.slices].map((slice) => slice.case));
  const cases = run.split.validation.filter((name) => !known.has(name));
  return cases.length > 0 ? openRunCases(run, cases, setting) : undefined;
}
