/** Influence as it is, or with the size of the gradients taken out. */
import type { Study } from './study';

/**
 * none: T. cosine: Σ_t η_t g'·g / (‖g'‖ ‖g‖), how alike two regions are, whatever their gradients weigh.
 * relative: Σ_t η_t g'·g / ‖g‖ (RelatIF, Barshan et al. 2020, arXiv 2003.11630).
 */
export const NORMALISATIONS = ['none', 'cosine', 'relative'] as const;
export type Normalisation = (typeof NORMALISATIONS)[number];

/** Influence of every training region on the K regions of one test slice, [K, N, K]. Where a gradient is zero so is its term. */
export async function influenceOf(study: Study, test: number, normalisation: Normalisation): Promise<Float32Array | Float64Array> {
  if (normalisation === 'none') return study.scores(test);
  const [testNorms, trainNorms] = await Promise.all([study.norms('test'), study.norms('train')]);
  const classes = study.classes.length;
  const tests = study.tests.slices.length;
  const columns = study.trainings.slices.length * classes;
  const influence = new Float64Array(classes * columns);
  for (const [t, rate] of study.learningRates.entries()) {
    const products = await study.products(t, test);
    for (let i = 0; i < classes; i++) {
      const ours = normalisation === 'cosine' ? testNorms[(t * tests + test) * classes + i]! : 1;
      if (ours === 0) continue;
      for (let column = 0; column < columns; column++) {
        const theirs = trainNorms[t * columns + column]!;
        if (theirs > 0)
          influence[i * columns + column]! += (rate * products[i * columns + column]!) / (Math.sqrt(ours) * Math.sqrt(theirs));
      }
    }
  }
  return influence;
}
