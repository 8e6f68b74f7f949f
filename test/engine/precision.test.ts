/** bf16 on the cpu engine: the same gradients to the digits that rounded operands leave, or refused with the reason. */
import { openEngine } from '../../lib/engine';
import type { Engine, RegionBatch, RegionNorms } from '../../lib/engine/engine';
import { buildNetwork } from '../../models/registry';
import { patchBatch, regionBatch } from '../support/batches';
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

async function gradients(engine: Engine, of: RegionBatch): Promise<Float32Array> {
  const program = await engine.compile(graph, { size: SIZE });
  const found = Float32Array.from((await program.gradients(of, dice)).gradients);
  program.dispose();
  return found;
}

function sliceOf({ images, targets, masks }: RegionBatch, slice: number): RegionBatch {
  const part = <T extends Float32Array | Uint8Array>(all: T, slices: number) =>
    all.slice((slice * all.length) / slices, ((slice + 1) * all.length) / slices) as T;
  return { images: part(images, 3), targets: part(targets, 3), masks: part(masks, 3) };
}

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
      expect(rounding.message).toMatch(/bfloat16.*use f32$/);
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

  it('goes forward in float32', async () => {
    const rounding = await openRounding();
    if (rounding instanceof Error) return;
    const logits = await Promise.all(
      [cpu!, rounding].map(async (engine) => {
        const program = await engine.compile(graph, { size: SIZE });
        const found = Float32Array.from((await program.forward(batch.images)).logits);
        program.dispose();
        return found;
      }),
    );
    expect(logits[1]).toEqual(logits[0]);
  });

  // boxes of any width and odd numbers of tiles; a last digit that differs may round another way, and so do all numbers after it
  it.each([1, 2, 3, 4, 5])('gives islands the gradients of f32, in a batch and alone, and the same bytes again (%i)', async (seed) => {
    const rounding = await openRounding();
    if (rounding instanceof Error) return;
    const all = patchBatch({ slices: 3, size: SIZE, modalities: 4 }, seed);
    const [exact, together, again] = [await gradients(cpu!, all), await gradients(rounding, all), await gradients(rounding, all)];
    expect(relativeError(together, exact)).toBeLessThan(0.1);
    expect(Buffer.from(again.buffer).equals(Buffer.from(together.buffer))).toBe(true); // jest takes minutes to tell so many numbers apart
    for (const slice of [0, 1, 2]) {
      const part = (exact.length / 3) * slice;
      expect(relativeError(await gradients(rounding, sliceOf(all, slice)), exact.subarray(part, part + exact.length / 3))).toBeLessThan(
        0.1,
      );
    }
  });
});
