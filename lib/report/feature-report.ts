/** The interpretative maps of a study: FI of its features against rank, as many points and curves as a page can show. */
import { featurePaths, readFeatureArray, readFeatures, type Features } from '../explanation/files';
import type { Study } from '../influence/study';
import { TracinError } from '../errors';
import type { FeatureCurve, FeatureReport, InterpretativeMap } from './model';

/** A curve is drawn through so many points at most, each the mean over a bin of ranks. */
const POINTS = 150;
/** Of the features that were not selected, so many curves are drawn at most. */
const OTHERS = 60;

/** What `explain --features` found; undefined where it has not been run. */
export async function featureReport(study: Study): Promise<FeatureReport | undefined> {
  const features = await readFeatures(study).catch((error: unknown) => {
    if (error instanceof TracinError && error.code === 'ERR_TRACIN_STUDY' && error.message.includes('holds no features')) return undefined;
    throw error;
  });
  if (!features) return undefined;
  const importance = await readFeatureArray(featurePaths(study.dir).importance);
  const { similarity, normalize, shuffles, seed, features: count } = features;
  return {
    ...{ similarity, normalize, shuffles, seed, features: count },
    maps: features.classes.map((_, k) => interpretativeMap(features, importance, k)),
  };
}

/**
 * @param importance FI, float32 [K, F, N] by rank, as in STUDY/features
 * @param k which class
 */
export function interpretativeMap({ features: count, classes }: Features, importance: Float32Array, k: number): InterpretativeMap {
  const { class: name, tests, trainings, features } = classes[k]!;
  const N = importance.length / (classes.length * count);
  const bins = Math.min(POINTS, tests > 0 ? trainings : 0);
  const edges = Array.from({ length: bins + 1 }, (_, bin) => Math.round((bin * trainings) / bins));
  const binMean = (curve: Float32Array, bin: number): number => {
    const values = curve.subarray(edges[bin], edges[bin + 1]);
    return Number((values.reduce((sum, value) => sum + value, 0) / values.length).toFixed(4));
  };
  const others = features.filter(({ selected }) => !selected);
  const step = Math.max(1, others.length / OTHERS);
  const drawn = new Set(Array.from({ length: Math.min(OTHERS, others.length) }, (_, i) => others[Math.floor(i * step)]!.feature));
  return {
    class: name,
    tests,
    trainings,
    ranks: Array.from({ length: bins }, (_, bin) => (edges[bin]! + 1 + edges[bin + 1]!) / 2),
    curves: features
      .filter(({ feature, selected }) => selected || drawn.has(feature))
      .map(({ feature, contrast, threshold, selected }): FeatureCurve => {
        const curve = importance.subarray((k * count + feature) * N, (k * count + feature + 1) * N);
        return { feature, contrast, threshold, selected, points: Array.from({ length: bins }, (_, bin) => binMean(curve, bin)) };
      }),
  };
}
