/** From logits to labels. */
import { atOnce, type Turns } from '../turns';

/**
 * The most likely class of every pixel; of equal logits the lowest class wins.
 * @param logits [B, C, …spatial]
 * @param pixels product of the spatial sizes
 * @returns [B, …spatial], 0..C − 1
 */
export function argmaxLabels(logits: Float32Array | Float64Array, classes: number, pixels: number): Uint8Array {
  return atOnce(labelling(logits, classes, pixels));
}

/** As {@link argmaxLabels}, pausing after every map. */
export function* labelling(logits: Float32Array | Float64Array, classes: number, pixels: number): Turns<Uint8Array> {
  const labels = new Uint8Array(logits.length / classes);
  const best = new Float64Array(pixels);
  for (let slice = 0; slice < labels.length / pixels; slice++) {
    const first = slice * classes * pixels;
    const out = slice * pixels;
    for (let i = 0; i < pixels; i++) best[i] = logits[first + i]!;
    for (let c = 1; c < classes; c++, yield) {
      const plane = first + c * pixels;
      for (let i = 0; i < pixels; i++) {
        const value = logits[plane + i]!;
        if (value > best[i]!) {
          best[i] = value;
          labels[out + i] = c;
        }
      }
    }
  }
  return labels;
}
