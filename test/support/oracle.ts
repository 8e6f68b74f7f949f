/** Influence by autograd in float64 on a network exported by PyTorch, stored beside the data it was made from. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Engine, Floats } from '../../lib/engine/engine';
import { readOnnx } from '../../lib/graph/onnx';
import { readNpy } from '../../lib/npy';
import { readSlices, tracin, type Definition, type Slices } from './tracin';

export const oracleFolder = process.env.TRACIN_ORACLE_DIR ?? resolve(__dirname, '../../../shared/oracle');
const plain = join(oracleFolder, 'plain');
export const hasOracle = existsSync(plain);
if (!hasOracle) console.warn(`oracle not found in ${oracleFolder}: set TRACIN_ORACLE_DIR`);

const LOSS_AND_REGION = [
  ['dice', 'predicted'],
  ['dice', 'slice'],
  ['cross-entropy', 'predicted'],
  ['cross-entropy', 'truth'],
] as const;
export const DEFINITIONS: readonly Definition[] = LOSS_AND_REGION.flatMap(([loss, region]) =>
  (['all', 'head'] as const).map((parameters) => ({ loss, region, parameters })),
);

const CHECKPOINTS = [0, 1, 2].map((t) => join(plain, `checkpoint-${t}.onnx`));

function slices(role: 'train' | 'test'): Promise<Slices> {
  return readSlices(join(plain, `${role}_images.npy`), join(plain, `${role}_labels.npy`));
}

/** T [tests, K, trainings, K] by an engine, and as stored. */
export async function influence(engine: Engine, definition: Definition): Promise<{ found: Float64Array; expected: Floats }> {
  const { learningRates } = JSON.parse(await readFile(join(plain, 'study.json'), 'utf8')) as { learningRates: number[] };
  const [tests, trainings] = [await slices('test'), await slices('train')];
  const checkpoints = await Promise.all(CHECKPOINTS.map(readOnnx));
  const found = await tracin(engine, { checkpoints, learningRates, tests, trainings, definition });
  const file = `expected_${definition.loss}_${definition.region}_${definition.parameters}.npy`;
  return { found, expected: (await readNpy(join(plain, file))).data as Float64Array };
}
