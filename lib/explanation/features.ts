/** Which feature maps of the last hidden layer explain a study: FI by rank, the features it selects, and the exact split of T. */
import { changeFile } from '../change-file';
import type { SliceSource } from '../dataset/slices';
import { openedEngine, type Engine, type Program } from '../engine/engine';
import { TracinError, throwIfAborted } from '../errors';
import { removeFile, replaceFile } from '../files';
import { toJson } from '../json';
import { CALL, callback, check, oneOf, optional, whole, type Kinds } from '../kinds';
import { regionBatches, type Role } from '../influence/batches';
import { influencedRegions } from '../influence/influenced';
import type { Networks } from '../influence/networks';
import { NORMALISATIONS, type Normalisation } from '../influence/normalisation';
import { MOVED, reopenNetworks, reopenSides, SIDES, type ReopenedSides } from '../influence/reopen';
import { openedStudy, type Study } from '../influence/study';
import { npyHeader, writeNpy } from '../npy';
import type { OnProgress } from '../progress';
import { VERSION } from '../version';
import { WorkerThread } from '../worker-thread';
import type { FeatureResult, GradientsArgument, OpenArgument, SlicesArgument } from './feature-worker';
import { FORMAT_VERSION, featurePaths, type Features } from './files';
import { featureHead, type FeatureHead } from './head';
import { headGradients } from './head-split';
import { SIMILARITIES, type Similarity } from './similarity';

/** The study whose features are compared, how, and how many shuffles of ranks a feature must beat. */
export interface FeatureOptions {
  readonly study: Study;
  readonly engine: Engine;
  /** What S is; default max-ratio. */
  readonly similarity?: Similarity | undefined;
  /** What training regions are ranked by; default none, T itself. */
  readonly normalize?: Normalisation | undefined;
  /** Shuffles of the ranks that a feature's contrast is held against; default 200. */
  readonly shuffles?: number | undefined;
  /** Of the shuffles; default 1. */
  readonly seed?: number | undefined;
  /** Slices computed together; default 8. */
  readonly batch?: number | undefined;
  /** In place of what the study says it was computed from. */
  readonly test?: SliceSource | undefined;
  readonly train?: SliceSource | undefined;
  /** Where data and checkpoints lie now, when not where study.json says. */
  readonly data?: string | undefined;
  readonly run?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told what was found and FI as importance.npy has it, before features.json says so: for files that go with them. */
  readonly onFound?: ((found: Features, importance: Float32Array) => Promise<void>) | undefined;
  /** Stages `ranks`, in test slices, `features`, in slices that go through the network, and `split`, in test slices at each checkpoint. */
  readonly onProgress?: OnProgress | undefined;
}

const OPTIONS: Kinds<FeatureOptions> = {
  ...CALL,
  ...SIDES,
  ...MOVED,
  study: openedStudy,
  engine: openedEngine,
  similarity: optional(oneOf(SIMILARITIES)),
  normalize: optional(oneOf(NORMALISATIONS)),
  shuffles: optional(whole(20)),
  seed: optional(whole(0)),
  batch: optional(whole(1)),
  onFound: optional(callback),
};

/**
 * Computes into STUDY/features (see {@link featurePaths}), from the last checkpoint's maps and every checkpoint's head gradients.
 * M test and N training slices, K classes, F features: FI(n)_{k,i} is the mean over test regions of class i of S between the region and its
 * n-th ranked training region of that class; a feature is selected where the first third of its curve lies above the middle third by more
 * than 95 % of shuffled ranks do. At that level one feature in twenty is selected by chance.
 * @throws ERR_TRACIN_USAGE an option that cannot be meant; ERR_TRACIN_GRAPH a network without features;
 *   otherwise, where data or checkpoints are gone or have changed, ERR_TRACIN_DATA or ERR_TRACIN_CHECKPOINT
 */
export async function computeFeatures(options: FeatureOptions): Promise<Features> {
  check('computeFeatures', options, OPTIONS);
  options = { ...options }; // their owner may change them meanwhile
  const { study, engine, similarity = 'max-ratio', normalize = 'none', shuffles = 200, seed = 1, run, signal } = options;
  if (study.tests.slices.length === 0) {
    throw new TracinError('ERR_TRACIN_USAGE', `${study.dir} has no test slices to explain: compute a study that has some`);
  }
  throwIfAborted(signal);
  const networks = await reopenNetworks(study, { run, signal });
  const head = featureHead(networks.lowered, networks.graph.source);
  const { size, output } = study.record;
  const sides = await reopenSides(study, options);
  const worker = new WorkerThread('explanation/feature-worker');
  let program: Program | undefined;
  try {
    program = await engine.compile(networks.graph, { size, output, parameters: [head.kernel] });
    const argument: OpenArgument = {
      dir: study.dir,
      learningRates: study.learningRates,
      normalize,
      similarity,
      size,
      mapSize: head.mapSize,
      tests: study.tests.slices.length,
      trainings: study.trainings.slices.length,
      classes: study.classes.length,
      features: head.features,
      shuffles,
      seed,
    };
    await worker.call('open', argument, { signal });
    const onRanks = counter(options.onProgress, 'ranks', argument.tests);
    for (let test = 0; test < argument.tests; test++) {
      await worker.call('rank', test, { signal });
      onRanks(1);
    }
    await worker.call('ranked', undefined, { signal });
    const checkpoints = networks.checkpoints.length;
    const onSlices = counter(options.onProgress, 'features', (checkpoints + 1) * (argument.tests + argument.trainings));
    const onSplit = counter(options.onProgress, 'split', checkpoints * argument.tests);
    const work: Work = { program, head, networks, sides, worker, study, batch: options.batch ?? 8, signal, onSlices, onSplit };
    await compareMaps(work);
    await splitHead(work);
    const result = await worker.call<FeatureResult>('result', undefined, { signal });
    const found = await summary(options, head, result, { similarity, normalize, shuffles, seed });
    await write(options, head, result, found, worker);
    return found;
  } finally {
    program?.dispose();
    await worker.close();
    await sides.close();
  }
}

