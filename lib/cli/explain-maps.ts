/** `explain --maps`: influence maps of one test region, as arrays, volumes and pictures. */
import { relative } from 'node:path';
import type { Command } from 'commander';
import type { Engine } from '../engine/engine';
import { mapPaths, type MapEntry } from '../explanation/map-files';
import { computeMaps } from '../explanation/maps';
import { replaceFile } from '../files';
import type { Normalisation } from '../influence/normalisation';
import type { Study } from '../influence/study';
import { mapPicture } from '../report/map-picture';
import { caseAndSlice, wholeNumber } from './arguments';
import type { Context } from './context';
import { table } from './table';
import { usage } from './usage';

export interface MapFlags {
  readonly maps?: true;
  readonly test?: ReturnType<typeof caseAndSlice>;
  readonly class?: string;
  readonly trainClass?: string;
  readonly top?: number;
  readonly normalize?: Normalisation;
  readonly data?: string;
  readonly run?: string;
  readonly json?: true;
}

export function addMapFlags(command: Command): Command {
  return command
    .option('--maps', 'write, for the strongest training regions, which pixels pushed and which pulled, into STUDY/maps')
    .option('--test <case[:slice]>', 'with --maps: the test slice; without a slice, the one with most pixels of the class', caseAndSlice)
    .option('--class <name>', 'with --maps: class of the test region')
    .option('--train-class <name>', 'with --maps: class of the training regions, or all (default: the same class)')
    .option('--top <n>', 'with --maps: proponents, and as many opponents (default: 3)', wholeNumber({ least: 1 }));
}

/** @throws ERR_TRACIN_USAGE for flags of --maps without it, or --maps without its region */
export function checkMapFlags({ maps, test, class: name, trainClass, top }: MapFlags): void {
  if (maps && (test === undefined || name === undefined)) throw usage('--maps are of one test region: name it with --test and --class');
  if (!maps && (test ?? name ?? trainClass ?? top) !== undefined)
    throw usage('--test, --class, --train-class and --top belong to --maps: add it');
}

export async function explainMaps(study: Study, engine: Engine, flags: MapFlags, { signal, reporter }: Context): Promise<void> {
  const { trainClass, top, normalize, data, run } = flags;
  const maps = await computeMaps({
    ...{ study, engine, test: flags.test!, class: flags.class!, trainClass, top, normalize, data, run, signal },
    onProgress: reporter.onProgress,
    onMap: async (view) => replaceFile(`${view.path}.png`, await mapPicture(view)),
  });
  reporter.stop();
  process.stdout.write(flags.json ? `${JSON.stringify(maps, null, 1)}\n` : inWords(study, maps));
}

function inWords(study: Study, maps: readonly MapEntry[]): string {
  const first = maps[0];
  if (!first) return 'no training region has an influence other than zero: no maps\n';
  const { test, class: name } = first;
  const head = ['T', 'sum of the map', 'training region', 'over', 'file'];
  const rows = maps.map(({ score, sum, train, trainClass, side, file }) => [
    score.toExponential(4),
    sum.toExponential(4),
    `${trainClass} of ${train.case}, slice ${train.slice}`,
    side === 'train' ? 'the training slice' : 'the test slice',
    file,
  ]);
  const where = relative('.', mapPaths(study.dir).folder) || '.';
  return `${name} of ${test.case}, slice ${test.slice}\n${table([head, ...rows], [0, 1])}maps in ${where}\n`;
}
