/** The thread that correlates: hundreds of resamples for every test region would hold the caller's thread up. */
import { openStudy, type Study } from '../influence/study';
import { serve, type Served, type ServedCall } from '../worker-thread';
import { readFeatureArrays, sliceCorrelations, type FeatureArrays } from './correlation';
import type { Resampling } from './estimate';

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
  };
});
