/** A network of two convolutions and slices of 6 × 5 pixels: small enough to check every number by brute force. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openArrays } from '../../../lib/dataset/arrays';
import type { SliceSource } from '../../../lib/dataset/slices';
import type { Graph } from '../../../lib/graph/graph';
import { writeOnnx } from '../../../lib/graph/onnx';
import type { FileSource } from '../../../lib/influence/networks';
import { writeNpy } from '../../../lib/npy';
import { GraphBuilder } from '../../support/graphs';
import { uniform } from '../../support/numbers';

export const SIZE = [6, 5];
export const MODALITIES = 2;
export const CLASSES = ['NCR', 'ED', 'ET'];
export const LEARNING_RATES = [0.05, 0.02];

const PIXELS = SIZE[0]! * SIZE[1]!;

/** 3×3 convolution to `width` channels, batch normalisation, ReLU, 1×1 head; another seed is another checkpoint. */
export function tinyNetwork(seed: number, width = 3): Graph {
  const builder = new GraphBuilder({ modalities: MODALITIES, seed });
  let x = builder.conv('image', 'body', MODALITIES, width, [3, 3], { pads: [1, 1, 1, 1] });
  x = builder.batchNormalization(x, 'norm', width);
  return builder.build(builder.mix(builder.node('Relu', [x]), 'head', width, 4));
}

export interface Slices {
  /** [n, M, H, W] */
  readonly images: Float32Array;
  /** [n, H, W] */
  readonly labels: Uint8Array;
}

/** Seeded noise; the first slice has no label 3, the last one none at all. */
export function tinySlices(n: number, seed: number): Slices {
  const next = uniform(seed);
  const images = Float32Array.from({ length: n * MODALITIES * PIXELS }, () => 2 * next());
  const labels = Uint8Array.from({ length: n * PIXELS }, () => Math.floor(((next() + 1) / 2) * 4));
  for (let i = 0; i < PIXELS; i++) if (labels[i] === 3) labels[i] = 0;
  labels.fill(0, (n - 1) * PIXELS);
  return { images, labels };
}

export interface Tiny {
  readonly dir: string;
  readonly checkpoints: string[];
  /** The checkpoints with their learning rates. */
  readonly networks: FileSource;
  readonly test: SliceSource;
  readonly train: SliceSource;
  /** The test images without labels. */
  readonly unlabelled: SliceSource;
  readonly slices: { readonly test: Slices; readonly train: Slices };
  close(): Promise<void>;
}

/** Two checkpoints and `tests` + `trainings` slices in a temporary folder. */
export async function openTiny(tests = 3, trainings = 5): Promise<Tiny> {
  const dir = await mkdtemp(join(tmpdir(), 'tracin-influence-'));
  await mkdir(join(dir, 'checkpoints'));
  const checkpoints = LEARNING_RATES.map((_, t) => join(dir, 'checkpoints', `${t}.onnx`));
  for (const [t, file] of checkpoints.entries()) await writeOnnx(file, tinyNetwork(t + 1));
  const slices = { test: tinySlices(tests, 11), train: tinySlices(trainings, 12) };
  const open = async (role: 'test' | 'train', labelled: boolean): Promise<SliceSource> => {
    const { images, labels } = slices[role];
    const n = role === 'test' ? tests : trainings;
    const paths = { images: join(dir, `${role}-images.npy`), labels: join(dir, `${role}-labels.npy`) };
    await writeNpy(paths.images, [n, MODALITIES, ...SIZE], images as Float32Array<ArrayBuffer>);
    await writeNpy(paths.labels, [n, ...SIZE], labels as Uint8Array<ArrayBuffer>);
    return openArrays({ images: paths.images, ...(labelled ? { labels: paths.labels } : {}), classes: CLASSES });
  };
  const sources = { unlabelled: await open('test', false), test: await open('test', true), train: await open('train', true) };
  return {
    dir,
    checkpoints,
    networks: { checkpoints, learningRates: LEARNING_RATES },
    ...sources,
    slices,
    async close() {
      await Promise.all(Object.values(sources).map((source) => source.close()));
      await rm(dir, { recursive: true, force: true });
    },
  };
}
