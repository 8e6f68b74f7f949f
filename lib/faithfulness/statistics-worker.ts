/** The thread that resamples: thousands of correlations, rankings and fits would hold the caller's thread up. */
import { openStudy, type Study } from '../influence/study';
import { serve, type Served, type ServedCall } from '../worker-thread';
import { scoreAblation, type AblationCounts } from './ablation';
import type { PatientScores } from './audit-scores';
import { readFeatureArrays, sliceCorrelations, type FeatureArrays } from './correlation';
import { scoreDatamodel, type TrainedHalves } from './datamodel';
import { evaluatePlanted } from './planted';
import type { Resampling } from '../statistics';

export interface PlantedArgument {
  readonly patients: readonly PatientScores[];
  readonly faulty: readonly boolean[];
  readonly resampling: Resampling;
}

serve(() => {
  let study: Study;
  let arrays: FeatureArrays;
  return {
    async open({ dir, learningRates }: { dir: string; learningRates: readonly number[] }): Promise<Served> {
      study = (await openStudy(dir)).reweighted(learningRates);
      arrays = await readFeatureArrays(study);
      return { result: undefined };
    },
    async correlate({ test, resampling }: { test: number; resampling: Resampling }, call: ServedCall): Promise<Served> {
      call.throwIfAborted();
      return { result: await sliceCorrelations(study, test, arrays, resampling) };
    },
    ablation(counts: AblationCounts): Served {
      return { result: scoreAblation(counts) };
    },
    planted({ patients, faulty, resampling }: PlantedArgument): Served {
      return { result: evaluatePlanted(patients, faulty, resampling) };
    },
    datamodel(trained: TrainedHalves): Served {
      return { result: scoreDatamodel(trained) };
    },
  };
});
