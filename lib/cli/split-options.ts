/** Which cases train and which are tested: flags shared by train and influence. */
import type { Command } from 'commander';
import { readSplit, type Split, type SplitCase } from '../dataset/split';
import { words } from './arguments';

export interface SplitFlags {
  readonly split?: string;
  readonly train?: string[];
  readonly validation?: string[];
  readonly test?: string[];
}

export const NO_SPLIT: Split = { train: [], validation: [], test: [] };

export function addSplitFlags(command: Command): Command {
  return command
    .option('--split <file>', 'JSON {"train": [cases], "validation": [cases], "test": [cases]}')
    .option('--train <cases>', 'training cases, separated by commas', words)
    .option('--test <cases>', 'test cases, separated by commas', words);
}

/** The lists over the file over `otherwise`. */
export async function chosenSplit(flags: SplitFlags, cases: readonly SplitCase[], otherwise: Split): Promise<Split> {
  const base = flags.split === undefined ? otherwise : await readSplit(flags.split, cases);
  return { train: flags.train ?? base.train, validation: flags.validation ?? base.validation, test: flags.test ?? base.test };
}
