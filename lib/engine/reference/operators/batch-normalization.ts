import { sizeOf } from '../../layout';
import type { Tensor } from '../tensor';
import type { AttributesOf, Inputs, Operator, Statistics } from './operator';

interface Moments {
  readonly mean: Float64Array;
  readonly variance: Float64Array;
}

/** Mean and population variance of each channel over batch and pixels. */
export function batchMoments(x: Tensor): Moments {
  const [batch = 0, channels = 0, ...size] = x.dims;
  const count = batch * sizeOf(size);
  const mean = new Float64Array(channels);
  const variance = new Float64Array(channels);
  eachPixel(x, (i, c) => (mean[c]! += x.data[i]! / count));
  eachPixel(x, (i, c) => (variance[c]! += (x.data[i]! - mean[c]!) ** 2 / count));
  return { mean, variance };
}

/** ONNX, training_mode 1: running ← momentum · running + (1 − momentum) · batch, with the population variance. */
export function updateRunning(x: Tensor, mean: Tensor, variance: Tensor, momentum: number): void {
  const batch = batchMoments(x);
  for (let c = 0; c < mean.data.length; c++) {
    mean.data[c] = momentum * mean.data[c]! + (1 - momentum) * batch.mean[c]!;
    variance.data[c] = momentum * variance.data[c]! + (1 - momentum) * batch.variance[c]!;
  }
}

function eachPixel(x: Tensor, visit: (index: number, channel: number) => void): void {
  const [, channels = 0, ...size] = x.dims;
  const pixels = sizeOf(size);
  for (let map = 0; map * pixels < x.data.length; map++) {
    for (let i = map * pixels; i < (map + 1) * pixels; i++) visit(i, map % channels);
  }
}

function momentsFor([x, , , mean, variance]: Inputs, statistics: Statistics): Moments {
  return statistics === 'batch' ? batchMoments(x!) : { mean: mean!.data, variance: variance!.data };
}

/** y = scale · (x − mean) / √(variance + ε) + shift, by channel. */
export const batchNormalization: Operator<AttributesOf<'BatchNormalization'>> = {
  wholeBatch: true,
  forward(inputs, output, { epsilon }, statistics) {
    const [x, scale, shift] = inputs;
    const { mean, variance } = momentsFor(inputs, statistics);
    const factor = variance.map((v, c) => scale!.data[c]! / Math.sqrt(v + epsilon));
    eachPixel(x!, (i, c) => (output.data[i] = (x!.data[i]! - mean[c]!) * factor[c]! + shift!.data[c]!));
  },
  backward(inputs, _output, cotangent, [toX, toScale, toShift], { epsilon }, statistics) {
    const [x, scale] = inputs;
    const { mean, variance } = momentsFor(inputs, statistics);
    const inverse = variance.map((v) => 1 / Math.sqrt(v + epsilon));
    const sum = new Float64Array(mean.length);
    const sumNormalised = new Float64Array(mean.length);
    eachPixel(x!, (i, c) => {
      sum[c]! += cotangent.data[i]!;
      sumNormalised[c]! += cotangent.data[i]! * (x!.data[i]! - mean[c]!) * inverse[c]!;
    });
    for (let c = 0; c < mean.length; c++) {
      if (toScale) toScale.data[c]! += sumNormalised[c]!;
      if (toShift) toShift.data[c]! += sum[c]!;
    }
    if (!toX) return;
    // Through the batch's own mean and variance (Ioffe & Szegedy 2015, section 3): the cotangent loses its mean and its part along x̂.
    const count = x!.data.length / mean.length;
    const through = statistics === 'batch' ? 1 / count : 0;
    eachPixel(x!, (i, c) => {
      const normalised = (x!.data[i]! - mean[c]!) * inverse[c]!;
      const centred = cotangent.data[i]! - through * (sum[c]! + normalised * sumNormalised[c]!);
      toX.data[i]! += scale!.data[c]! * inverse[c]! * centred;
    });
  },
  tangent([x, scale, , mean, variance], _output, [ofX, ofScale, ofShift], tangent, { epsilon }) {
    const inverse = variance!.data.map((v) => 1 / Math.sqrt(v + epsilon));
    eachPixel(x!, (i, c) => {
      const stretched = (ofX?.data[i] ?? 0) * scale!.data[c]! + (x!.data[i]! - mean!.data[c]!) * (ofScale?.data[c] ?? 0);
      tangent.data[i] = stretched * inverse[c]! + (ofShift?.data[c] ?? 0);
    });
  },
};
