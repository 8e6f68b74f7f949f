/** A finished study, read from its folder as it is asked for. M test and N training slices, K classes, Q checkpoints. */
import { resolve } from 'node:path';
import { existsSync } from 'node:fs';
import { TracinError } from '../errors';
import { anyPath, check, kindOf, list, number, oneOf, whole, type Kind } from '../kinds';
import { openNpy, type NpyData, type NpyType } from '../npy';
import { Once } from '../once';
import type { OnProgress } from '../progress';
import type { Role } from './batches';
import { needsPrediction, type Definition } from './definition';
import {
  damaged,
  readStudyJson,
  regionsSchema,
  studyPaths,
  studySchema,
  type RegionAxis,
  type RegionsFile,
  type StudyFile,
} from './folder';
import type { StudyCheckpoint } from './networks';
import { checkRates, weightedSum } from './weights';

const aRole = oneOf(['test', 'train']);
/** A place in a list. */
const among = (all: readonly unknown[]): Kind<number> => whole(0, all.length - 1);

/**
 * Opened with {@link openStudy}. Arrays are row-major and the caller's own, but for those read once.
 * @throws every method that reads: ERR_TRACIN_STUDY a file that is damaged or gone; ERR_TRACIN_USAGE a slice or checkpoint there is not
 */
export class Study {
  readonly dir: string;
  /** study.json as it stands. */
  readonly record: StudyFile;
  readonly definition: Definition;
  readonly classes: readonly string[];
  /** With absolute files. */
  readonly checkpoints: readonly StudyCheckpoint[];
  /** η_t that {@link scores} are weighted with. */
  readonly learningRates: readonly number[];
  readonly tests: RegionAxis;
  readonly trainings: RegionAxis;
  readonly #regions: RegionsFile;
  readonly #asStored: boolean;
  readonly #read = new Once<Float32Array>();

  /** Use {@link openStudy}, which checks the folder first. */
  constructor(dir: string, record: StudyFile, regions: RegionsFile, learningRates?: readonly number[]) {
    this.dir = dir;
    this.record = record;
    this.definition = record.definition;
    this.classes = record.classes;
    this.checkpoints = record.checkpoints.map((checkpoint) => ({ ...checkpoint, file: resolve(dir, checkpoint.file) }));
    this.learningRates = learningRates ?? this.checkpoints.map(({ learningRate }) => learningRate);
    this.tests = regions.test;
    this.trainings = regions.train;
    this.#regions = regions;
    this.#asStored = learningRates === undefined;
  }

