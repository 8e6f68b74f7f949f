/** Which pixels of a slice speak for which class. `pixels` = H·W, K foreground classes; label k + 1 is class k. */
import type { Definition } from './definition';

/** Labels of one slice, [pixels] in 0..K. */
export interface SliceLabels {
  /** Absent when the source has none. */
  readonly truth: Uint8Array | undefined;
  /** argmax of the last checkpoint; absent when the definition needs none. */
  readonly predicted: Uint8Array | undefined;
}

/** The labels that the rule goes by; undefined for `slice`, which goes by none. The caller has seen to it that they are there. */
function labelsOf(rule: Definition['region'], labels: SliceLabels): Uint8Array | undefined {
  return rule === 'slice' ? undefined : rule === 'truth' ? labels.truth! : labels.predicted!;
}

/** Masks [K, pixels] of one slice: 1 inside the region of class k. */
export function regionMasks(rule: Definition['region'], labels: SliceLabels, classes: number, pixels: number): Uint8Array {
  const masks = new Uint8Array(classes * pixels);
  const of = labelsOf(rule, labels);
  if (!of) return masks.fill(1);
  for (let pixel = 0; pixel < pixels; pixel++) {
    const label = of[pixel]!;
    if (label > 0) masks[(label - 1) * pixels + pixel] = 1;
  }
  return masks;
}

/** Pixels of each region of one slice, [K]; 0 is an absent region. */
export function countPixels(rule: Definition['region'], labels: SliceLabels, classes: number, pixels: number): number[] {
  const of = labelsOf(rule, labels);
  const counts = new Array<number>(classes).fill(of ? 0 : pixels);
  if (of) {
    for (let pixel = 0; pixel < pixels; pixel++) {
      const label = of[pixel]!;
      if (label > 0) counts[label - 1]!++;
    }
  }
  return counts;
}
