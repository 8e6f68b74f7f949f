/** The thread that encodes scores.parquet: compressing a hundred thousand rows would hold the caller's thread up. */
import { ParquetTable, type ColumnType } from '../parquet';
import { serve, type Served } from '../worker-thread';
import { influenceOf } from './normalisation';
import { openStudy, type Study } from './study';

export interface OpenArgument {
  readonly dir: string;
  readonly learningRates: readonly number[];
}

/** Column by column; present regions only. */
class Rows {
  readonly columns = {
    test_case: [] as string[],
    test_patient: [] as string[],
    test_slice: [] as number[],
    test_class: [] as string[],
    test_pixels: [] as number[],
    train_case: [] as string[],
    train_patient: [] as string[],
    train_slice: [] as number[],
    train_class: [] as string[],
    train_pixels: [] as number[],
    score: [] as number[],
    cosine: [] as number[],
    relative: [] as number[],
  };

  async addTest(study: Study, test: number): Promise<void> {
    const [scores, cosines, relatives] = [
      await influenceOf(study, test, 'none'),
      await influenceOf(study, test, 'cosine'),
      await influenceOf(study, test, 'relative'),
    ];
    const { tests, trainings, classes } = study;
    const { columns } = this;
    const ours = tests.slices[test]!;
    for (const [i, testClass] of classes.entries()) {
      if (tests.pixels[test]![i] === 0) continue;
      for (const [train, theirs] of trainings.slices.entries()) {
        for (const [j, trainClass] of classes.entries()) {
          if (trainings.pixels[train]![j] === 0) continue;
          const at = (i * trainings.slices.length + train) * classes.length + j;
          columns.test_case.push(ours.case);
          columns.test_patient.push(ours.patient);
          columns.test_slice.push(ours.index);
          columns.test_class.push(testClass);
          columns.test_pixels.push(tests.pixels[test]![i]!);
          columns.train_case.push(theirs.case);
          columns.train_patient.push(theirs.patient);
          columns.train_slice.push(theirs.index);
          columns.train_class.push(trainClass);
          columns.train_pixels.push(trainings.pixels[train]![j]!);
          columns.score.push(scores[at]!);
          columns.cosine.push(cosines[at]!);
          columns.relative.push(relatives[at]!);
        }
      }
    }
  }
}

function typeOf(column: string): ColumnType {
  if (column === 'score') return 'FLOAT';
  if (column === 'cosine' || column === 'relative') return 'DOUBLE';
  return column.endsWith('_slice') || column.endsWith('_pixels') ? 'INT32' : 'STRING';
}

serve(() => {
  let study: Study;
  let table: ParquetTable;

  return {
    async open({ dir, learningRates }: OpenArgument): Promise<Served> {
      const stored = await openStudy(dir);
      study = stored.learningRates.join() === learningRates.join() ? stored : stored.reweighted(learningRates);
      const types = Object.fromEntries(Object.keys(new Rows().columns).map((name) => [name, typeOf(name)]));
      table = await ParquetTable.open(study.record.tool, types);
      return table.taken();
    },

    /** Rows of test slices [start, end), as one row group. */
    async encode({ start, end }: { start: number; end: number }): Promise<Served> {
      const rows = new Rows();
      for (let test = start; test < end; test++) await rows.addTest(study, test);
      await table.add(rows.columns);
      return table.taken();
    },

    async finish(): Promise<Served> {
      await table.finish();
      return table.taken();
    },
  };
});
