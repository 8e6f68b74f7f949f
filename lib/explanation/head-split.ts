/** T of the head's kernel, split exactly by the feature it reads: T = Σ_k T^(k), since every number of the kernel reads one map. */
import { setImmediate } from 'node:timers/promises';
import type { Program } from '../engine/engine';
import { cut, regionBatches, type Role, type Side } from '../influence/batches';
import { regionLoss, type Definition } from '../influence/definition';
import { openedStudy, type Study } from '../influence/study';
import { check, whole } from '../kinds';
import { openNpy } from '../npy';
import { featurePaths } from './files';
import type { FeatureHead } from './head';

/**
 * Gradients of the head's kernel of every region of a side, by what the program has loaded, float32 [slices, K, F, numbers of one feature].
 * @param program compiled for that kernel alone
 */
export async function headGradients(
  program: Program,
  head: FeatureHead,
  side: Side,
  definition: Definition,
  options: { readonly batch: number; readonly signal?: AbortSignal | undefined; readonly onSlices: (slices: number) => void },
): Promise<Float32Array<ArrayBuffer>> {
  const { batch, signal, onSlices } = options;
  const slices = side.source.slices.length;
  const { places } = head;
  const found = new Float32Array(slices * side.source.classes.length * places.length);
  for await (const part of regionBatches(side, definition, { start: 0, end: slices }, batch, signal)) {
    const { gradients } = await program.gradients(part, regionLoss(definition), { signal });
    const first = part.start * side.source.classes.length * places.length;
    for (let row = 0; row < gradients.length; row += places.length) {
      for (let i = 0; i < places.length; i++) found[first + row + i] = gradients[row + places[i]!]!;
    }
    onSlices(part.end - part.start);
  }
  return found;
}

/**
 * T^(k) of one test slice, float64 [K, N, K, F]: its class i, training slice, its class j, feature. Summed over features it is the part of T
 * that the kernel of the last convolution carries: all of it in a study of `head` parameters.
 * @throws ERR_TRACIN_STUDY when the features of the study have not been computed
 */
export async function splitByFeature(study: Study, test: number): Promise<Float64Array> {
  check('splitByFeature', { study }, { study: openedStudy });
  check('splitByFeature', { test }, { test: whole(0, study.tests.slices.length - 1) });
  const [classes, slices] = [study.classes.length, study.trainings.slices.length];
  const [ours, theirs] = await Promise.all([rowsOf(study, 'test', test), rowsOf(study, 'train')]);
  const [features, per] = ours.shape;
  const width = features * per;
  const found = new Float64Array(classes * slices * classes * features);
  for (const [t, rate] of study.learningRates.entries()) {
    for (const part of cut({ start: 0, end: slices * classes }, 256)) {
      for (let i = 0; i < classes; i++) {
        for (let column = part.start; column < part.end; column++) {
          const [a, b, to] = [
            (t * classes + i) * width,
            (t * slices * classes + column) * width,
            (i * slices * classes + column) * features,
          ];
          for (let at = 0; at < width; at++) found[to + Math.floor(at / per)]! += rate * ours.data[a + at]! * theirs.data[b + at]!;
        }
      }
      await setImmediate();
    }
  }
  return found;
}

/** Gradients [Q, slices, K, F, per] of all slices of a side, or of one. */
async function rowsOf(study: Study, role: Role, slice?: number): Promise<{ data: Float32Array; shape: [features: number, per: number] }> {
  const file = await openNpy(featurePaths(study.dir).gradients(role));
  try {
    const [checkpoints = 0, slices = 0, classes = 0, features = 0, per = 0] = file.shape;
    const all = (await file.read(0, checkpoints)) as Float32Array;
    if (slice === undefined) return { data: all, shape: [features, per] };
    const width = classes * features * per;
    const data = new Float32Array(checkpoints * width);
    for (let t = 0; t < checkpoints; t++) data.set(all.subarray((t * slices + slice) * width, (t * slices + slice + 1) * width), t * width);
    return { data, shape: [features, per] };
  } finally {
    await file.close();
  }
}
