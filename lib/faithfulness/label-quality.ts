/** How well the labels of a slice agree with what the network says of it: the two baselines every audit score has to beat. */
import { setImmediate } from 'node:timers/promises';
import type { SliceSource } from '../dataset/slices';
import type { Floats, Program } from '../engine/engine';
import { sizeOf } from '../engine/layout';
import { readAhead } from '../read-ahead';

/** Temperature of the soft minimum (Lad & Mueller 2023, arXiv 2307.05080). */
const TEMPERATURE = 0.1;

export interface LabelQuality {
  /** Mean of −log p_y over the pixels, [slices]. */
  readonly loss: Float64Array;
  /** 1 − soft minimum over the pixels of p_y, [slices]: 0 where the network agrees with every label, near 1 where one is far off. */
  readonly softMinimum: Float64Array;
}

/** By what the program has loaded. */
export async function labelQuality(
  program: Program,
  source: SliceSource,
  options: { readonly batch: number; readonly signal?: AbortSignal | undefined; readonly onSlices: (slices: number) => void },
): Promise<LabelQuality> {
  const { batch, signal, onSlices } = options;
  const total = source.slices.length;
  const found = { loss: new Float64Array(total), softMinimum: new Float64Array(total) };
  const [pixels, channels] = [sizeOf(source.size), source.classes.length + 1];
  const batches = readAhead(Math.ceil(total / batch), async (item) => {
    const positions = Array.from({ length: Math.min(batch, total - item * batch) }, (_, i) => item * batch + i);
    return { positions, ...(await source.read(positions, { signal })) };
  });
  for await (const { positions, images, labels } of batches) {
    const { logits } = await program.forward(images, { signal });
    for (const [i, position] of positions.entries()) {
      const likelihood = labelLikelihood(logits, i * channels * pixels, channels, labels!.subarray(i * pixels, (i + 1) * pixels));
      await setImmediate();
      found.loss[position] = meanLoss(likelihood);
      found.softMinimum[position] = 1 - softMinimum(likelihood);
      await setImmediate();
    }
    onSlices(positions.length);
  }
  return found;
}

/** p_y of every pixel of one slice, whose logits [C, pixels] begin at `offset`. */
export function labelLikelihood(logits: Floats, offset: number, channels: number, labels: Uint8Array): Float64Array {
  const pixels = labels.length;
  return Float64Array.from(labels, (label, i) => {
    const own = logits[offset + label * pixels + i]!;
    let others = 0;
    for (let c = 0; c < channels; c++) if (c !== label) others += Math.exp(logits[offset + c * pixels + i]! - own);
    return 1 / (1 + others);
  });
}

/** Mean of −log p; a likelihood below the smallest float32 counts as that, so that one pixel cannot make a slice infinite. */
function meanLoss(likelihood: Float64Array): number {
  return likelihood.reduce((sum, p) => sum - Math.log(Math.max(p, 1e-38)), 0) / likelihood.length;
}

/** Σ p w / Σ w with w = exp((1 − p) / τ): close to the minimum, but of all pixels. */
export function softMinimum(likelihood: Float64Array): number {
  let [sum, weights] = [0, 0];
  for (const p of likelihood) {
    const weight = Math.exp((1 - p) / TEMPERATURE);
    sum += p * weight;
    weights += weight;
  }
  return sum / weights;
}
