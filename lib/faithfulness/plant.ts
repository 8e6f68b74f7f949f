/** Label errors planted into a run's own training data: what finds them there says what can be trusted to find real ones. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { CLASSES } from '../dataset/brats';
import { corrupt, FAULTS, type Fault } from '../dataset/phantom/faults';
import type { SliceSource } from '../dataset/slices';
import type { Engine } from '../engine/engine';
import { sizeOf } from '../engine/layout';
import { TracinError } from '../errors';
import type { Definition } from '../influence/definition';
import { computeInfluence } from '../influence/run';
import type { Study } from '../influence/study';
import type { OnProgress } from '../progress';
import { generatorAt, shuffledOrder } from '../random';
import type { Run } from '../training/run';
import { train } from '../training/train';
import { startOf } from './retrainer';

/** What is wrong with a patient's labels; `amount` in pixels, all of it for a swap. */
export interface PatientFault {
  readonly fault: Fault;
  readonly amount: number;
}

const PLANT = 77;

/** Faults for a share of the patients, at least one, of every kind in turn and one or two pixels wide. */
export function drawFaults(patients: readonly string[], share: number, seed: number): Map<string, PatientFault> {
  const random = generatorAt(seed, PLANT);
  const order = shuffledOrder(patients.length, random);
  const faulty = order.slice(0, Math.max(1, Math.round(share * patients.length)));
  return new Map(
    faulty.map((p, i) => {
      const fault = FAULTS[i % FAULTS.length]!;
      return [patients[p]!, { fault, amount: fault === 'swap' ? 1 : uniformInt(random, 1, 2) }];
    }),
  );
}

/**
 * The same slices with the labels of some patients corrupted.
 * @throws ERR_TRACIN_DATA for classes other than BraTS's: what eroding or swapping means is known for those alone
 */
export function withFaults(source: SliceSource, faults: ReadonlyMap<string, PatientFault>): SliceSource {
  const { classes, modalities, size, slices, labelled } = source;
  if (classes.join() !== CLASSES.join() || size.length !== 2) {
    throw new TracinError(
      'ERR_TRACIN_DATA',
      `faults can be planted into labels ${CLASSES.join(', ')}, not ${classes.join(', ')}: use a phantom`,
    );
  }
  const [height, width] = size as [number, number];
  return {
    classes,
    modalities,
    size,
    slices,
    labelled,
    async read(positions, options) {
      const batch = await source.read(positions, options);
      const labels = batch.labels?.slice();
      const pixels = sizeOf(size);
      for (const [i, position] of positions.entries()) {
        const fault = faults.get(slices[position]!.patient);
        if (!fault || !labels) continue;
        const slice = labels.subarray(i * pixels, (i + 1) * pixels);
        labels.set(corrupt(slice, [width, height, 1], fault.fault, fault.amount), i * pixels);
      }
      return { images: batch.images, labels };
    },
    async fingerprint() {
      const own = await source.fingerprint();
      return createHash('sha256').update(JSON.stringify([own, ...faults])).digest('hex'); // prettier-ignore
    },
    close: () => source.close(),
  };
}

export interface PlantOptions {
  readonly run: Run;
  readonly engine: Engine;
  /** The run's training slices and the slices to ask about. */
  readonly train: SliceSource;
  readonly test: SliceSource;
  readonly definition: Definition;
  /** Of whose checkpoints influence is computed; of all when absent. */
  readonly epochs: readonly number[] | undefined;
  readonly faults: ReadonlyMap<string, PatientFault>;
  /** Folder for the run and the study of the corrupted data. */
  readonly folder: string;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnProgress | undefined;
}

/** Trains the run on corrupted labels, as it was trained otherwise, and computes its influence; goes on where it was interrupted. */
export async function studyOfFaults({
  run,
  engine,
  train: source,
  test,
  definition,
  epochs,
  faults,
  folder,
  signal,
  onProgress,
}: PlantOptions): Promise<Study> {
  const corrupted = withFaults(source, faults);
  const planted = join(folder, 'run');
  await train({
    ...run.training,
    data: { train: corrupted },
    network: await startOf(run),
    run: planted,
    engine,
    resume: true,
    signal,
    onProgress,
  });
  return computeInfluence({
    train: corrupted,
    test,
    networks: { run: planted, checkpoints: epochs },
    definition,
    out: join(folder, 'study'),
    engine,
    resume: true,
    signal,
    onProgress,
  });
}
