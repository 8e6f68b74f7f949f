/** What each training patient as a whole did to each test region: sums over its slices and classes, since a patient is left out as a whole. */
import { setImmediate } from 'node:timers/promises';
import type { FeatureArrays } from './correlation';
import type { Study } from '../influence/study';

/** Numbers for each test region and training patient, [M · K, patients]. */
export interface PatientTable {
  readonly patients: readonly string[];
  /** Σ over the patient's slices and all training classes of T. */
  readonly influence: Float64Array;
  /** Mean of S over the patient's regions of the test region's class; 0 where it has none. */
  readonly similarity: Float64Array;
  /** Training pixels of the class, [K, patients]. */
  readonly pixels: Float64Array;
}

export async function patientTable(study: Study, { similarity }: Pick<FeatureArrays, 'similarity'>): Promise<PatientTable> {
  const { tests, trainings, classes } = study;
  const [K, N] = [classes.length, trainings.slices.length];
  const patients = [...new Set(trainings.slices.map(({ patient }) => patient))];
  const place = new Map(patients.map((patient, i) => [patient, i]));
  const of = trainings.slices.map(({ patient }) => place.get(patient)!);
  const table: PatientTable = {
    patients,
    influence: new Float64Array(tests.slices.length * K * patients.length),
    similarity: new Float64Array(tests.slices.length * K * patients.length),
    pixels: new Float64Array(K * patients.length),
  };
  for (let row = 0; row < N; row++) for (let k = 0; k < K; k++) table.pixels[k * patients.length + of[row]!]! += trainings.pixels[row]![k]!;
  for (let test = 0; test < tests.slices.length; test++) {
    const scores = await study.scores(test);
    for (let i = 0; i < K; i++) {
      const first = (test * K + i) * patients.length;
      const counts = new Float64Array(patients.length);
      for (let row = 0; row < N; row++) {
        const to = first + of[row]!;
        for (let j = 0; j < K; j++) table.influence[to]! += scores[(i * N + row) * K + j]!;
        const alike = similarity[(test * K + i) * N + row]!;
        if (Number.isNaN(alike)) continue;
        table.similarity[to]! += alike;
        counts[of[row]!]!++;
      }
      for (let p = 0; p < patients.length; p++) if (counts[p]! > 0) table.similarity[first + p]! /= counts[p]!;
    }
    await setImmediate();
  }
  return table;
}
