/** Proponents and opponents: the training regions, or patients, that pushed a test region's prediction and those that pulled. */
import { z } from 'zod';
import { TracinError } from '../errors';
import { CALL, check, object, optional } from '../kinds';
import type { RegionAxis } from './folder';
import { byFalling, byRising, candidatesOf, type Candidate } from './candidates';
import { dominance, type Dominance } from './dominance';
import { influencedRegions } from './influenced';
import { influenceOf, influenceOn, NORMALISATIONS, regionInfluence, type Normalisation, type RegionInfluence } from './normalisation';
import { openedStudy, type Study, type WholeStudyOptions } from './study';

export const rankQuerySchema = z.strictObject({
  /** Without a slice: the one in which the class has most pixels. */
  test: z.strictObject({ case: z.string().min(1), slice: z.int().optional() }),
  /** Class of the test region. */
  class: z.string().min(1),
  /** Class of the training regions: a name, or `all`; the same class by default. */
  trainClass: z.string().min(1).optional(),
  by: z.enum(['slice', 'patient']).default('slice'),
  normalize: z.enum(NORMALISATIONS).default('none'),
  /** Length of either list. */
  top: z.int().positive().default(10),
});
/** What {@link rank} is asked. */
export type RankQuery = z.input<typeof rankQuerySchema>;

/** A region of a slice; `pixels` that it has. */
export interface Region {
  readonly case: string;
  readonly slice: number;
  readonly patient: string;
  readonly class: string;
  readonly pixels: number;
}

/** By patient, the region is the one of largest |T| and the score the sum over all `regions` of the patient. */
export interface RankedRegion extends Region {
  /** From 1. */
  readonly rank: number;
  readonly score: number;
  readonly regions: number;
  /**
   * With `normalize: 'cosine'` alone: the score as a mean, over checkpoints by their η_t and over the patient's regions, so −1 to 1 whatever
   * the learning rates and however many regions a patient has.
   */
  readonly cosine?: number | undefined;
}

/** Plain data, fit for JSON. */
export interface Ranking {
  readonly test: Region;
  readonly trainClass: string;
  readonly by: 'slice' | 'patient';
  readonly normalize: Normalisation;
  /** Regions or patients ranked; absent regions are not among them. */
  readonly candidates: number;
  /**
   * The gradient of the test region is zero at every checkpoint of an η above 0, so nothing influences it and both lists are empty. It is there and has
   * pixels; a region without pixels is absent and cannot be ranked.
   */
  readonly zeroGradient: boolean;
  /** By falling influence; a score of exactly 0 is on neither list. */
  readonly proponents: readonly RankedRegion[];
  /** By rising influence, likewise. */
  readonly opponents: readonly RankedRegion[];
  readonly dominance: Dominance;
}

/** What to tell of a region with `zeroGradient`. */
export const ZERO_GRADIENT =
  'The gradient of this region is zero, so nothing influences it. With the Dice loss that is so where no pixel of a region is of its class in the labels.';

/**
 * Ranks the training regions of a class by their influence on one test region.
 * Equal scores keep the order of the training axis.
 * @param painted a region of that slice and class in place of the study's own
 * @param options how often patients lead lists is told from all test regions of the class, which takes its time in a large study
 * @throws ERR_TRACIN_USAGE for an unknown case, slice, class or option, or a test region that is absent, listing what there is
 */
export async function rank(study: Study, query: RankQuery, painted?: RegionInfluence, options: WholeStudyOptions = {}): Promise<Ranking> {
  check(
    'rank',
    { ...options, options, study, query, painted },
    { ...CALL, options: object, study: openedStudy, query: object, painted: optional(regionInfluence) },
  );
  const { test, by, normalize, top, ...names } = parseQuery(query);
  const testClass = classIndex(study, names.class);
  const trainClasses = trainingClasses(study, names.trainClass ?? names.class);
  const row = painted?.row ?? findTest(study, test, testClass);
  const influence = await (painted ? influenceOn(study, painted, normalize) : influenceOf(study, row, normalize, testClass));
  const candidates = candidatesOf(study, influence, painted ? 0 : testClass, trainClasses, by);
  const influential = candidates.filter(({ score }) => score !== 0);
  const region = regionAt(study, study.tests, row, testClass);
  return {
    test: painted ? { ...region, pixels: painted.pixels } : region,
    trainClass: names.trainClass ?? names.class,
    by,
    normalize,
    candidates: candidates.length,
    zeroGradient: painted
      ? painted.norms.every((norm, t) => norm * study.learningRates[t]! === 0)
      : !(await influencedRegions(study))[row]![testClass],
    proponents: listed(study, byFalling(influential), normalize, top),
    opponents: listed(study, byRising(influential), normalize, top),
    dominance: await dominance(study, { testClass, trainClasses, by, normalize }, options),
  };
}

