/** scores.parquet: one row for each pair of present regions, for pandas and its like. */
import { replaceFile } from '../files';
import type { OnProgress } from '../progress';
import { WorkerThread } from '../worker-thread';
import { cut } from './batches';
import { studyPaths } from './folder';
import type { Study } from './study';
import type { OpenArgument } from './table-worker';

/** Rows of one row group. */
const GROUP_ROWS = 100_000;

/**
 * Writes scores.parquet into the study folder: case, patient, slice, class and pixels of both regions (`test_…`, `train_…`),
 * `score` (T, float32), `cosine` and `relative` (float64).
 * @returns its path
 */
export async function writeTable(
  study: Study,
  options: { readonly signal?: AbortSignal | undefined; readonly onProgress?: OnProgress | undefined } = {},
): Promise<string> {
  const path = studyPaths(study.dir).table;
  const worker = new WorkerThread('influence/table-worker');
  try {
    await replaceFile(path, encoded(study, worker, options));
  } finally {
    await worker.close();
  }
  return path;
}

async function* encoded(
  study: Study,
  worker: WorkerThread,
  { signal, onProgress }: { readonly signal?: AbortSignal | undefined; readonly onProgress?: OnProgress | undefined },
): AsyncGenerator<Uint8Array> {
  yield await worker.call<Uint8Array>('open', { dir: study.dir, learningRates: study.learningRates } satisfies OpenArgument, { signal });
  const total = study.tests.slices.length;
  const rowsPerTest = study.trainings.slices.length * study.classes.length ** 2;
  for (const tests of cut({ start: 0, end: total }, Math.ceil(GROUP_ROWS / rowsPerTest))) {
    yield await worker.call<Uint8Array>('encode', tests, { signal });
    onProgress?.({ stage: 'table', done: tests.end, total });
  }
  yield await worker.call<Uint8Array>('finish', undefined, { signal });
}
