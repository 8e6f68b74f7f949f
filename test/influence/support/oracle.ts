/** Stored influences of whole networks, by torch autograd in float64. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { openArrays } from '../../../lib/dataset/arrays';
import type { Engine } from '../../../lib/engine/engine';
import type { DefinitionOptions } from '../../../lib/influence/definition';
import { computeInfluence } from '../../../lib/influence/run';
import { readNpy } from '../../../lib/npy';
import { relativeError } from '../../support/numbers';

const folder = join(process.env.TRACIN_ORACLE_DIR ?? resolve(__dirname, '../../../../shared/oracle'), 'plain');
/** `describe`, skipped by name where there is no oracle. */
export function describeOracle(name: string, body: () => void): void {
  if (existsSync(folder)) describe(name, body);
  else describe.skip(`${name} (there is no ${folder}: set TRACIN_ORACLE_DIR)`, body);
}

export const CASES: readonly (DefinitionOptions & { readonly loss: string; readonly region: string; readonly parameters: string })[] = (
  [
    ['dice', 'predicted'],
    ['dice', 'slice'],
    ['cross-entropy', 'predicted'],
    ['cross-entropy', 'truth'],
  ] as const
).flatMap(([loss, region]) => (['all', 'head'] as const).map((parameters) => ({ loss, region, parameters })));

/** The largest difference from the stored T, as a share of the largest T. */
export async function oracleError(definition: (typeof CASES)[number], engine: Engine): Promise<number> {
  const out = await mkdtemp(join(tmpdir(), 'tracin-oracle-'));
  const open = (role: 'test' | 'train') =>
    openArrays({ images: join(folder, `${role}_images.npy`), labels: join(folder, `${role}_labels.npy`) });
  const [test, train] = [await open('test'), await open('train')];
  try {
    const networks = { checkpoints: [0, 1, 2].map((t) => join(folder, `checkpoint-${t}.onnx`)), learningRates: [0.05, 0.02, 0.01] };
    await computeInfluence({ train, test, networks, definition, engine, out });
    const { loss, region, parameters } = definition;
    const expected = await readNpy(join(folder, `expected_${loss}_${region}_${parameters}.npy`));
    const scores = await readNpy(join(out, 'scores.npy'));
    return relativeError(scores.data as Float32Array, expected.data as Float64Array);
  } finally {
    await Promise.all([test.close(), train.close(), rm(out, { recursive: true, force: true })]);
  }
}
