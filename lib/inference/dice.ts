/** Hard Dice of label maps. */

/** Counts pixels over as many slices as are added; Dice is a ratio of sums, so it cannot be averaged from parts. */
export class DiceCounts {
  /** For class k + 1: |P|, |Y| and |P ∩ Y| in pixels. */
  readonly predicted: Float64Array;
  readonly truth: Float64Array;
  readonly both: Float64Array;

  /** @param classes K, foreground classes */
  constructor(classes: number) {
    this.predicted = new Float64Array(classes);
    this.truth = new Float64Array(classes);
    this.both = new Float64Array(classes);
  }

  /** @param prediction labels 0..K of the same pixels as `labels` */
  add(prediction: Uint8Array, labels: Uint8Array): this {
    const { predicted, truth, both } = this;
    for (let i = 0; i < labels.length; i++) {
      const p = prediction[i]!;
      const y = labels[i]!;
      if (p > 0) predicted[p - 1]! += 1;
      if (y > 0) truth[y - 1]! += 1;
      if (p > 0 && p === y) both[p - 1]! += 1;
    }
    return this;
  }

  /** 2|P ∩ Y| / (|P| + |Y|) of each foreground class; null where both are empty, which says nothing about the network. */
  dice(): (number | null)[] {
    return Array.from(this.both, (both, k) => {
      const sum = this.predicted[k]! + this.truth[k]!;
      return sum === 0 ? null : (2 * both) / sum;
    });
  }
}

/**
 * Hard Dice of each foreground class over all the pixels given, null where a class is in neither map.
 * @param classes K
 */
export function hardDice(prediction: Uint8Array, labels: Uint8Array, classes: number): (number | null)[] {
  return new DiceCounts(classes).add(prediction, labels).dice();
}
