/** What each checkpoint adds to T, over all pairs of regions of one class. */
import { setImmediate } from 'node:timers/promises';
import { throwIfAborted } from '../errors';
import type { Study, WholeStudyOptions } from '../influence/study';
import type { CheckpointReport } from './model';

/** Reads the products of the whole study once. */
export async function checkpointShares(study: Study, { signal, onProgress }: WholeStudyOptions): Promise<CheckpointReport[]> {
  const { tests, trainings, learningRates } = study;
  const K = study.classes.length;
  const N = trainings.slices.length;
  const [absolute, signed] = [new Float64Array(learningRates.length * K), new Float64Array(learningRates.length * K)];
  const pairs = new Float64Array(K);
  for (let test = 0; test < tests.slices.length; test++) {
    throwIfAborted(signal);
    for (const [t, rate] of learningRates.entries()) {
      const products = await study.products(t, test);
      for (let k = 0; k < K; k++) {
        if (tests.pixels[test]![k] === 0) continue;
        for (let training = 0; training < N; training++) {
          // Absent regions have products of 0.
          const term = rate * products[(k * N + training) * K + k]!;
          absolute[t * K + k]! += Math.abs(term);
          signed[t * K + k]! += term;
          if (t === 0 && trainings.pixels[training]![k]! > 0) pairs[k]!++;
        }
      }
    }
    onProgress?.({ stage: 'checkpoints', done: test + 1, total: tests.slices.length });
    await setImmediate();
  }
  const whole = Array.from({ length: K }, (_, k) => learningRates.reduce((sum, _, t) => sum + absolute[t * K + k]!, 0));
  return study.checkpoints.map(({ epoch }, t) => ({
    epoch,
    learningRate: learningRates[t]!,
    share: whole.map((sum, k) => (sum > 0 ? absolute[t * K + k]! / sum : null)),
    mean: whole.map((_, k) => (pairs[k]! > 0 ? signed[t * K + k]! / pairs[k]! : null)),
  }));
}
