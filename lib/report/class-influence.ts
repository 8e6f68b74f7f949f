/** A study in a table of K × K: how the regions of each training class weigh on those of each test class. */
import { setImmediate } from 'node:timers/promises';
import { throwIfAborted } from '../errors';
import { influenceOf, type Normalisation } from '../influence/normalisation';
import type { Study, WholeStudyOptions } from '../influence/study';
import type { ClassInfluence } from './model';

/** Reads the whole study once for each of the two means. */
export async function classInfluence(study: Study, options: WholeStudyOptions): Promise<ClassInfluence> {
  const rates = study.learningRates.reduce((sum, rate) => sum + rate, 0);
  return { raw: await means(study, 'none', 1, options), cosine: await means(study, 'cosine', 1 / rates, options) };
}

async function means(
  study: Study,
  normalisation: Normalisation,
  factor: number,
  { signal, onProgress }: WholeStudyOptions,
): Promise<(number | null)[][]> {
  const classes = study.classes.length;
  const { tests, trainings } = study;
  const sums = new Float64Array(classes * classes);
  const pairs = new Float64Array(classes * classes);
  for (let test = 0; test < tests.slices.length; test++) {
    throwIfAborted(signal);
    const influence = await influenceOf(study, test, normalisation);
    for (let i = 0; i < classes; i++) {
      if (tests.pixels[test]![i] === 0) continue;
      for (let training = 0; training < trainings.slices.length; training++) {
        for (let j = 0; j < classes; j++) {
          if (trainings.pixels[training]![j] === 0) continue;
          sums[i * classes + j]! += influence[(i * trainings.slices.length + training) * classes + j]!;
          pairs[i * classes + j]!++;
        }
      }
    }
    onProgress?.({ stage: 'classes', done: test + 1, total: tests.slices.length });
    await setImmediate();
  }
  const mean = (at: number): number | null => (pairs[at] === 0 ? null : (factor * sums[at]!) / pairs[at]!);
  return Array.from({ length: classes }, (_, i) => Array.from({ length: classes }, (_, j) => mean(i * classes + j)));
}
