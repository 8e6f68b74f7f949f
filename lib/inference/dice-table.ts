/** Dice of every case and class, as a table. */
import { csvLine } from '../csv';

/** Hard Dice of a whole case by class. */
export interface CaseDice {
  readonly case: string;
  readonly patient: string;
  /** [K]; null where the class is neither there nor predicted. */
  readonly dice: readonly (number | null)[];
}

/** Mean over the cases that have a value, [K]; null where none has. */
export function meanDice(rows: readonly CaseDice[], classes: number): (number | null)[] {
  return Array.from({ length: classes }, (_, k) => {
    const values = rows.map(({ dice }) => dice[k]!).filter((value) => value !== null);
    return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
  });
}

/** Columns case, patient, dice_CLASS…; one row a case, an empty field for null. */
export function encodeDiceCsv(classes: readonly string[], rows: readonly CaseDice[]): string {
  const header = csvLine(['case', 'patient', ...classes.map((name) => `dice_${name}`)]);
  return [header, ...rows.map((row) => csvLine([row.case, row.patient, ...row.dice])), ''].join('\n');
}