  /** T of one test slice, float32 [K, N, K]: its class i, training slice, its class j. Absent regions are 0. */
  async scores(test: number): Promise<Float32Array> {
    check('scores', { test }, { test: among(this.tests.slices) });
    if (this.#asStored) return (await this.#rows(studyPaths(this.dir).scores, test, 1)) as Float32Array;
    const products = await Promise.all(this.checkpoints.map((_, checkpoint) => this.products(checkpoint, test)));
    return weightedSum(products, this.learningRates);
  }

  /** Plain gradient products of one test slice at one checkpoint, float32 [K, N, K]. */
  async products(checkpoint: number, test: number): Promise<Float32Array> {
    check('products', { checkpoint, test }, { checkpoint: among(this.checkpoints), test: among(this.tests.slices) });
    return (await this.#rows(studyPaths(this.dir).products(checkpoint), test, 1)) as Float32Array;
  }

  /** ‖∇L‖² of every region at every checkpoint (self-influence before η), float32 [Q, slices, K]; read once. */
  async norms(role: Role): Promise<Float32Array> {
    check('norms', { role }, { role: aRole });
    return this.#once(studyPaths(this.dir).norms(role));
  }

  /** Loss of every region at every checkpoint, float32 [Q, slices, K]; read once. Absent regions are 0. */
  async losses(role: Role): Promise<Float32Array> {
    check('losses', { role }, { role: aRole });
    return this.#once(studyPaths(this.dir).losses(role));
  }

  /**
   * Predicted labels [H, W] in 0..K of one slice, from the last checkpoint.
   * @returns undefined when the definition asks for none
   */
  async predicted(role: Role, slice: number): Promise<Uint8Array | undefined> {
    check('predicted', { role }, { role: aRole });
    check('predicted', { slice }, { slice: among((role === 'test' ? this.tests : this.trainings).slices) });
    if (!needsPrediction(this.definition)) return undefined;
    return (await this.#rows(studyPaths(this.dir).predicted(role), slice, 1)) as Uint8Array;
  }

  /** Painted pixels [H, W], 1 inside, of one test slice; undefined when nothing was painted. */
  async painted(slice: number): Promise<Uint8Array | undefined> {
    check('painted', { slice }, { slice: among(this.tests.slices) });
    if (!this.record.regionMask) return undefined;
    return (await this.#rows(studyPaths(this.dir).painted, slice, 1)) as Uint8Array;
  }

  /**
   * The same study under other η_t (0 leaves a checkpoint out), from the stored products.
   * @throws ERR_TRACIN_USAGE unless there is one of at least 0 for each checkpoint, and one above 0
   */
  reweighted(learningRates: readonly number[]): Study {
    check('reweighted', { learningRates }, { learningRates: list(number) });
    checkRates(learningRates, this.checkpoints.length);
    return new Study(this.dir, this.record, this.#regions, learningRates);
  }

  /** All checkpoints of an array. */
  #once(path: string): Promise<Float32Array> {
    return this.#read.get(path, () => this.#rows(path, 0, this.checkpoints.length) as Promise<Float32Array>);
  }

  async #rows(path: string, first: number, count: number): Promise<NpyData> {
    try {
      const file = await openNpy(path);
      try {
        return await file.read(first, first + count);
      } finally {
        await file.close();
      }
    } catch (error) {
      throw asDamage(path, error);
    }
  }
}

/** Of what reads all of a study, which takes its time where it is large. */
export interface WholeStudyOptions {
  readonly signal?: AbortSignal | undefined;
  /** In test slices or regions. */
  readonly onProgress?: OnProgress | undefined;
}

/** A study that was opened. */
export const openedStudy: Kind<Study> = kindOf('a study, as `await openStudy(FOLDER)` opens it', (value) => value instanceof Study);

/**
 * Opens a study folder and checks that every file is there and has the shape the others say.
 * @throws ERR_TRACIN_STUDY for a folder that holds no study, an unfinished one, one of another format version, a missing, cut or
 *   mismatched array, or JSON that is not what it should be
 */
export async function openStudy(dir: string): Promise<Study> {
  check('openStudy', { dir }, { dir: anyPath });
  const root = resolve(dir);
  const paths = studyPaths(root);
  const record = await readStudyJson(paths.study, studySchema);
  if (!record) {
    const what = existsSync(paths.plan)
      ? 'holds an unfinished study: run the same influence command with --resume'
      : 'holds no study (there is no study.json): name a folder that `tracin-seg influence` wrote';
    throw new TracinError('ERR_TRACIN_STUDY', `${root} ${what}`);
  }
  const regions = await readStudyJson(paths.regions, regionsSchema);
  if (!regions) throw damaged(paths.regions, 'is missing');
  checkAxes(paths.regions, regions, record.classes);
  for (const [path, type, shape] of expectedArrays(root, record, regions)) await checkArray(path, type, shape);
  return new Study(root, record, regions);
}

function checkAxes(path: string, regions: RegionsFile, classes: readonly string[]): void {
  for (const role of ['test', 'train'] as const) {
    const { pixels, absent } = regions[role];
    const row = pixels.findIndex((counts) => counts.length !== classes.length);
    if (row >= 0) throw damaged(path, `${role}.pixels.${row}: has ${pixels[row]!.length} numbers for ${classes.length} classes`);
    const empty = pixels.flatMap((counts, i) => counts.flatMap((n, k) => (n === 0 ? [`${i} ${classes[k]}`] : [])));
    if (empty.join() !== absent.map(([i, name]) => `${i} ${name}`).join())
      throw damaged(path, `${role}.absent: contradicts ${role}.pixels`);
  }
}

function expectedArrays(root: string, record: StudyFile, regions: RegionsFile): [path: string, type: NpyType, shape: number[]][] {
  const paths = studyPaths(root);
  const classes = record.classes.length;
  const checkpoints = record.checkpoints.length;
  const shape = [regions.test.slices.length, classes, regions.train.slices.length, classes];
  const arrays: [string, NpyType, number[]][] = [[paths.scores, 'f4', shape]];
  record.checkpoints.forEach((_, t) => arrays.push([paths.products(t), 'f4', shape]));
  for (const role of ['test', 'train'] as const) {
    const slices = regions[role].slices.length;
    for (const path of [paths.norms(role), paths.losses(role)]) arrays.push([path, 'f4', [checkpoints, slices, classes]]);
    if (needsPrediction(record.definition)) arrays.push([paths.predicted(role), 'u1', [slices, ...record.size]]);
  }
  if (record.regionMask) arrays.push([paths.painted, 'u1', [regions.test.slices.length, ...record.size]]);
  return arrays;
}

async function checkArray(path: string, type: NpyType, shape: readonly number[]): Promise<void> {
  try {
    const file = await openNpy(path);
    await file.close();
    if (file.dtype !== type || file.shape.join() !== shape.join()) {
      throw damaged(path, `holds ${file.dtype} [${file.shape.join(', ')}] where the study has ${type} [${shape.join(', ')}]`);
    }
  } catch (error) {
    throw asDamage(path, error);
  }
}

/** A file of a study that cannot be read as an array is a fault of the study, not of the caller's data. */
function asDamage(path: string, error: unknown): unknown {
  if (!(error instanceof TracinError)) return error;
  if ((error.cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') return damaged(path, 'is missing', error);
  if (error.code !== 'ERR_TRACIN_DATA') return error;
  return damaged(path, error.message.slice(error.message.startsWith(`${path}: `) ? path.length + 2 : 0), error);
}
