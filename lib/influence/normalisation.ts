/** Influence as it is, or with the size of the gradients taken out. */
import { array, list, number, shape, whole } from '../kinds';
import type { Study } from './study';
import { weightedSum } from './weights';

/**
 * none: T. cosine: Σ_t η_t g'·g / (‖g'‖ ‖g‖), how alike two regions are, whatever their gradients weigh.
 * relative: Σ_t η_t g'·g / ‖g‖ (RelatIF, Barshan et al. 2020, arXiv 2003.11630).
 */
export const NORMALISATIONS = ['none', 'cosine', 'relative'] as const;
/** How scores are freed of the size of gradients, or not. */
export type Normalisation = (typeof NORMALISATIONS)[number];

/**
 * Influence of every training region on the K regions of one test slice, [K, N, K]. Where a gradient is zero so is its term.
 * @param only the class asked about, where it is a single one: of the others the numbers may be 0
 */
export async function influenceOf(
  study: Study,
  test: number,
  normalisation: Normalisation,
  only?: number,
): Promise<Float32Array | Float64Array> {
  if (normalisation === 'none') return study.scores(test);
  const [testNorms, trainNorms] = await Promise.all([study.norms('test'), study.norms('train')]);
  const classes = study.classes.length;
  const tests = study.tests.slices.length;
  const columns = study.trainings.slices.length * classes;
  const influence = new Float64Array(classes * columns);
  for (const [t, rate] of study.learningRates.entries()) {
    const products = await study.products(t, test);
    for (let i = only ?? 0; i <= (only ?? classes - 1); i++) {
      const part = i * columns;
      const terms = { products: products.subarray(part, part + columns), norms: trainNorms.subarray(t * columns, (t + 1) * columns) };
      const ours = testNorms[(t * tests + test) * classes + i]!;
      addTerms(influence.subarray(part, part + columns), terms, rate, normalisation === 'cosine' ? ours : 1);
    }
  }
  return influence;
}

/** One region of a test slice against every training region: what it takes to rank them. */
export interface RegionInfluence {
  /** Of the test slice, on the study's axis; class of the region, and its pixels. */
  readonly row: number;
  readonly k: number;
  readonly pixels: number;
  /** By checkpoint: plain gradient products [N·K], and ‖∇L‖² of the region. */
  readonly products: readonly Float32Array[];
  readonly norms: readonly number[];
}

export const regionInfluence = shape<RegionInfluence>(
  {
    row: whole(0),
    k: whole(0),
    pixels: whole(0),
    products: list(array<Float32Array>('Float32Array')),
    norms: list(number),
  },
  'what paintedInfluence gives',
);

/** Influence of every training region on one that is not of the study, [N·K]. */
export async function influenceOn(
  study: Study,
  { products, norms }: RegionInfluence,
  normalisation: Normalisation,
): Promise<Float32Array | Float64Array> {
  if (normalisation === 'none') return weightedSum(products, study.learningRates);
  const trainNorms = await study.norms('train');
  const influence = new Float64Array(products[0]!.length);
  for (const [t, rate] of study.learningRates.entries()) {
    const terms = { products: products[t]!, norms: trainNorms.subarray(t * influence.length, (t + 1) * influence.length) };
    addTerms(influence, terms, rate, normalisation === 'cosine' ? norms[t]! : 1);
  }
  return influence;
}

/** Adds η g'·g / (‖g'‖ ‖g‖) of one checkpoint; where a norm is 0 so is the term. */
function addTerms(
  influence: Float64Array,
  { products, norms }: { readonly products: Float32Array; readonly norms: Float32Array },
  rate: number,
  ours: number,
): void {
  if (ours === 0) return;
  for (let column = 0; column < influence.length; column++) {
    const theirs = norms[column]!;
    if (theirs > 0) influence[column]! += (rate * products[column]!) / (Math.sqrt(ours) * Math.sqrt(theirs));
  }
}
