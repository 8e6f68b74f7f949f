/** Whether the leading patients of a list come from the test patient's own scanner more often than the list as a whole. */
import { estimate, type Estimate } from '../../lib/faithfulness/estimate';
import { generatorAt, shuffledOrder } from '../../lib/random';
import { mean, type Resampling } from '../../lib/statistics';
import type { Leading } from './unit';

export interface ScannerShare {
  /** Mean over lists. */
  readonly share: number;
  /** Of all patients on the lists: what chance would give. */
  readonly chance: number;
  /** The one less the other, resampled by test patient. */
  readonly over: Estimate;
  readonly lists: number;
  /** One-sided: how often it is as large when the scanners are dealt anew to the training patients, over as many deals as resamples. */
  readonly p: number;
}

const DEAL = 90;

/** @param scannerOf of every patient */
export function scannerShare(lists: readonly Leading[], scannerOf: ReadonlyMap<string, string>, resampling: Resampling): ScannerShare {
  const of = (patients: readonly string[], scanner: string, scanners = scannerOf): number =>
    mean(patients.map((patient) => Number(scanners.get(patient) === scanner)));
  const over = (scanners = scannerOf): number[] =>
    lists.map(({ patient, top, candidates }) => {
      const own = scannerOf.get(patient)!;
      return of(top, own, scanners) - of(candidates, own, scanners);
    });
  const found = over();
  const tests = [...new Set(lists.map(({ patient }) => patient))];
  const members = tests.map((name) => found.filter((_, i) => lists[i]!.patient === name));
  const trained = [...new Set(lists.flatMap(({ candidates }) => candidates))].sort();
  const observed = mean(found);
  let asLarge = 0;
  for (let deal = 0; deal < resampling.resamples; deal++) {
    const order = shuffledOrder(trained.length, generatorAt(resampling.seed, DEAL, deal));
    const dealt = new Map(trained.map((patient, i) => [patient, scannerOf.get(trained[order[i]!]!)!]));
    if (mean(over(dealt)) >= observed - 1e-12) asLarge++;
  }
  return {
    share: mean(lists.map(({ patient, top }) => of(top, scannerOf.get(patient)!))),
    chance: mean(lists.map(({ patient, candidates }) => of(candidates, scannerOf.get(patient)!))),
    over: estimate(tests.length, (sample) => mean(Array.from(sample).flatMap((i) => members[i]!)), resampling), // prettier-ignore
    lists: lists.length,
    p: (1 + asLarge) / (1 + resampling.resamples),
  };
}
