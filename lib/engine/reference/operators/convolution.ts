/** Conv and ConvTranspose: one is the other with input and output exchanged, so both are made of the same three sums. */
import type { Window } from '../../../graph/lowered';
import { windowTaps, type Tap } from '../spans';
import { sizeOf } from '../../layout';
import type { Tensor } from '../tensor';
import type { AttributesOf, Operator } from './operator';

/** Visits every (wide map, narrow map, kernel row) that a group joins: kernel [narrow, wide/groups, …taps]. */
function eachPair(
  wide: Tensor,
  narrow: Tensor,
  groups: number,
  taps: number,
  visit: (wideStart: number, narrowStart: number, kernelStart: number) => void,
): void {
  const [wideChannels = 0, ...wideSize] = wide.dims;
  const [narrowChannels = 0, ...narrowSize] = narrow.dims;
  const widePixels = sizeOf(wideSize);
  const narrowPixels = sizeOf(narrowSize);
  const wideGroup = wideChannels / groups;
  const narrowGroup = narrowChannels / groups;
  for (let o = 0; o < narrowChannels; o++) {
    const first = Math.floor(o / narrowGroup) * wideGroup;
    for (let i = 0; i < wideGroup; i++) visit((first + i) * widePixels, o * narrowPixels, (o * wideGroup + i) * taps);
  }
}

function tapsBetween(wide: Tensor, narrow: Tensor, window: Omit<Window, 'after'>): Tap[] {
  return windowTaps(wide.dims.slice(1), narrow.dims.slice(1), window);
}

type Grouped = Omit<Window, 'after'> & { readonly groups: number };

/** narrow[o] += Σ kernel · wide: the convolution. */
function gather(wide: Tensor, kernel: Tensor, narrow: Tensor, attributes: Grouped): void {
  const taps = tapsBetween(wide, narrow, attributes);
  eachPair(wide, narrow, attributes.groups, taps.length, (wideStart, narrowStart, kernelStart) => {
    for (let t = 0; t < taps.length; t++)
      gatherTap(taps[t]!, wide.data, wideStart, kernel.data[kernelStart + t]!, narrow.data, narrowStart);
  });
}

function gatherTap(tap: Tap, wide: Float64Array, wideStart: number, weight: number, narrow: Float64Array, narrowStart: number): void {
  const { output, input, length, step } = tap;
  for (let r = 0; r < output.length; r++) {
    const end = narrowStart + output[r]! + length;
    for (let o = narrowStart + output[r]!, i = wideStart + input[r]!; o < end; o++, i += step) narrow[o]! += weight * wide[i]!;
  }
}

/** wide[i] += Σ kernel · narrow: the convolution's transpose. */
function scatter(narrow: Tensor, kernel: Tensor, wide: Tensor, attributes: Grouped): void {
  const taps = tapsBetween(wide, narrow, attributes);
  eachPair(wide, narrow, attributes.groups, taps.length, (wideStart, narrowStart, kernelStart) => {
    for (let t = 0; t < taps.length; t++)
      scatterTap(taps[t]!, narrow.data, narrowStart, kernel.data[kernelStart + t]!, wide.data, wideStart);
  });
}

function scatterTap(tap: Tap, narrow: Float64Array, narrowStart: number, weight: number, wide: Float64Array, wideStart: number): void {
  const { output, input, length, step } = tap;
  for (let r = 0; r < output.length; r++) {
    const end = narrowStart + output[r]! + length;
    for (let o = narrowStart + output[r]!, i = wideStart + input[r]!; o < end; o++, i += step) wide[i]! += weight * narrow[o]!;
  }
}

/** kernel[k] += Σ wide · narrow over the pairs that weight joins. */
function correlate(wide: Tensor, narrow: Tensor, kernel: Tensor, attributes: Grouped): void {
  const taps = tapsBetween(wide, narrow, attributes);
  eachPair(wide, narrow, attributes.groups, taps.length, (wideStart, narrowStart, kernelStart) => {
    for (let t = 0; t < taps.length; t++)
      kernel.data[kernelStart + t]! += correlateTap(taps[t]!, wide.data, wideStart, narrow.data, narrowStart);
  });
}

function correlateTap(tap: Tap, wide: Float64Array, wideStart: number, narrow: Float64Array, narrowStart: number): number {
  const { output, input, length, step } = tap;
  let sum = 0;
  for (let r = 0; r < output.length; r++) {
    const end = narrowStart + output[r]! + length;
    for (let o = narrowStart + output[r]!, i = wideStart + input[r]!; o < end; o++, i += step) sum += wide[i]! * narrow[o]!;
  }
  return sum;
}

/** Begins the output with its channel's bias, or 0. */
function fillBias(bias: Tensor | undefined, output: Tensor): void {
  const [channels = 0, ...size] = output.dims;
  const pixels = sizeOf(size);
  for (let c = 0; c < channels; c++) output.data.fill(bias ? bias.data[c]! : 0, c * pixels, (c + 1) * pixels);
}

function sumOverPixels(cotangent: Tensor, bias: Tensor): void {
  const pixels = sizeOf(cotangent.dims.slice(1));
  for (let i = 0; i < cotangent.data.length; i++) bias.data[Math.floor(i / pixels)]! += cotangent.data[i]!;
}

export const conv: Operator<AttributesOf<'Conv'>> = {
  forward([x, kernel, bias], output, attributes) {
    fillBias(bias, output);
    gather(x!, kernel!, output, attributes);
  },
  backward([x, kernel], _output, cotangent, [toX, toKernel, toBias], attributes) {
    if (toX) scatter(cotangent, kernel!, toX, attributes);
    if (toKernel) correlate(x!, cotangent, toKernel, attributes);
    if (toBias) sumOverPixels(cotangent, toBias);
  },
  tangent([x, kernel], _output, [ofX, ofKernel, ofBias], tangent, attributes) {
    fillBias(ofBias, tangent);
    if (ofX) gather(ofX, kernel!, tangent, attributes);
    if (ofKernel) gather(x!, ofKernel, tangent, attributes);
  },
};

/** The kernel [Cin, Cout/groups, …] is that of the convolution it transposes, whose input is this output. */
export const convTranspose: Operator<AttributesOf<'ConvTranspose'>> = {
  forward([x, kernel, bias], output, attributes) {
    fillBias(bias, output);
    scatter(x!, kernel!, output, attributes);
  },
  backward([x, kernel], _output, cotangent, [toX, toKernel, toBias], attributes) {
    if (toX) gather(cotangent, kernel!, toX, attributes);
    if (toKernel) correlate(cotangent, x!, toKernel, attributes);
    if (toBias) sumOverPixels(cotangent, toBias);
  },
  tangent([x, kernel], _output, [ofX, ofKernel, ofBias], tangent, attributes) {
    fillBias(ofBias, tangent);
    if (ofX) scatter(ofX, kernel!, tangent, attributes);
    if (ofKernel) scatter(x!, ofKernel, tangent, attributes);
  },
};