function parseQuery(query: RankQuery): z.output<typeof rankQuerySchema> {
  const parsed = rankQuerySchema.safeParse(query);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw usage(`rank: ${issue.path.map(String).join('.') || 'query'}: ${issue.message}`);
}

function usage(message: string): TracinError {
  return new TracinError('ERR_TRACIN_USAGE', message);
}

/** A few names are more help than a wall of them. */
function some(names: readonly string[]): string {
  const first = names.slice(0, 10).join(', ');
  return names.length > 10 ? `${first} and ${names.length - 10} more` : first;
}

function classIndex({ classes }: Study, name: string): number {
  const index = classes.indexOf(name);
  if (index < 0) throw usage(`unknown class ${name}: choose from ${classes.join(', ')}`);
  return index;
}

function trainingClasses(study: Study, name: string): number[] {
  return name === 'all' ? study.classes.map((_, k) => k) : [classIndex(study, name)];
}

/** The row of a test slice in which the class is present. */
function findTest(study: Study, wanted: { case: string; slice?: number | undefined }, testClass: number): number {
  const { slices, pixels } = study.tests;
  if (slices.length === 0) throw usage(`${study.dir} has no test slices (--self): rank a study that has`);
  const rows = slices.flatMap((slice, row) => (slice.case === wanted.case ? [row] : []));
  if (rows.length === 0) {
    throw usage(`unknown test case ${wanted.case}: choose from ${some([...new Set(slices.map((slice) => slice.case))])}`);
  }
  const name = study.classes[testClass]!;
  if (wanted.slice === undefined) {
    const largest = rows.reduce((best, row) => (pixels[row]![testClass]! > pixels[best]![testClass]! ? row : best));
    if (pixels[largest]![testClass] === 0)
      throw usage(`case ${wanted.case} has no ${name} region in any slice: ${presentWords(study, rows)}`);
    return largest;
  }
  const row = rows.find((candidate) => slices[candidate]!.index === wanted.slice);
  if (row === undefined) {
    throw usage(`case ${wanted.case} has no test slice ${wanted.slice}: choose from ${some(rows.map((r) => String(slices[r]!.index)))}`);
  }
  if (pixels[row]![testClass] === 0) {
    throw usage(`case ${wanted.case}, slice ${wanted.slice} has no ${name} region: ${presentWords(study, [row])}`);
  }
  return row;
}

function presentWords(study: Study, rows: readonly number[]): string {
  const present = study.classes.filter((_, k) => rows.some((row) => study.tests.pixels[row]![k]! > 0));
  return present.length > 0 ? `choose from ${present.join(', ')}` : 'it has none at all, choose another';
}

function regionAt(study: Study, axis: RegionAxis, row: number, k: number): Region {
  const { case: name, index, patient } = axis.slices[row]!;
  return { case: name, slice: index, patient, class: study.classes[k]!, pixels: axis.pixels[row]![k]! };
}

function listed(study: Study, sorted: readonly Candidate[], normalize: Normalisation, top: number): RankedRegion[] {
  const rates = study.learningRates.reduce((sum, rate) => sum + rate, 0);
  return sorted.slice(0, top).map(({ row, k, score, regions }, i) => ({
    ...{ rank: i + 1, score, regions, ...regionAt(study, study.trainings, row, k) },
    ...(normalize === 'cosine' && { cosine: score / (rates * regions) }),
  }));
}
