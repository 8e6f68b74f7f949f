/** What the study of faithfulness is made of: patients, faults, networks and trainings. */
import { join } from 'node:path';
import type { PhantomOptions } from '../../lib/dataset/phantom';
import type { SliceChoice } from '../../lib/dataset/slice-choice';
import type { Budget } from '../../lib/faithfulness/run';
import type { DefinitionOptions } from '../../lib/influence/definition';
import { NETWORKS, type NetworkName } from '../../models/registry';

export const SIZE = 48;
/** The middle one of a patient's slices trains; three are asked about. */
export const TRAIN_SLICES: SliceChoice = { tumour: 40, spread: 1 };
export const TEST_SLICES: SliceChoice = { tumour: 40, spread: 3 };
/** Of the patients that do not train; the others are asked about. */
export const HELD_OUT = 12;

const PATIENTS = { cases: 72, size: SIZE, seed: 16, planted: 0.2 } as const;
/** The same patients twice, the same of them with faulty labels. A pixel is 4 mm. */
export const FAULTY = {
  coarse: { ...PATIENTS, faultPixels: [2, 3] },
  'one-pixel': { ...PATIENTS, faults: ['erode', 'dilate', 'shift'], faultPixels: [1, 1] },
} as const satisfies Record<string, PhantomOptions>;
export type Faults = keyof typeof FAULTY;

/** Epochs of a network that has not memorised its training set, and of one that has: nothing else differs. */
export const EPOCHS = { short: 12, long: 72 } as const;
export type Length = keyof typeof EPOCHS;

export const NETWORK = { width: 16, levels: 3 } as const;
export const TRAINING = {
  batch: 4,
  augmentation: { flips: false, shift: 0 },
} as const;
/** Plain SGD with momentum, as influence supposes; the residual network diverges at the rate of the others. */
export const LEARNING_RATES: Readonly<Record<NetworkName, number>> = { unet: 0.05, deepseg: 0.05, resunet: 0.01, 'attention-unet': 0.05 };

/** What the audit scores are computed with: the default, and two others. Everything else is tested with the default alone. */
export const DEFINITIONS = {
  'Dice, predicted': {},
  'Dice, slice': { region: 'slice' },
  'cross-entropy, truth': { loss: 'cross-entropy', region: 'truth' },
} as const satisfies Record<string, DefinitionOptions>;
export type DefinitionName = keyof typeof DEFINITIONS;
export const DEFAULT = 'Dice, predicted' satisfies DefinitionName;
/** What the published code computes: Dice over the slice, the last convolution's kernel alone, every checkpoint counting alike. */
export const PAPER: DefinitionOptions = { preset: 'paper-code' };

/** Checkpoints of a run, evenly spaced. */
export const CHECKPOINTS = 4;

export const SEEDS = [1, 2, 3] as const;
export const BUDGET: Budget = { resamples: 200, draws: 100, together: 20, subjects: 6, removals: 4, subsets: 16, seeds: 1 };
export const TOP = 10;

/** A network of one training seed. */
export interface UnitName {
  readonly network: NetworkName;
  readonly seed: number;
}

export const UNITS: readonly UnitName[] = SEEDS.flatMap((seed) => NETWORKS.map((network) => ({ network, seed })));

export function unitPaths(work: string, { network, seed }: UnitName) {
  const dir = join(work, `${network}-${seed}`);
  return {
    result: join(dir, 'unit.json'),
    paper: join(dir, 'paper.json'),
    paperStudy: join(dir, 'coarse-short', 'paper-code'),
    run: (faults: Faults, length: Length) => join(dir, `${faults}-${length}`, 'run'),
    study: (faults: Faults, length: Length, definition: DefinitionName = DEFAULT) =>
      join(dir, `${faults}-${length}`, definition.replaceAll(/\W+/g, '-')),
  };
}

export function patientsPath(work: string, faults: Faults): string {
  return join(work, `patients-${faults}`);
}
