/** Labels predicted for every slice of a source. */
import type { SliceSource } from '../dataset/slices';
import { TracinError } from '../errors';
import type { OnProgress } from '../progress';
import { readAhead } from '../read-ahead';
import type { Predictor } from './predictor';

export interface PredictLabelsOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnProgress | undefined;
  /** Slices in one forward pass; 8 when absent. */
  readonly batch?: number | undefined;
}

export interface PredictedBatch {
  /** Positions in `source.slices`, ascending. */
  readonly positions: readonly number[];
  /** [n, …size], 0..K */
  readonly predicted: Uint8Array;
  /** [n, …size]; undefined when the source has no labels. */
  readonly labels: Uint8Array | undefined;
}

/** Predicts the slices in order; the next batch is read while the network runs. */
export async function* predictBatches(
  predictor: Predictor,
  source: SliceSource,
  options: PredictLabelsOptions = {},
): AsyncGenerator<PredictedBatch> {
  const { signal, onProgress, batch = 8 } = options;
  if (!Number.isInteger(batch) || batch < 1) throw new TracinError('ERR_TRACIN_USAGE', `batch ${batch}: give a whole number of at least 1`);
  if (predictor.channels !== source.classes.length + 1) {
    const message = `${predictor.file} tells ${predictor.channels - 1} foreground classes apart, the data has ${source.classes.length} (${source.classes.join(', ')})`;
    throw new TracinError('ERR_TRACIN_DATA', `${message}: use the network trained for these classes`);
  }
  const total = source.slices.length;
  const batches = readAhead(Math.ceil(total / batch), async (item) => {
    const positions = Array.from({ length: Math.min(batch, total - item * batch) }, (_, i) => item * batch + i);
    return { positions, ...(await source.read(positions, { signal })) };
  });
  for await (const { positions, images, labels } of batches) {
    const predicted = await predictor.labels(images, [positions.length, source.modalities.length, ...source.size], { signal });
    yield { positions, predicted, labels };
    onProgress?.({ stage: 'predict', done: positions.at(-1)! + 1, total });
  }
}

/**
 * The most likely class of every pixel of every slice, of equal logits the lowest class.
 * @returns [N, …size] in 0..K, slices in the order of `source.slices`
 */
export async function predictLabels(predictor: Predictor, source: SliceSource, options: PredictLabelsOptions = {}): Promise<Uint8Array> {
  const pixels = source.size.reduce((product, n) => product * n, 1);
  const all = new Uint8Array(source.slices.length * pixels);
  for await (const { positions, predicted } of predictBatches(predictor, source, options)) all.set(predicted, positions[0]! * pixels);
  return all;
}
