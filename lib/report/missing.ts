/** What a study's folder does not hold, and which command makes it. */
import type { ReportSubject } from './build';
import type { Missing, NetworkReport } from './model';

type Parts = Pick<NetworkReport, 'dice' | 'slices' | 'features' | 'faithfulness' | 'stability' | 'audit'>;

export function missingParts({ test, train }: ReportSubject, { dice, slices, features, faithfulness, stability, audit }: Parts): Missing[] {
  const pictured = test !== undefined && train !== undefined;
  const rankings = slices.flatMap((slice) => slice.regions.flatMap((region) => region.rankings));
  const mapped = rankings.some((ranking) => [...ranking.proponents, ...ranking.opponents].some(({ maps }) => maps));
  const ablation = faithfulness?.ablation;
  return [
    unless(pictured, 'Pictures of slices, outlines and maps: the data were not at hand', 'report STUDY --data DATA --out FILE.html'),
    unless(mapped || !pictured, 'Influence maps', 'report STUDY --out FILE.html'),
    unless(
      dice,
      'Dice: the study holds no predictions, or its test slices have no labels',
      'predict --run RUN --part test --out PREDICTED',
    ),
    unless(features, 'Interpretative maps of features', 'explain STUDY --features'),
    unless(faithfulness, 'Tests of what the study claims', 'faithfulness STUDY --quick'),
    unless(!faithfulness || (ablation && !('skipped' in ablation)), 'Dice lost without features', 'faithfulness STUDY --held-out CASES'),
    unless(stability, 'Other training seeds', 'stability STUDY STUDY_OF_ANOTHER_SEED'),
    unless(audit, 'Labels to look at first', 'audit STUDY'),
  ].flat();
}

function unless(there: unknown, what: string, command: string): Missing[] {
  return there ? [] : [{ what, command }];
}
