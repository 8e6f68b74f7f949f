/** Influences by autograd in float64 on a small U-Net exported by PyTorch, stored beside what they were made from. */
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { openArrays } from '../../lib/dataset/arrays';
import type { Engine } from '../../lib/engine/engine';
import { readOnnx } from '../../lib/graph/onnx';
import { computeInfluence } from '../../lib/influence/run';
import { readNpy } from '../../lib/npy';
import { relativeError, type Numbers } from './numbers';
import { readSlices, tracin, type Definition } from './tracin';

const folder = join(process.env.TRACIN_ORACLE_DIR ?? resolve(__dirname, '../../../shared/oracle'), 'plain');

export const oracleFile = (name: string): string => join(folder, name);
export const CHECKPOINTS = [0, 1, 2].map((t) => oracleFile(`checkpoint-${t}.onnx`));
export const arraysOf = (role: 'train' | 'test') => ({
  images: oracleFile(`${role}_images.npy`),
  labels: oracleFile(`${role}_labels.npy`),
});

/** `describe`, skipped by name where there is no oracle. */
export function describeOracle(name: string, body: () => void): void {
  if (existsSync(folder)) describe(name, body);
  else describe.skip(`${name} (there is no ${folder}: set TRACIN_ORACLE_DIR)`, body);
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

export async function learningRates(): Promise<number[]> {
  return (JSON.parse(await readFile(oracleFile('study.json'), 'utf8')) as { learningRates: number[] }).learningRates;
}

/** The largest difference of T [tests, K, trainings, K] from the stored one, as a share of its largest number. */
export async function oracleError(found: Numbers, { loss, region, parameters }: Definition): Promise<number> {
  const { data } = await readNpy(oracleFile(`expected_${loss}_${region}_${parameters}.npy`));
  return relativeError(found, data as Float64Array);
}

/** T by an engine's own operations. */
export async function influenceByEngine(engine: Engine, definition: Definition): Promise<Float64Array> {
  const [tests, trainings] = await Promise.all((['test', 'train'] as const).map(arraysOf).map((a) => readSlices(a.images, a.labels)));
  const checkpoints = await Promise.all(CHECKPOINTS.map(readOnnx));
  return tracin(engine, { checkpoints, learningRates: await learningRates(), tests: tests!, trainings: trainings!, definition });
}

/** T by an influence run. */
export async function influenceByRun(engine: Engine, definition: Definition): Promise<Float32Array> {
  const out = await mkdtemp(join(tmpdir(), 'tracin-oracle-'));
  const [test, train] = [await openArrays(arraysOf('test')), await openArrays(arraysOf('train'))];
  try {
    const networks = { checkpoints: CHECKPOINTS, learningRates: await learningRates() };
    await computeInfluence({ train, test, networks, definition, engine, out });
    return (await readNpy(join(out, 'scores.npy'))).data as Float32Array;
  } finally {
    await Promise.all([test.close(), train.close(), rm(out, { recursive: true, force: true })]);
  }
}
