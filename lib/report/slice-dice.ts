/** Hard Dice over the test slices that a study asks about, from the predictions it holds: less than a volume, and all there is in the folder. */
import type { SliceSource } from '../dataset/slices';
import { throwIfAborted } from '../errors';
import { DiceCounts } from '../inference/dice';
import type { CaseDice } from '../inference/dice-table';
import type { Study } from '../influence/study';
import { positionsOf } from './album';

/** @returns undefined where the study asks about no slices or holds no predictions, or the slices have no labels */
export async function sliceDice(study: Study, source: SliceSource, signal?: AbortSignal): Promise<CaseDice[] | undefined> {
  if (!source.labelled || study.tests.slices.length === 0) return undefined;
  const positions = positionsOf(source);
  const cases = new Map<string, { patient: string; counts: DiceCounts }>();
  for (const [row, { case: name, index, patient }] of study.tests.slices.entries()) {
    throwIfAborted(signal);
    const predicted = await study.predicted('test', row);
    const position = positions.get(`${index} ${name}`);
    if (!predicted || position === undefined) return undefined;
    const { labels } = await source.read([position]);
    const known = cases.get(name) ?? { patient, counts: new DiceCounts(study.classes.length) };
    cases.set(name, known);
    known.counts.add(predicted, labels!);
  }
  return [...cases].map(([name, { patient, counts }]) => ({ case: name, patient, dice: counts.dice() }));
}
