/** dice.json of a prediction, read back. */
import { join } from 'node:path';
import { z } from 'zod';
import { TracinError } from '../errors';
import { readJson } from '../json';
import type { CaseDice } from './dice-table';

const FORMAT_VERSION = 1;
const byClass = z.record(z.string(), z.number().nullable());
const schema = z.object({
  classes: z.array(z.string()),
  cases: z.array(z.object({ case: z.string(), patient: z.string(), dice: byClass })),
});

/**
 * Dice of every case in a folder that {@link predict} wrote.
 * @param classes in whose order the numbers are given
 * @throws ERR_TRACIN_DATA where there is none, or it is of other classes; ERR_TRACIN_STUDY where it is damaged
 */
export async function readDice(dir: string, classes: readonly string[]): Promise<CaseDice[]> {
  const path = join(dir, 'dice.json');
  const found = await readJson(path, schema, FORMAT_VERSION, 'predict again');
  if (!found)
    throw new TracinError('ERR_TRACIN_DATA', `${path} does not exist: name a folder in which predict found labels to take Dice against`);
  if (found.classes.join() !== classes.join())
    throw new TracinError(
      'ERR_TRACIN_DATA',
      `${path}: its classes are ${found.classes.join(', ')}, those of the study ${classes.join(', ')}`,
    );
  return found.cases.map(({ case: name, patient, dice }) => ({ case: name, patient, dice: classes.map((one) => dice[one] ?? null) }));
}
