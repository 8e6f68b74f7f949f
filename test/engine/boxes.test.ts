/** Support boxes are exact: the gradients inside them are those of the dense backward pass, whatever the network and the region. */
import fc from 'fast-check';
import type { Program, RegionLoss } from '../../lib/engine/engine';
import { openNativeEngine } from '../../lib/engine/native';
import { trainingBatch } from '../support/batches';
import { referenceCore } from '../support/core';
import { describeNative } from '../support/engines';
import { relativeError } from '../support/numbers';
import { networks, regions } from '../support/random-networks';

const SIZE = [24, 32] as const;
const CLASSES = 3;
/** Larger than any slice: every box is the whole map. */
const DENSE = 1 << 16;
const LOSS: RegionLoss = { kind: 'cross-entropy', reduction: 'sum' };
const images = trainingBatch({ slices: 1, size: SIZE });

/** Every choice a program has is for this kernel. */
async function insist(program: Program, kernel: string): Promise<void> {
  const rule = await program.chooseKernels({}, false);
  const table = Object.fromEntries(Object.entries(rule).map(([what, kernels]) => [what, kernels.replace(/\S+/g, kernel)]));
  expect(await program.chooseKernels(table, false)).toEqual(table);
}

describeNative('inside support boxes', (engine) => {
  it.each(['winograd', 'direct'])(
    'has the gradients of the dense backward pass, its own and the reference engine’s (%s)',
    async (kernel) => {
      const dense = openNativeEngine(engine.name as 'cpu' | 'cuda', { threads: 2, quantum: DENSE });
      const masks = fc.array(regions(SIZE), { minLength: CLASSES, maxLength: CLASSES });
      await fc.assert(
        fc.asyncProperty(networks(), masks, async ({ made: graph }, masks) => {
          const batch = { ...images, masks: Uint8Array.from(masks.flatMap(({ made }) => [...made])) };
          const [inside, whole] = await Promise.all(
            [engine, dense].map(async (one) => {
              const program = await one.compile(graph, { size: SIZE });
              try {
                if (one === engine) await insist(program, kernel);
                return await program.gradients(batch, LOSS);
              } finally {
                program.dispose();
              }
            }),
          );
          const exact = referenceCore(graph, SIZE).program.gradients(batch, LOSS);
          const count = exact.gradients.length / CLASSES;
          for (let region = 0; region < CLASSES; region++) {
            const [here, there, right] = [inside!, whole!, exact].map(({ gradients }) =>
              gradients.slice(region * count, (region + 1) * count),
            );
            expect(relativeError(here!, there!)).toBeLessThan(1e-5);
            expect(relativeError(here!, right!)).toBeLessThan(1e-4);
          }
          expect(relativeError(inside!.norms, whole!.norms)).toBeLessThan(1e-5);
          expect(relativeError(inside!.losses, whole!.losses)).toBeLessThan(1e-5);
        }),
        { numRuns: 30, seed: 1 },
      );
    },
  );
});
