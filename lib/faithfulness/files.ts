/** STUDY/faithfulness: what its files hold. */
import { join } from 'node:path';
import { z } from 'zod';
import { TracinError } from '../errors';
import type { Features } from '../explanation/files';
import type { ClassAblation } from './ablation';
import type { ClassCorrelation } from './correlation';
import { readJson } from '../json';
import { anyPath, check, flag } from '../kinds';
import { plantedSchema, type PlantedResult } from './planted';
import type { DatamodelResult } from './datamodel';
import type { RemovalResult } from './removal';
import type { Claim } from './verdict';

export const FORMAT_VERSION = 1;

export const PARTS = ['correlation', 'ablation', 'faults', 'retraining'] as const;
/** A test of faithfulness. */
export type Part = (typeof PARTS)[number];

/** How a part was tested. */
const testedSchema = z.strictObject({
  mode: z.enum(['quick', 'full']),
  seed: z.int(),
  /** Of every interval. */
  resamples: z.int(),
});
/** How a part was tested. */
export type Tested = z.infer<typeof testedSchema>;

/** A part that could not be run, and why. */
export interface Skipped {
  readonly skipped: string;
}

/** Tested with the numbers of the last test; `tested` says how each part was. */
export interface Faithfulness extends Tested {
  readonly formatVersion: typeof FORMAT_VERSION;
  readonly tool: string;
  readonly tested: Readonly<Partial<Record<Part, Tested>>>;
  /** How regions were compared and ranked. */
  readonly features: Pick<Features, 'similarity' | 'normalize' | 'shuffles' | 'seed'> | null;
  /** Influence against similarity over training regions. */
  readonly correlation?: readonly ClassCorrelation[] | undefined;
  /** Selected features silenced. */
  readonly ablation?:
    { readonly patients: number; readonly slices: number; readonly classes: readonly ClassAblation[] } | Skipped | undefined;
  /** Known label errors looked for. */
  readonly faults?: PlantedResult | Skipped | undefined;
  /** Influential patients removed, and half of the patients drawn. */
  readonly retraining?: { readonly removal: RemovalResult; readonly datamodel: DatamodelResult } | Skipped | undefined;
  readonly verdict: readonly Claim[];
}

export function faithfulnessPaths(dir: string) {
  const folder = join(dir, 'faithfulness');
  return {
    folder,
    result: join(folder, 'faithfulness.json'),
    /** One row for each coefficient of each test region. */
    correlations: join(folder, 'correlations.csv'),
    /** One file for each retraining, so that an interrupted run goes on. */
    retrainings: join(folder, 'retrainings'),
    /** Run and study of the labels of a share of the patients corrupted on request. */
    planted: (share: number, seed: number) => join(folder, 'planted', `share-${share}-seed-${seed}`),
  };
}

const keptSchema = z.looseObject({
  features: z.looseObject({}).nullable(),
  tested: z.partialRecord(z.enum(PARTS), testedSchema).default({}),
  verdict: z.array(z.strictObject({ part: z.enum(PARTS), shown: z.boolean(), words: z.string() })),
});

/** What earlier tests of a study found in the parts that are not tested now; figures as they stand, since nothing here reads them. */
export async function readKept(dir: string, testedNow: readonly Part[]): Promise<Pick<Faithfulness, 'features' | 'tested' | 'verdict'>> {
  const known = await readJson(faithfulnessPaths(dir).result, keptSchema, FORMAT_VERSION, 'delete it and test the study again');
  const others = PARTS.filter((part) => known?.[part] !== undefined && !testedNow.includes(part));
  return {
    ...Object.fromEntries(others.map((part) => [part, known![part]])),
    features: (known?.features ?? null) as Faithfulness['features'],
    tested: Object.fromEntries(others.map((part) => [part, known!.tested[part]])),
    verdict: known?.verdict.filter(({ part }) => others.includes(part)) ?? [],
  };
}

const evidenceSchema = z.object({ faults: z.union([plantedSchema, z.object({ skipped: z.string() })]).optional() });

/**
 * What a study's tests found on planted faults; undefined where they were not looked for.
 * @param required whether that is an error
 * @throws ERR_TRACIN_STUDY for a damaged file, or none where it is required
 */
export async function readEvidence(dir: string, required = false): Promise<PlantedResult | undefined> {
  check('readEvidence', { dir, required }, { dir: anyPath, required: flag });
  const { result } = faithfulnessPaths(dir);
  const faults = (await readJson(result, evidenceSchema, FORMAT_VERSION, 'test the study again'))?.faults;
  if (faults && !('skipped' in faults)) return faults;
  if (!required) return undefined;
  throw new TracinError(
    'ERR_TRACIN_STUDY',
    `${result} says nothing of planted faults: run faithfulness --only faults on a study that has some`,
  );
}
