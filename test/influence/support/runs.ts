import { computeInfluence, type InfluenceOptions } from '../../../lib/influence/run';
import { contents } from '../../support/folders';

/** The bytes of a study, all but those of study.json, which says what it was computed with. */
export async function arraysOf(dir: string): Promise<Record<string, string>> {
  const { 'study.json': _, ...files } = await contents(dir);
  return files;
}

/** Runs until progress is told for the `stop`-th time, or to its end where that comes first. */
export async function interruptAt(stop: number, options: InfluenceOptions): Promise<void> {
  const abort = new AbortController();
  let steps = 0;
  const onProgress = (): void => void (++steps === stop && abort.abort());
  await computeInfluence({ ...options, signal: abort.signal, onProgress }).catch((error: unknown) => {
    expect(error).toMatchObject({ code: 'ERR_TRACIN_ABORTED' });
  });
}
