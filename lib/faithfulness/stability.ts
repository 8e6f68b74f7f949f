/** The same study from several training seeds: what of its influence is of the data, and what of the chances of one training. */
import { relative } from 'node:path';
import { TracinError, throwIfAborted } from '../errors';
import { replaceFile } from '../files';
import { NORMALISATIONS, type Normalisation } from '../influence/normalisation';
import { openedStudy, type Study } from '../influence/study';
import { toJson } from '../json';
import { CALL, check, list, oneOf, optional, whole, type Kinds } from '../kinds';
import type { OnProgress } from '../progress';
import { VERSION } from '../version';
import { WorkerThread } from '../worker-thread';
import { FORMAT_VERSION, stabilityPath, type Stability } from './stability-file';
import type { OpenedArgument, StabilityFigures } from './stability-worker';
import { above, inWords, tooFew } from './verdict';

/** The studies of other training seeds that are compared, and the lists that are. */
export interface StabilityOptions {
  /** At least two, of networks trained from different seeds on the same slices; the first is the one written to. */
  readonly studies: readonly Study[];
  /** What training regions are ranked by; default none, T itself. */
  readonly normalize?: Normalisation | undefined;
  /** Lists of slices (default) or of patients, and their length, default 10. */
  readonly by?: 'slice' | 'patient' | undefined;
  readonly top?: number | undefined;
  /** Of the intervals; default 1000 resamples, seed 1. */
  readonly resamples?: number | undefined;
  readonly seed?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Stage `stability`, in test slices. */
  readonly onProgress?: OnProgress | undefined;
}

const OPTIONS: Kinds<StabilityOptions> = {
  ...CALL,
  studies: list(openedStudy),
  normalize: optional(oneOf(NORMALISATIONS)),
  by: optional(oneOf(['slice', 'patient'])),
  top: optional(whole(1)),
  resamples: optional(whole(1)),
  seed: optional(whole(0)),
};

/** From here up two rankings share half of their variance. */
const STABLE = Math.SQRT1_2;

/**
 * Compares the studies and writes stability.json into the first. Only regions that something influences in each of them are compared: where
 * regions are predicted ones, another network may not have them.
 * @throws ERR_TRACIN_USAGE an option that cannot be meant; ERR_TRACIN_STUDY studies of other slices, classes or definitions, or of the same networks
 */
export async function testStability(options: StabilityOptions): Promise<Stability> {
  check('testStability', options, OPTIONS);
  const { studies, normalize = 'none', by = 'slice', top = 10, resamples = 1000, seed = 1, signal, onProgress } = options;
  const [first, ...others] = studies;
  if (!first || others.length === 0) throw new TracinError('ERR_TRACIN_USAGE', 'stability is between studies: give at least two');
  for (const [i, one] of studies.entries()) for (const other of studies.slice(i + 1)) checkAlike(one, other);
  throwIfAborted(signal);
  const worker = new WorkerThread('faithfulness/stability-worker');
  try {
    const opened: OpenedArgument = { studies: studies.map(({ dir, learningRates }) => ({ dir, learningRates })), normalize, by, top };
    await worker.call('open', opened, { signal });
    const total = first.tests.slices.length;
    for (let test = 0; test < total; test++) {
      await worker.call('compare', test, { signal });
      onProgress?.({ stage: 'stability', done: test + 1, total });
    }
    const figures = await worker.call<StabilityFigures>('result', { resamples, seed }, { signal });
    const found: Stability = {
      formatVersion: FORMAT_VERSION,
      tool: `tracin-seg ${VERSION}`,
      studies: studies.map(({ dir, checkpoints }) => ({ dir: relative(first.dir, dir) || '.', checkpoints: checkpoints.length })),
      normalize,
      by,
      top,
      seed,
      resamples,
      ...figures,
      verdict: verdictOf(figures, studies.length, top),
    };
    await replaceFile(stabilityPath(first.dir), toJson(found));
    return found;
  } finally {
    await worker.close();
  }
}

function checkAlike(one: Study, other: Study): void {
  const differ = (what: string): TracinError =>
    new TracinError('ERR_TRACIN_STUDY', `${one.dir} and ${other.dir} ${what}: compare studies that differ in the training seed alone`);
  const slices = ({ slices: axis }: Study['tests']): string => JSON.stringify(axis.map(({ case: name, index }) => [name, index]));
  const definition = ({ definition: { learningRates: _, ...rest } }: Study): string => JSON.stringify(rest);
  if (one.classes.join() !== other.classes.join()) throw differ('are of different classes');
  if (slices(one.tests) !== slices(other.tests)) throw differ('ask about different test slices');
  if (slices(one.trainings) !== slices(other.trainings)) throw differ('are of different training slices');
  if (definition(one) !== definition(other)) throw differ('define influence differently');
  const networks = ({ checkpoints }: Study): string => checkpoints.map(({ sha256 }) => sha256).join();
  if (networks(one) === networks(other)) throw differ('are of the same networks');
}

/**
 * Stable where the whole interval of the rank correlation is above {@link STABLE}; partly where lists agree more than by chance in every class,
 * of those that have more training regions than a list is long: two lists of everything agree whatever they say.
 */
function verdictOf({ correlation: { overall }, lists }: StabilityFigures, studies: number, top: number): Stability['verdict'] {
  const compared = lists.filter(({ overlap }) => overlap.regions > 0);
  if (overall.regions === 0 && compared.length === 0) {
    const words = `not compared: no test region has a gradient, and training regions to rank, in all ${studies} trainings.`;
    return { level: 'not compared', warning: false, words };
  }
  const telling = compared.filter(({ chance }) => chance! < 1);
  const agree = telling.length > 0 && telling.every(({ overChance }) => above(overChance, 0));
  const level = above(overall, STABLE) ? 'stable' : agree ? 'partly stable' : 'not stable';
  const advice = {
    stable: 'what one training shows, others show, too',
    'partly stable': 'believe the proponents that every training has; the others may be the chances of one training',
    'not stable': 'another training of the same network on the same data names other proponents, so do not rest anything on one of them',
  };
  const shares = compared.map(
    (one) => `${one.class} ${inWords(one.overlap)}, by chance ${one.chance === null ? '-' : one.chance.toFixed(3)}`,
  );
  const words =
    `${level}: rank correlation of influence between ${studies} trainings ${inWords(overall)}, over ${overall.regions} comparisons in ` +
    `${overall.n} test patients; of the ${top} leading proponents they share ${shares.join('; ') || 'none to compare'}. ` +
    `In short: ${advice[level]}${tooFew(overall, 'test patients')}.`;
  return { level, warning: level !== 'stable', words };
}
