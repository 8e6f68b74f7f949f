/** bf16 on the cpu engine: the same gradients to the digits that rounded operands leave, or refused with the reason. */
import { openEngine } from '../../lib/engine';
import { buildNetwork } from '../../models/registry';
import { regionBatch } from '../support/batches';
import { describeNative } from '../support/engines';
import { relativeError } from '../support/numbers';

const SIZE = [48, 64];
const SLICES = 2;
const dice = { kind: 'dice', reduction: 'mean' } as const;

describeNative('cpu in bf16', (exact) => {
  it('gives nearly the gradients of f32, or says why not', async () => {
    const rounding = await openEngine('cpu', { precision: 'bf16', threads: 2 }).catch((error: Error) => error);
    if (rounding instanceof Error) {
      expect(rounding.message).toMatch(/AMX.*use f32$/);
      return;
    }
    const graph = buildNetwork({ network: 'deepseg', width: 16, levels: 3, seed: 3 });
    const batch = regionBatch({ slices: SLICES, size: SIZE, modalities: 4 });
    const [expected, found] = await Promise.all(
      [exact, rounding.engine].map(async (engine) => {
        const program = await engine.compile(graph, { size: SIZE });
        const result = await program.gradients(batch, dice);
        program.dispose();
        return result;
      }),
    );
    const error = relativeError(found!.gradients, expected!.gradients);
    expect(error).toBeGreaterThan(0);
    expect(error).toBeLessThan(0.05);
    expect(relativeError(found!.norms, expected!.norms)).toBeLessThan(0.05);
  });
});
