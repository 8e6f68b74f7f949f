/** bf16 on the cpu engine: the same gradients to the digits that rounded operands leave, or refused with the reason. */
import { openEngine } from '../../lib/engine';
import type { Engine, RegionNorms } from '../../lib/engine/engine';
import { buildNetwork } from '../../models/registry';
import { regionBatch } from '../support/batches';
import { cpu } from '../support/engines';
import { relativeError } from '../support/numbers';

const SIZE = [48, 64];
const SLICES = 2;
const dice = { kind: 'dice', reduction: 'mean' } as const;
const graph = buildNetwork({ network: 'deepseg', width: 16, levels: 3, seed: 3 });
const batch = regionBatch({ slices: SLICES, size: SIZE, modalities: 4 });

const openRounding = (): Promise<Engine | Error> =>
  openEngine('cpu', { precision: 'bf16', threads: 2 }).then(
    ({ engine }) => engine,
    (error: Error) => error,
  );

/** By a program of the engine, the last of them told to compute in float32 before. */
async function gradientsOf(engine: Engine, ...inFloat32: boolean[]): Promise<(RegionNorms & { gradients: Float32Array })[]> {
  const program = await engine.compile(graph, { size: SIZE });
  const all = [];
  for (const told of inFloat32) {
    if (told) expect(await program.useFloat32()).toBe(true);
    const { gradients, norms, losses } = await program.gradients(batch, dice);
    all.push({ gradients: Float32Array.from(gradients), norms, losses });
  }
  program.dispose();
  return all;
}

(cpu ? describe : describe.skip)('cpu in bf16', () => {
  it('gives nearly the gradients of f32, and the very same once it is told to use float32, or says why not', async () => {
    const rounding = await openRounding();
    if (rounding instanceof Error) {
      expect(rounding.message).toMatch(/AMX.*use f32$/);
      return;
    }
    const [expected] = await gradientsOf(cpu!, false);
    const [found, told] = await gradientsOf(rounding, false, true);
    const error = relativeError(found!.gradients, expected!.gradients);
    expect(error).toBeGreaterThan(0);
    expect(error).toBeLessThan(0.05);
    expect(relativeError(found!.norms, expected!.norms)).toBeLessThan(0.05);
    expect(told).toEqual(expected);
  });
});
