/** A few patients with large gradients can lead every list; how often each does is told beside a ranking. */
import { setImmediate } from 'node:timers/promises';
import { TracinError, throwIfAborted } from '../errors';
import { Once } from '../once';
import { candidatesOf, leading } from './candidates';
import { influencedRegions } from './influenced';
import { influenceOf, type Normalisation } from './normalisation';
import type { Study, WholeStudyOptions } from './study';

/** How often training patients are among the leading proponents of a class. */
export interface Dominance {
  /** Length of the lists looked at: 30, or the first tenth where there are fewer than 300 candidates. */
  readonly top: number;
  /** Test regions of the class that something influences: on the others there is no list to lead. */
  readonly tests: number;
  /** By falling share; patients in no list are left out. */
  readonly patients: readonly { readonly patient: string; readonly share: number }[];
}

export interface DominanceQuery {
  readonly testClass: number;
  readonly trainClasses: readonly number[];
  readonly by: 'slice' | 'patient';
  readonly normalize: Normalisation;
}

/** Torda et al. drop patients found in the top 30 of over 30 % of the tests. */
const TOP = 30;

const known = new WeakMap<Study, Once<Dominance>>();

/**
 * For each training patient the share of the test regions of a class in whose leading proponents it occurs.
 * Worked out once for a study and query, since every ranking of a class tells the same.
 */
export async function dominance(study: Study, query: DominanceQuery, options: WholeStudyOptions = {}): Promise<Dominance> {
  const ofStudy = known.get(study) ?? new Once<Dominance>();
  known.set(study, ofStudy);
  let own = false;
  const found = ofStudy.get(JSON.stringify(query), () => {
    own = true;
    return count(study, query, options);
  });
  return found.catch((error: unknown) => {
    // Whoever asked first was interrupted: no answer for who was not.
    if (!own && error instanceof TracinError && error.code === 'ERR_TRACIN_ABORTED') return dominance(study, query, options);
    throw error;
  });
}

async function count(
  study: Study,
  { testClass, trainClasses, by, normalize }: DominanceQuery,
  { signal, onProgress }: WholeStudyOptions,
): Promise<Dominance> {
  const rows = (await influencedRegions(study)).flatMap((influenced, row) => (influenced[testClass] ? [row] : []));
  const times = new Map<string, number>();
  let top = 0;
  for (const [done, row] of rows.entries()) {
    throwIfAborted(signal);
    const candidates = candidatesOf(study, await influenceOf(study, row, normalize, testClass), testClass, trainClasses, by);
    top = Math.min(TOP, Math.ceil(candidates.length / 10));
    const first = leading(
      candidates.filter(({ score }) => score !== 0),
      top,
    );
    const patients = new Set(first.map((candidate) => study.trainings.slices[candidate.row]!.patient));
    for (const patient of patients) times.set(patient, (times.get(patient) ?? 0) + 1);
    onProgress?.({ stage: 'dominance', done: done + 1, total: rows.length });
    await setImmediate();
  }
  const patients = [...times].map(([patient, n]) => ({ patient, share: n / rows.length }));
  patients.sort((a, b) => b.share - a.share || (a.patient < b.patient ? -1 : 1));
  return { top, tests: rows.length, patients };
}
