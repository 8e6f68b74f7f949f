/** What the demo does: small enough for minutes on two cores, large enough to learn every class. */
import type { SliceChoice } from '../dataset/slice-choice';
import type { TrainOptions } from '../training/options';
import type { NetworkName } from '../../models/registry';

export interface DemoNetwork {
  readonly network: NetworkName;
  readonly width: number;
  readonly levels: number;
  readonly epochs: number;
  readonly learningRate: number;
}

export interface Recipe {
  readonly cases: number;
  /** Pixels along the sides of a slice. */
  readonly size: number;
  readonly seed: number;
  /** Slices to train on and to ask about. */
  readonly trainSlices: SliceChoice;
  readonly testSlices: SliceChoice;
  readonly networks: readonly DemoNetwork[];
  /** Epochs between checkpoints. */
  readonly checkpointEvery: number;
}

/** Seed 16 deals every kind of tumour to the training patients and tumours with all three classes to the unseen ones. */
export const RECIPE: Recipe = {
  cases: 24,
  size: 96,
  seed: 16,
  trainSlices: { tumour: 20, spread: 10 },
  testSlices: { tumour: 20, spread: 6 },
  networks: [
    { network: 'attention-unet', width: 12, levels: 3, epochs: 12, learningRate: 0.1 },
    { network: 'resunet', width: 12, levels: 3, epochs: 12, learningRate: 0.01 },
  ],
  checkpointEvery: 4,
};

/** Plain SGD with momentum: influence as a sum over checkpoints supposes steps along gradients. */
export function trainingOf({ epochs, learningRate }: DemoNetwork, { seed, checkpointEvery }: Recipe) {
  return { epochs, batch: 4, checkpointEvery, seed, optimiser: { kind: 'sgd', learningRate } } satisfies Partial<TrainOptions>;
}
