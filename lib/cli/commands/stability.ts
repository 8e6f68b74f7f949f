import { relative } from 'node:path';
import { Option, type Command } from 'commander';
import { testStability } from '../../faithfulness/stability';
import { stabilityPath, type Stability } from '../../faithfulness/stability-file';
import { inWords as figure } from '../../faithfulness/verdict';
import { NORMALISATIONS, type Normalisation } from '../../influence/normalisation';
import { openStudy } from '../../influence/study';
import { wholeNumber } from '../arguments';
import { example, type Context } from '../context';
import { table } from '../table';

interface Flags {
  readonly normalize: Normalisation;
  readonly by: 'slice' | 'patient';
  readonly top: number;
  readonly seed?: number;
  readonly json?: true;
}

export function addStability(program: Command, context: Context): void {
  program
    .command('stability')
    .summary('how far studies of several training seeds agree')
    .description(
      'Compares studies of the same slices whose networks were trained from different seeds: rank correlation of influence, and which leading ' +
        'proponents every one of them has. Written to stability.json of the first.',
    )
    .argument('<study...>', 'study folders, at least two')
    .addOption(
      new Option('--normalize <how>', 'rank by influence itself, or by cosine or relative influence')
        .choices(NORMALISATIONS)
        .default('none'),
    )
    .addOption(new Option('--by <what>', 'lists of slices, or of patients').choices(['slice', 'patient']).default('slice'))
    .option('--top <n>', 'length of the lists', wholeNumber({ least: 1 }), 10)
    .option('--seed <n>', 'of the intervals (default: 1)', wholeNumber())
    .option('--json', 'machine-readable')
    .addHelpText('after', example('tracin-seg stability study-seed1 study-seed2 study-seed3 --by patient'))
    .action((dirs: string[], flags: Flags) => runStability(dirs, flags, context));
}

async function runStability(dirs: readonly string[], { json, ...options }: Flags, { signal, reporter }: Context): Promise<void> {
  const studies = [];
  for (const dir of dirs) studies.push(await openStudy(dir));
  const found = await testStability({ ...options, studies, signal, onProgress: reporter.onProgress });
  reporter.stop();
  const file = relative('.', stabilityPath(studies[0]!.dir));
  process.stdout.write(json ? `${JSON.stringify(found, null, 1)}\n` : inWords(found, file));
}

function inWords({ verdict, correlation, lists, top, by }: Stability, file: string): string {
  const pairs = correlation.classPairs.map((one) => [one.class, one.trainClass, figure(one), String(one.regions)]);
  const shares = lists.map((one) => [one.class, figure(one.overlap), one.chance?.toFixed(3) ?? '-', String(one.overlap.regions)]);
  return [
    verdict.words,
    '',
    table([['test class', 'training class', 'rank correlation', 'test regions'], ...pairs], [3]),
    table([['class', `shared of the ${top} leading ${by}s`, 'by chance', 'test regions'], ...shares], [2, 3]),
    `95 % intervals in brackets; test region by test region in ${file}\n`,
  ].join('\n');
}
