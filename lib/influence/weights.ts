/** Sums over checkpoints. Products stay plain, so the weights η_t can be changed without new gradients. */
import { TracinError } from '../errors';

/** Σ_t η_t products_t, summed in float64, given as float32. */
export function weightedSum(products: readonly Float32Array[], learningRates: readonly number[]): Float32Array {
  const sums = new Float64Array(products[0]?.length ?? 0);
  for (const [t, numbers] of products.entries()) {
    const rate = learningRates[t]!;
    for (let i = 0; i < numbers.length; i++) sums[i]! += rate * numbers[i]!;
  }
  return Float32Array.from(sums);
}

/** @throws ERR_TRACIN_USAGE unless there is one finite rate of at least 0 for each checkpoint, and one above 0 */
export function checkRates(learningRates: readonly number[], checkpoints: number): void {
  if (learningRates.length !== checkpoints) {
    throw new TracinError('ERR_TRACIN_USAGE', `${learningRates.length} learning rates for ${checkpoints} checkpoints: give one for each`);
  }
  const wrong = learningRates.find((rate) => !(Number.isFinite(rate) && rate >= 0));
  if (wrong !== undefined) throw new TracinError('ERR_TRACIN_USAGE', `learning rate ${wrong} must be a number of at least zero`);
  if (!learningRates.some((rate) => rate > 0)) throw new TracinError('ERR_TRACIN_USAGE', 'every learning rate is zero: leave one above it');
}
