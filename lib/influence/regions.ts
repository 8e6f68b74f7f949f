/** Which pixels of a slice speak for which class. `pixels` = H·W, K foreground classes; label k + 1 is class k. */
import type { Definition } from './definition';

/** What a person painted on a slice: it takes the place of the region of one class, or of every class. */
export interface Painted {
  /** [pixels], 1 inside */
  readonly mask: Uint8Array;
  /** Index of the class; every one when absent. */
  readonly class: number | undefined;
}

/** Labels of one slice, [pixels] in 0..K. */
export interface SliceLabels {
  /** Absent when the source has none. */
  readonly truth: Uint8Array | undefined;
  /** argmax of the last checkpoint; absent when the definition needs none. */
  readonly predicted: Uint8Array | undefined;
  readonly painted?: Painted | undefined;
}

/** The labels that the rule goes by; undefined for `slice`, which goes by none, and where the rule is painted over. */
function labelsOf(rule: Definition['region'], { truth, predicted }: SliceLabels): Uint8Array | undefined {
  return rule === 'slice' ? undefined : rule === 'truth' ? truth : predicted;
}

/** Masks [K, pixels] of one slice: 1 inside the region of class k. The caller has seen to it that the labels of the rule are there. */
export function regionMasks(rule: Definition['region'], labels: SliceLabels, classes: number, pixels: number): Uint8Array {
  const masks = new Uint8Array(classes * pixels);
  const of = labelsOf(rule, labels);
  if (of) {
    for (let pixel = 0; pixel < pixels; pixel++) {
      const label = of[pixel]!;
      if (label > 0) masks[(label - 1) * pixels + pixel] = 1;
    }
  } else if (rule === 'slice') masks.fill(1);
  for (const k of paintedClasses(labels, classes)) masks.set(labels.painted!.mask, k * pixels);
  return masks;
}

/** Pixels of each region of one slice, [K]; 0 is an absent region. */
export function countPixels(rule: Definition['region'], labels: SliceLabels, classes: number, pixels: number): number[] {
  const of = labelsOf(rule, labels);
  const counts = new Array<number>(classes).fill(rule === 'slice' ? pixels : 0);
  if (of) {
    for (let pixel = 0; pixel < pixels; pixel++) {
      const label = of[pixel]!;
      if (label > 0) counts[label - 1]!++;
    }
  }
  for (const k of paintedClasses(labels, classes)) counts[k] = labels.painted!.mask.reduce((sum, inside) => sum + inside, 0);
  return counts;
}

/** The classes whose region is painted. */
function paintedClasses({ painted }: SliceLabels, classes: number): number[] {
  if (!painted) return [];
  return painted.class === undefined ? Array.from({ length: classes }, (_, k) => k) : [painted.class];
}
