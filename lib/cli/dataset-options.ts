/** The flags that say how images become slices: one meaning for train, predict and influence, whose runs remember them. */
import { resolve } from 'node:path';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { NORMALISATIONS, type Normalisation } from '../dataset/normalisation';
import type { SliceChoice } from '../dataset/slice-choice';
import { describeLayout, openDataset, type Dataset, type DatasetOptions } from '../dataset/dataset';
import { LAYOUTS, type LayoutName } from '../dataset/layouts/layout';
import { datasetRecordSchema, type DatasetRecord } from '../dataset/record';
import { lower, sizesOf } from '../graph/lower';
import { readOnnx } from '../graph/onnx';
import { classNumbers, imageSize, range, wholeNumber, words } from './arguments';
import type { Context } from './context';
import { usage } from './usage';

export interface DatasetFlags {
  readonly data?: string;
  readonly layout?: LayoutName | 'auto';
  readonly modalities?: string[];
  readonly classes?: Record<string, number>;
  readonly size?: number[];
  readonly normalisation?: Normalisation;
  readonly slices?: SliceChoice;
  readonly spread?: number;
}

/** `all`, `90-99`, or `tumour:20`: at least so many tumour voxels. */
export function sliceChoice(text: string): SliceChoice {
  if (text === 'all') return 'all';
  const [, least] = /^tumour:([1-9]\d*)$/.exec(text) ?? [];
  if (least !== undefined) return { tumour: Number(least) };
  if (!/^\d+-\d+$/.test(text))
    throw new InvalidArgumentError('Expected all, a range such as 90-99, or tumour:20 for slices with at least 20 tumour voxels.');
  const [first, last] = range(text);
  return { first, last };
}

/** Where the images are and how they are prepared. */
export function addImageFlags(command: Command): Command {
  return command
    .option('--data <dir>', 'folder of BraTS, nnU-Net, MSD or PNG images, or a manifest of any files')
    .addOption(new Option('--layout <name>', 'of the folder (default: the one it has)').choices(['auto', ...LAYOUTS]))
    .option('--modalities <names>', 'which, in the order of the network, separated by commas (default: as the run, or the data)', words)
    .option('--classes <list>', 'NAME=NUMBER,…: what the numbers in label files mean, where the data do not say it', classNumbers)
    .option(
      '--size <pixels>',
      'crop or pad slices to this size, 192 or 192x160 (default: 192 for BraTS, else the largest image)',
      imageSize,
    )
    .addOption(new Option('--normalisation <how>', 'of each case and modality (default: zscore)').choices(NORMALISATIONS));
}

/** Those, and which slices are taken. */
export function addDatasetFlags(command: Command): Command {
  return addImageFlags(command)
    .option('--slices <rule>', 'all, a range 90-99, or tumour:N for slices with at least N tumour voxels (default: tumour:1)', sliceChoice)
    .option('--spread <k>', 'with --slices tumour: only k slices of each case, evenly spread', wholeNumber({ least: 1 }));
}

/** What {@link openFolder} opens. */
export type FolderOptions = Omit<DatasetOptions, 'signal' | 'onProgress'>;

/**
 * What the flags say, completed from a run's record: data named anew may be laid out and numbered in another way.
 * @throws ERR_TRACIN_USAGE when no folder is named, or --spread has no tumour rule to spread
 */
export function folderOptions(flags: DatasetFlags, recorded: DatasetRecord | undefined): FolderOptions {
  const dir = flags.data === undefined ? recorded?.dir : resolve(flags.data);
  if (dir === undefined) throw usage('no data: name a folder with --data');
  let slices = flags.slices ?? (flags.spread === undefined ? recorded?.slices : { tumour: 1 });
  if (flags.spread !== undefined) {
    if (slices === undefined || slices === 'all' || !('tumour' in slices)) {
      throw usage('--spread chooses among slices with tumour: give --slices tumour:N with it, or leave it out');
    }
    slices = { ...slices, spread: flags.spread };
  }
  const same = dir === recorded?.dir ? recorded : undefined;
  return {
    dir,
    layout: flags.layout ?? same?.layout,
    modalities: flags.modalities ?? recorded?.modalities,
    classes: flags.classes ?? same?.classes,
    size: flags.size ?? recorded?.size,
    normalisation: flags.normalisation ?? recorded?.normalisation,
    slices,
  };
}

/** Opens the folder and says how it was understood. */
export async function openFolder(options: FolderOptions, { signal, reporter }: Context): Promise<Dataset> {
  const dataset = await openDataset({ ...options, signal, onProgress: reporter.onProgress });
  reporter.note(describeLayout(dataset.layout));
  return dataset;
}

/**
 * The same with slices of a size that a network takes: where none is asked for, the one it was exported for, if it is one.
 * @param file a checkpoint; undefined for slices of any size
 */
export async function openFolderFor(file: string | undefined, options: FolderOptions, context: Context): Promise<Dataset> {
  if (file === undefined) return openFolder(options, context);
  const graph = await readOnnx(file);
  const { stride, only } = sizesOf(graph);
  if (!only) return openFolder({ ...options, divisor: stride }, context);
  if (options.size === undefined)
    context.reporter.note(`slices cropped or padded to ${stride.join(' × ')}: ${file} was exported for that size alone`);
  else lower(graph, [options.size].flat()); // says so where it is another
  return openFolder({ ...options, size: options.size ?? stride }, context);
}

/** The record in run.json of a run that `train` has written from a folder; undefined for runs made otherwise. */
export function recordedIn(run: { readonly data: { readonly options: unknown } } | undefined): DatasetRecord | undefined {
  return datasetRecordSchema.safeParse(run?.data.options).data;
}
