/** Training and test slices of an influence: cases of a folder, or four arrays. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { openRecorded, recordOf, type ArraysRecord, type SourceRecord } from '../dataset/record';
import type { SliceSource } from '../dataset/slices';
import { TracinError } from '../errors';
import type { InfluenceOptions } from '../influence/run';
import type { Run } from '../training/run';
import type { Context } from './context';
import { addDatasetFlags, folderOptions, openFolderFor, recordedIn, type DatasetFlags } from './dataset-options';
import { addSplitFlags, chosenSplit, NO_SPLIT, type SplitFlags } from './split-options';
import { usage } from './usage';

export interface SourceFlags extends DatasetFlags, SplitFlags {
  readonly trainImages?: string;
  readonly trainLabels?: string;
  readonly testImages?: string;
  readonly testLabels?: string;
  readonly classNames?: string[];
  readonly self?: true;
}

export interface Sources {
  readonly train: SliceSource;
  readonly test: InfluenceOptions['test'];
  /** How to open them again. */
  readonly records: NonNullable<InfluenceOptions['datasets']>;
  close(): Promise<void>;
}

export function addSourceFlags(command: Command): Command {
  return addSplitFlags(addDatasetFlags(command))
    .option('--train-images <file>', 'instead of --data: float32 [N, M, H, W] .npy or .npz, already normalised')
    .option('--train-labels <file>', 'uint8 [N, H, W] .npy or .npz')
    .option('--test-images <file>', 'float32 [N, M, H, W] .npy or .npz')
    .option('--test-labels <file>', 'uint8 [N, H, W] .npy or .npz; may be left out with --target predicted');
}

/**
 * @param run supplies what the flags leave open: folder, preparation, split
 * @param file a checkpoint, for the sizes its network takes
 */
export async function openSources(flags: SourceFlags, run: Run | undefined, file: string | undefined, context: Context): Promise<Sources> {
  if (flags.self && (flags.test ?? flags.testImages ?? flags.testLabels)) {
    throw usage('--self is of the training slices alone: leave the test slices out');
  }
  const arrays = flags.trainImages ?? flags.trainLabels ?? flags.testImages ?? flags.testLabels;
  if (arrays === undefined) return openCases(flags, run, file, context);
  const folder = (
    ['data', 'layout', 'modalities', 'classes', 'size', 'normalisation', 'slices', 'spread', 'split', 'train', 'test'] as const
  ).find((flag) => flags[flag] !== undefined);
  if (folder) throw usage(`--${folder} belongs to a data folder and has no meaning for arrays: leave it out`);
  return openFourArrays(flags, run, context);
}

async function openCases(flags: SourceFlags, run: Run | undefined, file: string | undefined, context: Context): Promise<Sources> {
  const options = folderOptions(flags, recordedIn(run));
  const dataset = await openFolderFor(file, options, context);
  try {
    const record = recordOf(options, dataset);
    const split = await chosenSplit(flags, dataset.cases, run?.split ?? NO_SPLIT);
    for (const part of ['train', 'test'] as const) {
      if (split[part].length === 0 && !(part === 'test' && flags.self))
        throw new TracinError('ERR_TRACIN_DATA', `no ${part} cases: name them with --${part} or --split`);
    }
    const train = dataset.subset(split.train);
    const test = flags.self ? undefined : dataset.subset(split.test);
    return {
      train,
      test: test ?? 'none',
      records: asJson({ train: { ...record, cases: [...split.train] }, test: test && { ...record, cases: [...split.test] } }),
      close: async () => void (await Promise.all([train.close(), test?.close(), dataset.close()])),
    };
  } catch (error) {
    await dataset.close();
    throw error;
  }
}

async function openFourArrays(flags: SourceFlags, run: Run | undefined, { signal }: Context): Promise<Sources> {
  const classes = flags.classNames ?? (run && [...run.classes]);
  const record = (role: 'train' | 'test'): ArraysRecord => {
    const images = flags[`${role}Images`];
    const labels = flags[`${role}Labels`];
    if (images === undefined) throw usage(`no ${role} slices: name them with --${role}-images`);
    return { layout: 'arrays', images: resolve(images), labels: labels && resolve(labels), classes };
  };
  const records = { train: record('train'), test: flags.self ? undefined : record('test') };
  const train = await openRecorded(records.train, { role: 'train', signal });
  try {
    const test = records.test && (await openRecorded(records.test, { role: 'test', signal }));
    return {
      train,
      test: test ?? 'none',
      records: asJson(records),
      close: async () => void (await Promise.all([train.close(), test?.close()])),
    };
  } catch (error) {
    await train.close();
    throw error;
  }
}

/** As study.json holds them: without what is left open. */
function asJson(records: { readonly train: SourceRecord; readonly test: SourceRecord | undefined }): Sources['records'] {
  return JSON.parse(JSON.stringify(records)) as Sources['records'];
}
