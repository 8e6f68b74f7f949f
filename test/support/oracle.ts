/** Influence by autograd in float64 on a network exported by PyTorch, stored beside the data it was made from. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Engine, Floats, Program, RegionBatch, RegionLoss } from '../../lib/engine/engine';
import { readOnnx } from '../../lib/graph/onnx';
import { selectParameters } from '../../lib/graph/parameters';
import { lower } from '../../lib/graph/lower';
import { readNpy } from '../../lib/npy';

export const oracleFolder = process.env.TRACIN_ORACLE_DIR ?? resolve(__dirname, '../../../shared/oracle');
const plain = join(oracleFolder, 'plain');
export const hasOracle = existsSync(plain);
if (!hasOracle) console.warn(`oracle not found in ${oracleFolder}: set TRACIN_ORACLE_DIR`);

export interface Definition {
  readonly loss: 'dice' | 'cross-entropy';
  readonly region: 'predicted' | 'truth' | 'slice';
  readonly parameters: 'all' | 'head';
}

const LOSS_AND_REGION = [
  ['dice', 'predicted'],
  ['dice', 'slice'],
  ['cross-entropy', 'predicted'],
  ['cross-entropy', 'truth'],
] as const;
export const DEFINITIONS: readonly Definition[] = LOSS_AND_REGION.flatMap(([loss, region]) =>
  (['all', 'head'] as const).map((parameters) => ({ loss, region, parameters })),
);

const K = 3;
const CHECKPOINTS = [0, 1, 2].map((t) => join(plain, `checkpoint-${t}.onnx`));

async function slices(role: 'train' | 'test'): Promise<{ images: Float32Array; targets: Uint8Array; count: number; size: number[] }> {
  const images = await readNpy(join(plain, `${role}_images.npy`));
  const labels = await readNpy(join(plain, `${role}_labels.npy`));
  return { images: images.data as Float32Array, targets: labels.data as Uint8Array, count: images.shape[0]!, size: images.shape.slice(2) };
}

/** Masks [B, K, H, W] of a definition; predictions are those of the program as it is loaded. */
async function withMasks(
  { images, targets, count }: Awaited<ReturnType<typeof slices>>,
  region: Definition['region'],
  program: Program,
): Promise<RegionBatch> {
  const pixels = targets.length / count;
  let labels: Uint8Array = targets;
  if (region === 'predicted') {
    const { logits } = await program.forward(images);
    labels = targets.map((_, i) => {
      const at = (c: number): number => logits[(Math.floor(i / pixels) * (K + 1) + c) * pixels + (i % pixels)]!;
      return [1, 2, 3].reduce((best, c) => (at(c) > at(best) ? c : best), 0);
    });
  }
  const masks = Uint8Array.from({ length: count * K * pixels }, (_, i) => {
    const [n, k, pixel] = [Math.floor(i / (K * pixels)), Math.floor(i / pixels) % K, i % pixels];
    return region === 'slice' || labels[n * pixels + pixel] === k + 1 ? 1 : 0;
  });
  return { images, targets, masks };
}

/** T [tests, K, trainings, K] by an engine, and as stored. */
export async function influence(engine: Engine, definition: Definition): Promise<{ found: Float64Array; expected: Floats }> {
  const { learningRates } = JSON.parse(await readFile(join(plain, 'study.json'), 'utf8')) as { learningRates: number[] };
  const [tests, trainings] = [await slices('test'), await slices('train')];
  const graphs = await Promise.all(CHECKPOINTS.map(readOnnx));
  const last = graphs.at(-1)!;
  const parameters = selectParameters(lower(last, tests.size), definition.parameters);
  const program = await engine.compile(last, { size: tests.size, parameters });
  const [queries, batch] = [await withMasks(tests, definition.region, program), await withMasks(trainings, definition.region, program)];
  const loss: RegionLoss = { kind: definition.loss, reduction: 'mean' };
  const found = new Float64Array(tests.count * K * trainings.count * K);
  const block = await program.resident(tests.count);
  for (const [t, graph] of graphs.entries()) {
    await program.load(graph);
    block.clear();
    await block.append(queries, loss);
    const { products } = await program.contract(block, batch, loss);
    for (let i = 0; i < found.length; i++) found[i]! += learningRates[t]! * products[i]!;
  }
  program.dispose();
  const file = `expected_${definition.loss}_${definition.region}_${definition.parameters}.npy`;
  return { found, expected: (await readNpy(join(plain, file))).data as Float64Array };
}
