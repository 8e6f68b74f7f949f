/** What is timed: a small network of the zoo on slices of synthetic patients, whose regions are as small as real ones. */
import { join } from 'node:path';
import { openDataset, type Dataset } from '../lib/dataset/dataset';
import { writePhantom } from '../lib/dataset/phantom';
import type { Engine, RegionBatch, RegionLoss } from '../lib/engine/engine';
import { sizeOf } from '../lib/engine/layout';
import type { Graph } from '../lib/graph/graph';
import { writeOnnx } from '../lib/graph/onnx';
import { regionMasks } from '../lib/influence/regions';
import { computeInfluence } from '../lib/influence/run';
import { buildNetwork } from '../models/registry';

const NETWORK = { network: 'attention-unet', width: 8, levels: 4 } as const;
const SIZE = 64;
const BATCH = 4;
const CHECKPOINTS = 2;
const LOSS: RegionLoss = { kind: 'dice', reduction: 'mean' };

export const DESCRIPTION = `${NETWORK.network}, width ${NETWORK.width}, ${NETWORK.levels} levels, 4 modalities, ${SIZE} × ${SIZE} pixels, 3 classes`;

export interface Case {
  readonly name: string;
  /** So long on the reference engine that a single call must do. */
  readonly long?: boolean;
  /** Ready to be called again and again; one program is compiled and warm. */
  prepare(engine: Engine): Promise<{ work: () => Promise<unknown>; close: () => void }>;
}

export interface Cases {
  readonly cases: readonly Case[];
  close(): Promise<void>;
}

/** @param dir an empty folder, for patients, checkpoints and studies */
export async function openCases(dir: string): Promise<Cases> {
  const data = join(dir, 'patients');
  const { cases: patients } = await writePhantom(data, { cases: 4, size: SIZE, seed: 1 });
  const open = (from: number, to: number, spread: number): Promise<Dataset> =>
    openDataset({ dir: data, size: SIZE, slices: { tumour: 20, spread }, cases: patients.slice(from, to).map((one) => one.case) });
  const [test, train] = [await open(0, 1, 2), await open(1, 4, 2)];
  const graph = buildNetwork({ ...NETWORK, seed: 1 });
  const checkpoints = Array.from({ length: CHECKPOINTS }, (_, t) => join(dir, `checkpoint-${t}.onnx`));
  for (const [t, file] of checkpoints.entries()) await writeOnnx(file, buildNetwork({ ...NETWORK, seed: t + 1 }));
  const batch = await batchOf(train, BATCH);

  const large = await largeCase(dir);

  const compiled = async (engine: Engine) => {
    const program = await engine.compile(graph, { size: [SIZE, SIZE] });
    await program.load(graph);
    return program;
  };
  let studies = 0;
  const cases: Case[] = [
    {
      name: `forward, ${BATCH} slices`,
      async prepare(engine) {
        const program = await compiled(engine);
        return { work: () => program.forward(batch.images), close: () => program.dispose() };
      },
    },
    {
      name: `gradients of each class, ${BATCH} slices`,
      async prepare(engine) {
        const program = await compiled(engine);
        return { work: () => program.gradients(batch, LOSS), close: () => program.dispose() };
      },
    },
    {
      name: `contraction with ${BATCH} resident slices, ${BATCH} slices`,
      async prepare(engine) {
        const program = await compiled(engine);
        const block = await program.resident(BATCH);
        await block.append(batch, LOSS);
        return { work: () => program.contract(block, batch, LOSS), close: () => program.dispose() };
      },
    },
    {
      name: `gradients of each class, one slice, ${large.name}`,
      long: true,
      async prepare(engine) {
        const program = await engine.compile(large.graph, { size: [large.size, large.size] });
        return { work: () => program.contract(undefined, large.batch, LOSS), close: () => program.dispose() };
      },
    },
    {
      name: `influence run, ${test.slices.length} test × ${train.slices.length} training slices, ${CHECKPOINTS} checkpoints`,
      async prepare(engine) {
        const networks = { checkpoints, learningRates: checkpoints.map(() => 0.01) };
        // Regions from the labels: no prediction, which both engines leave to onnxruntime.
        const work = () =>
          computeInfluence({ train, test, networks, definition: { region: 'truth' }, out: join(dir, `study-${studies++}`), engine });
        return { work, close: () => undefined };
      },
    },
  ];
  return { cases, close: async () => void (await Promise.all([test.close(), train.close()])) };
}

/** One slice for a network as wide as those people use, where arithmetic outweighs what every call costs. */
async function largeCase(dir: string): Promise<{ name: string; graph: Graph; size: number; batch: RegionBatch }> {
  const size = 96;
  const folder = join(dir, 'large');
  await writePhantom(folder, { cases: 1, size, seed: 1 });
  const source = await openDataset({ dir: folder, size, slices: { tumour: 100, spread: 1 } });
  const batch = await batchOf(source, 1);
  await source.close();
  const graph = buildNetwork({ network: 'unet', width: 32, levels: 4, seed: 1 });
  return { name: `unet of width 32 and 4 levels at ${size} × ${size}`, graph, size, batch };
}

async function batchOf(source: Dataset, count: number): Promise<RegionBatch> {
  const { images, labels } = await source.read(Array.from({ length: count }, (_, i) => i));
  const pixels = sizeOf(source.size);
  const classes = source.classes.length;
  const masks = new Uint8Array(count * classes * pixels);
  for (let i = 0; i < count; i++) {
    const truth = labels!.subarray(i * pixels, (i + 1) * pixels);
    masks.set(regionMasks('truth', { truth, predicted: undefined }, classes, pixels), i * classes * pixels);
  }
  return { images, targets: labels!, masks };
}
