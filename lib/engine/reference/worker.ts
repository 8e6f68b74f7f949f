/** Serves one ReferenceProgram off the JS thread. */
import type { Lowered } from '../../graph/lowered';
import { serve, type Served } from '../../worker-thread';
import type { Floats, Optimiser, RegionBatch, RegionLoss, TrainingBatch, TrainingLoss } from '../engine';
import type { Layout } from '../layout';
import { ReferenceProgram, type Rows } from './core';

/** Results are handed over, not copied: every array in them was made for this answer. */
function handOver(result: Record<string, Float64Array> | Map<string, Float64Array>): Served {
  const arrays = result instanceof Map ? [...result.values()] : Object.values(result);
  return { result, transfer: arrays.map(({ buffer }) => buffer as ArrayBuffer) };
}

serve((data) => {
  const { lowered, layout } = data as { lowered: Lowered; layout: Layout };
  const program = new ReferenceProgram(lowered, layout);
  const blocks = new Map<number, Rows>();
  let made = 0;
  const poll = (call: { throwIfAborted(): void }) => (): void => call.throwIfAborted();
  return {
    load({ values, source }: { values: Map<string, Floats>; source: string }) {
      program.load(values, source);
      return { result: undefined };
    },
    forward: ({ images, features }: { images: Float32Array; features: boolean }, call) =>
      handOver({ ...program.forward(images, features, poll(call)) }),
    tangent: ({ direction, images }: { direction: Floats; images: Float32Array }, call) =>
      handOver({ ...program.tangent(direction, images, poll(call)) }),
    gradients: ({ batch, loss }: { batch: RegionBatch; loss: RegionLoss }, call) =>
      handOver({ ...program.gradients(batch, loss, poll(call)) }),
    resident({ capacity }: { capacity: number }) {
      blocks.set(++made, program.resident(capacity));
      return { result: made };
    },
    append: ({ block, batch, loss }: { block: number; batch: RegionBatch; loss: RegionLoss }, call) =>
      handOver({ ...program.append(blocks.get(block)!, batch, loss, poll(call)) }),
    contract: ({ block, batch, loss }: { block: number | undefined; batch: RegionBatch; loss: RegionLoss }, call) =>
      handOver({ ...program.contract(block === undefined ? undefined : blocks.get(block), batch, loss, poll(call)) }),
    clear({ block }: { block: number }) {
      blocks.get(block)!.slices = 0;
      return { result: undefined };
    },
    forget({ block }: { block: number }) {
      blocks.delete(block);
      return { result: undefined };
    },
    step: ({ batch, loss, optimiser }: { batch: TrainingBatch; loss: TrainingLoss; optimiser: Optimiser }, call) => ({
      result: program.step(batch, loss, optimiser, poll(call)),
    }),
    snapshot: () => handOver(program.snapshot()),
    optimiserState: () => handOver(program.optimiserState()),
    restoreOptimiserState({ state }: { state: Map<string, Floats> }) {
      program.restoreOptimiserState(state);
      return { result: undefined };
    },
  };
});
