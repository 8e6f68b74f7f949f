/**
 * Losses with their derivatives with respect to the logits. The losses of regions and of training are the same two sums:
 * the overlap of a class over a mask, and the weighted cross-entropy.
 */
import type { RegionLoss, TrainingLoss } from '../engine';
import { sizeOf } from '../layout';
import { softmaxBackward } from './operators/softmax';
import { zeros, type Tensor } from './tensor';

/** Keeps Dice defined where neither the labels nor the network hold the class. */
const DICE_EPSILON = 1e-7;

/** Softmax over the channels of logits [n, C, …] and its logarithm (exact where the softmax underflows). */
export interface Probabilities {
  readonly p: Tensor;
  readonly logP: Tensor;
}

export function probabilities(logits: Tensor): Probabilities {
  const [batch = 0, channels = 0] = logits.dims;
  const pixels = pixelsOf(logits);
  const p = zeros(logits.dims);
  const logP = zeros(logits.dims);
  for (let n = 0; n < batch; n++) {
    for (let i = 0; i < pixels; i++) {
      const first = n * channels * pixels + i;
      const end = first + channels * pixels;
      let largest = -Infinity;
      for (let k = first; k < end; k += pixels) largest = Math.max(largest, logits.data[k]!);
      let sum = 0;
      for (let k = first; k < end; k += pixels) sum += Math.exp(logits.data[k]! - largest);
      const logSum = largest + Math.log(sum);
      for (let k = first; k < end; k += pixels) p.data[k] = Math.exp((logP.data[k] = logits.data[k]! - logSum));
    }
  }
  return { p, logP };
}

function pixelsOf({ dims }: Tensor): number {
  return sizeOf(dims.slice(2));
}

/**
 * 2 Σ_m y p / (Σ_m (y² + p²) + 1e-7) of one class, y its one-hot labels.
 * @param targets [n, …]
 * @param mask [n, …], or undefined for every pixel
 * @param toP gets `weight` times the derivative with respect to p added
 */
function overlap(p: Tensor, targets: Uint8Array, mask: Uint8Array | undefined, label: number, weight: number, toP: Tensor): number {
  const channels = p.dims[1]!;
  const pixels = pixelsOf(p);
  const inside = (i: number): boolean => !mask || mask[i] === 1;
  const index = (i: number): number => (Math.floor(i / pixels) * channels + label) * pixels + (i % pixels);
  let both = 0;
  let squares = DICE_EPSILON;
  for (let i = 0; i < targets.length; i++) {
    if (!inside(i)) continue;
    const y = targets[i] === label ? 1 : 0;
    const q = p.data[index(i)]!;
    both += y * q;
    squares += y * y + q * q;
  }
  for (let i = 0; i < targets.length; i++) {
    if (!inside(i)) continue;
    const y = targets[i] === label ? 1 : 0;
    const at = index(i);
    toP.data[at]! += (weight * 2 * (y * squares - both * 2 * p.data[at]!)) / squares ** 2;
  }
  return (2 * both) / squares;
}

/** Σ weight(pixel) (−log p_y); adds its derivative to the logits' cotangent. */
function crossEntropy({ p, logP }: Probabilities, targets: Uint8Array, weight: (pixel: number) => number, toLogits: Tensor): number {
  const channels = p.dims[1]!;
  const pixels = pixelsOf(p);
  let loss = 0;
  for (let i = 0; i < targets.length; i++) {
    const w = weight(i);
    if (w === 0) continue;
    const first = Math.floor(i / pixels) * channels * pixels + (i % pixels);
    const own = first + targets[i]! * pixels;
    loss -= w * logP.data[own]!;
    for (let k = first; k < first + channels * pixels; k += pixels) toLogits.data[k]! += w * p.data[k]!;
    toLogits.data[own]! -= w;
  }
  return loss;
}

/**
 * The loss of one class over its mask; an empty mask has loss 0 and cotangent 0.
 * @param label the class's label, 1..K
 * @param cotangent overwritten by dL/dlogits
 */
export function regionLoss(
  { kind, reduction }: RegionLoss,
  given: Probabilities,
  targets: Uint8Array,
  mask: Uint8Array,
  label: number,
  cotangent: Tensor,
): number {
  cotangent.data.fill(0);
  const count = mask.reduce((sum, m) => sum + m, 0);
  if (count === 0) return 0;
  if (kind === 'cross-entropy') {
    const weight = reduction === 'mean' ? 1 / count : 1;
    return crossEntropy(given, targets, (i) => weight * mask[i]!, cotangent);
  }
  const toP = zeros(given.p.dims);
  const loss = 1 - overlap(given.p, targets, mask, label, -1, toP);
  softmaxBackward(given.p, 1, toP, cotangent);
  return loss;
}

/** The loss of a whole batch, as `TrainingLoss` documents it. @param cotangent overwritten by dL/dlogits */
export function trainingLoss({ kind, classWeights }: TrainingLoss, given: Probabilities, targets: Uint8Array, cotangent: Tensor): number {
  cotangent.data.fill(0);
  let loss = 0;
  if (kind !== 'cross-entropy') {
    const classes = given.p.dims[1]! - 1;
    const toP = zeros(given.p.dims);
    loss += 1;
    for (let label = 1; label <= classes; label++) loss -= overlap(given.p, targets, undefined, label, -1 / classes, toP) / classes;
    softmaxBackward(given.p, 1, toP, cotangent);
  }
  if (kind !== 'dice') {
    const weightOf = (label: number): number => classWeights?.[label] ?? 1;
    const total = targets.reduce((sum, label) => sum + weightOf(label), 0);
    if (total > 0) loss += crossEntropy(given, targets, (i) => weightOf(targets[i]!) / total, cotangent);
  }
  return loss;
}
