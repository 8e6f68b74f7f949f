/** One term of an influence map: what a region's loss feels of the logits' motion, pixel by pixel. */
import type { Floats, RegionLoss } from '../engine/engine';
import { probabilities, regionLoss } from '../engine/reference/losses';
import { zeros, type Tensor } from '../engine/reference/tensor';

/** A region of class `label` on one slice of C logits, `pixels` = H·W. */
export interface MapRegion {
  /** [C, pixels] */
  readonly logits: Floats;
  /** ḟ [C, pixels]: how the logits move. */
  readonly tangents: Floats;
  /** [pixels] in 0..K */
  readonly targets: Uint8Array;
  /** [pixels] */
  readonly mask: Uint8Array;
  /** 1..K */
  readonly label: number;
}

/**
 * Adds weight · Σ_c ∂L/∂f_c ⊙ ḟ_c to a map [pixels] (method.md, "Maps"). Outside its region a loss feels nothing: those pixels stay.
 * Everything but the tangents and logits themselves is float64, so that the map's sum is as exact as they are.
 */
export function addInfluence(map: Float64Array, region: MapRegion, loss: RegionLoss, weight: number): void {
  const { logits, tangents, targets, mask, label } = region;
  const pixels = mask.length;
  const channels = logits.length / pixels;
  const inside = Uint32Array.from({ length: mask.reduce((sum, on) => sum + on, 0) });
  for (let pixel = 0, n = 0; pixel < pixels; pixel++) if (mask[pixel]) inside[n++] = pixel;
  // The loss of a region reads the pixels of its mask alone: the slice is those.
  const dims = [1, channels, inside.length];
  const own = (of: Floats): Tensor => ({
    dims,
    data: Float64Array.from({ length: channels * inside.length }, (_, i) => {
      const channel = Math.floor(i / inside.length);
      return of[channel * pixels + inside[i - channel * inside.length]!]!;
    }),
  });
  const cotangent = zeros(dims);
  const labels = Uint8Array.from(inside, (pixel) => targets[pixel]!);
  regionLoss(loss, probabilities(own(logits)), labels, new Uint8Array(inside.length).fill(1), label, cotangent);
  const { data } = own(tangents);
  for (let i = 0; i < data.length; i++) map[inside[i % inside.length]!]! += weight * cotangent.data[i]! * data[i]!;
}
