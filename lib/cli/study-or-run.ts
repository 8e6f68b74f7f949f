/** Commands that take a finished study, or a run whose study they compute first. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { datasetRecordSchema } from '../dataset/record';
import type { Engine } from '../engine/engine';
import { TracinError } from '../errors';
import { openRunCases } from '../faithfulness/subject';
import { computeInfluence, type InfluenceOptions } from '../influence/run';
import { openStudy, type Study } from '../influence/study';
import { openRun, runPaths } from '../training/run';
import type { Context } from './context';

type InfluenceRecord = NonNullable<InfluenceOptions['datasets']>['train'];

/** The study in a folder; of a run, the study RUN/study of all its checkpoints and its test cases, computed as far as it is missing. */
export async function studyOrRun(dir: string, engine: Engine, { signal, reporter }: Context): Promise<Study> {
  if (!existsSync(runPaths(dir).run)) return openStudy(dir);
  const run = await openRun(dir);
  const out = join(run.dir, 'study');
  if (existsSync(join(out, 'study.json'))) return openStudy(out);
  if (run.split.test.length === 0) {
    throw new TracinError('ERR_TRACIN_USAGE', `run ${run.dir} keeps no test cases to ask about: compute a study with influence --test`);
  }
  reporter.note(`computing the influence of ${run.dir} into ${out}`);
  const train = await openRunCases(run, run.split.train, { signal });
  try {
    const test = await openRunCases(run, run.split.test, { signal });
    try {
      const record = datasetRecordSchema.parse(run.data.options);
      const of = (cases: readonly string[]): InfluenceRecord => JSON.parse(JSON.stringify({ ...record, cases })) as InfluenceRecord;
      return await computeInfluence({
        train,
        test,
        datasets: { train: of(run.split.train), test: of(run.split.test) },
        networks: { run: run.dir },
        out,
        engine,
        resume: true,
        signal,
        onProgress: reporter.onProgress,
        onNotice: (line) => reporter.note(line),
      });
    } finally {
      await test.close();
    }
  } finally {
    await train.close();
  }
}
