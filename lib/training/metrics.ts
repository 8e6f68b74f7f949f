/** metrics.csv: one row an epoch. */
import { readFile } from 'node:fs/promises';
import { csvLine } from '../csv';
import { TracinError } from '../errors';
import { fileError } from '../files';

/** A line of metrics.csv: what one epoch of training came to. */
export interface EpochMetrics {
  /** From 1. */
  readonly epoch: number;
  /** η in force in the epoch. */
  readonly learningRate: number;
  /** Mean loss of the epoch's samples as they were trained on (augmented, before each step). */
  readonly trainLoss: number;
  /** Hard Dice [K] after the epoch over evenly spread training slices as they are; null where a class is neither there nor predicted. */
  readonly trainDice: readonly (number | null)[];
  /** Hard Dice [K] after the epoch over the whole validation split; null also without such a split. */
  readonly validationDice: readonly (number | null)[];
}

function header(classes: readonly string[]): string {
  const dice = ['train', 'validation'].flatMap((split) => classes.map((name) => `${split}_dice_${name}`));
  return csvLine(['epoch', 'learning_rate', 'train_loss', ...dice]);
}

/** The whole file; numbers in their shortest exact form. */
export function encodeMetrics(classes: readonly string[], rows: readonly EpochMetrics[]): string {
  const lines = rows.map(({ epoch, learningRate, trainLoss, trainDice, validationDice }) =>
    csvLine([epoch, learningRate, trainLoss, ...trainDice, ...validationDice]),
  );
  return [header(classes), ...lines, ''].join('\n');
}

/**
 * Reads what {@link encodeMetrics} wrote.
 * @returns no rows when there is no such file
 * @throws ERR_TRACIN_STUDY naming the line
 */
export async function readMetrics(path: string, classes: readonly string[]): Promise<EpochMetrics[]> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw fileError(error, 'read', path);
  }
  const refuse = (what: string) => new TracinError('ERR_TRACIN_STUDY', `${path}: ${what}: the run is damaged, train it again`);
  const [first, ...lines] = text.split('\n');
  if (first !== header(classes)) throw refuse('its header is not the one of this run');
  if (lines.pop() !== '') throw refuse('its last line is cut off');
  return lines.map((line, i) => {
    const cells = line.split(',').map((cell) => (cell === '' ? null : Number(cell)));
    const [epoch, learningRate, trainLoss, ...dice] = cells;
    const whole = cells.length === 3 + 2 * classes.length && !cells.some(Number.isNaN) && epoch === i + 1;
    if (!whole || !learningRate || trainLoss === null || trainLoss === undefined) throw refuse(`line ${i + 2} does not say epoch ${i + 1}`);
    return { epoch, learningRate, trainLoss, trainDice: dice.slice(0, classes.length), validationDice: dice.slice(classes.length) };
  });
}