function counter(onProgress: OnProgress | undefined, stage: string, total: number): (slices: number) => void {
  let done = 0;
  return (slices) => onProgress?.({ stage, done: (done += slices), total });
}

/** What computes, and what of. */
interface Work {
  readonly program: Program;
  readonly head: FeatureHead;
  readonly networks: Networks;
  readonly sides: ReopenedSides;
  readonly worker: WorkerThread;
  readonly study: Study;
  readonly batch: number;
  readonly signal: AbortSignal | undefined;
  readonly onSlices: (slices: number) => void;
  readonly onSplit: (slices: number) => void;
}

/** Hands the maps of every slice to the worker, the tests first. */
async function compareMaps({ program, networks, sides, worker, study, batch, signal, onSlices }: Work): Promise<void> {
  await program.load(await networks.read(networks.checkpoints.at(-1)!));
  for (const [role, method] of [
    ['test', 'tests'],
    ['train', 'trainings'],
  ] as const) {
    // prettier-ignore
    const range = { start: 0, end: sides[role].source.slices.length };
    for await (const { start, end, images, masks } of regionBatches(sides[role], study.definition, range, batch, signal)) {
      const { features } = await program.forward(images, { features: true, signal });
      const argument: SlicesArgument = { start, maps: features!, masks };
      await worker.call(method, argument, { signal, transfer: [features!.buffer as ArrayBuffer] });
      onSlices(end - start);
    }
  }
}

/** Writes the head gradients of every checkpoint and hands them to the worker. */
async function splitHead({ program, head, networks, sides, worker, study, batch, signal, onSlices, onSplit }: Work): Promise<void> {
  const paths = featurePaths(study.dir);
  const all: Record<Role, Float32Array<ArrayBuffer>[]> = { test: [], train: [] };
  for (const [t, checkpoint] of networks.checkpoints.entries()) {
    await program.load(await networks.read(checkpoint));
    for (const role of ['test', 'train'] as const) {
      all[role].push(await headGradients(program, head, sides[role], study.definition, { batch, signal, onSlices }));
    }
    const argument: GradientsArgument = { rate: study.learningRates[t]!, tests: all.test[t]!, trainings: all.train[t]! };
    await worker.call('gradients', argument, { signal });
    for (let test = 0; test < study.tests.slices.length; test++) {
      await worker.call('split', test, { signal });
      onSplit(1);
    }
  }
  for (const role of ['test', 'train'] as const) {
    const slices = sides[role].source.slices.length;
    const shape = [networks.checkpoints.length, slices, study.classes.length, head.features, head.places.length / head.features];
    await replaceFile(paths.gradients(role), [npyHeader('f4', shape), ...all[role].map(({ buffer }) => new Uint8Array(buffer))]);
  }
}

async function summary(
  { study }: FeatureOptions,
  { features, kernel }: FeatureHead,
  { scores }: FeatureResult,
  settings: Pick<Features, 'similarity' | 'normalize' | 'shuffles' | 'seed'>,
): Promise<Features> {
  const influenced = await influencedRegions(study);
  return {
    formatVersion: FORMAT_VERSION,
    tool: `tracin-seg ${VERSION}`,
    ...settings,
    learningRates: [...study.learningRates],
    features,
    kernel,
    classes: study.classes.map((name, k) => ({
      class: name,
      tests: influenced.filter((of) => of[k]).length,
      trainings: study.trainings.pixels.filter((counts) => counts[k]! > 0).length,
      features: [...scores[k]!],
    })),
  };
}

async function write(
  { study, onFound, signal }: FeatureOptions,
  head: FeatureHead,
  result: FeatureResult,
  found: Features,
  worker: WorkerThread,
): Promise<void> {
  const paths = featurePaths(study.dir);
  const [tests, trainings, classes] = [study.tests.slices.length, study.trainings.slices.length, study.classes.length];
  const curves = [classes, head.features, trainings];
  const table = await worker.call<Uint8Array>('table', { features: found, ...result }, { signal });
  // Others may compute features of the study at the same time: one after another, each writes all of its files.
  await changeFile(paths.features, async () => {
    // Of features computed before: it must not speak of arrays of which some are new.
    await removeFile(paths.features);
    await writeNpy(paths.importance, curves, result.importance);
    await writeNpy(paths.split, curves, result.split);
    await writeNpy(paths.similarity, [tests, classes, trainings], result.similarity);
    await writeNpy(paths.maxima('test'), [tests, classes, head.features], result.maxima.test);
    await writeNpy(paths.maxima('train'), [trainings, classes, head.features], result.maxima.train);
    await replaceFile(paths.table, table);
    await onFound?.(found, result.importance);
    return toJson(found);
  });
}
