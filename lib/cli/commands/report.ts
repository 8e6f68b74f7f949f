import { basename, dirname, relative, resolve } from 'node:path';
import { Option, type Command } from 'commander';
import type { SliceSource } from '../../dataset/slices';
import { openEngine } from '../../engine';
import type { Engine } from '../../engine/engine';
import { TracinError } from '../../errors';
import { runOf } from '../../faithfulness/subject';
import { assertWritable, replaceFile } from '../../files';
import { readDice } from '../../inference/dice-file';
import { reopenNetworks, reopenSides } from '../../influence/reopen';
import { openStudy, type Study } from '../../influence/study';
import { buildReport, renderPage, type ReportSubject } from '../../report';
import { MAPPED, type Mapped } from '../../report/slice-report';
import { caseAndSlice, wholeNumber, words } from '../arguments';
import { example, type Context } from '../context';
import { addEngineFlags, type EngineFlags } from '../engine-options';
import { usage } from '../usage';

type AskedSlice = ReturnType<typeof caseAndSlice>;

interface Flags extends EngineFlags {
  readonly out: string;
  readonly test?: AskedSlice[];
  readonly patients?: number;
  readonly top?: number;
  readonly title: string;
  readonly predicted?: string[];
  readonly maps: Mapped | 'none';
  readonly data?: string;
  readonly run?: string;
}

export function addReport(program: Command, context: Context): void {
  const command = program
    .command('report')
    .summary('one page to read: everything that is known of one or more studies')
    .description(
      'Writes one HTML file that needs nothing else: the cohort, Dice, proponents and opponents of some test slices with influence maps, ' +
        'and what explain, faithfulness and audit found, as far as they have been run. Studies on it share classes and test slices.',
    )
    .argument('<studies...>', 'study folders, one for each network')
    .requiredOption('--out <file>', 'HTML file to write')
    .option(
      '--test <case[:slice]>',
      'a test slice to show, again for more; without a slice, the most telling one of the case (default: one each of patients from the best to the worst predicted)',
      (text: string, before: AskedSlice[] = []) => [...before, caseAndSlice(text)],
    )
    .option('--patients <n>', 'without --test: how many to show (default: 4)', wholeNumber({ least: 1 }))
    .option('--top <n>', 'proponents, and as many opponents, of each region (default: 3)', wholeNumber({ least: 1, most: 50 }))
    .option('--title <words>', 'of the page', 'Which training patients shaped these predictions?')
    .option('--predicted <dirs>', 'folders that predict wrote, one for each study, separated by commas: Dice over whole volumes', words)
    .addOption(
      new Option(
        '--maps <which>',
        'rankings with influence maps: raw is that of T by slice, all takes longest; none computes none, and shows those in STUDY/maps',
      )
        .choices([...MAPPED, 'none'])
        .default('raw'),
    )
    .option('--data <dir>', 'folder of the data, where it is not the one in study.json any more')
    .option('--run <dir>', 'folder of the checkpoints, likewise');
  addEngineFlags(command)
    .addHelpText(
      'after',
      example('tracin-seg report study --out report.html', 'tracin-seg report unet resunet --out both.html --test BraTS2021_00006:92'),
    )
    .action((dirs: string[], flags: Flags) => runReport(dirs, flags, context));
}

async function runReport(dirs: readonly string[], flags: Flags, { signal, reporter }: Context): Promise<void> {
  const { test: tests, patients, top, title, predicted } = flags;
  const maps = flags.maps === 'none' ? 'all' : flags.maps; // those that are there cost nothing
  if (tests && patients !== undefined) throw usage('--patients chooses slices where --test does not: leave one of them out');
  if (predicted && predicted.length !== dirs.length)
    throw usage(`--predicted names ${predicted.length} folders for ${dirs.length} studies: name one for each`);
  const studies: Study[] = [];
  for (const dir of dirs) studies.push(await openStudy(dir));
  const out = resolve(flags.out);
  await assertWritable(out);
  const closing: (() => Promise<void>)[] = [];
  try {
    const names = await namesOf(studies);
    const subjects: ReportSubject[] = [];
    for (const [i, study] of studies.entries()) {
      const sources = await sourcesOf(study, flags, closing, { signal, reporter });
      const engine = sources.test && (await engineOf(study, flags, { signal, reporter }));
      const dice = predicted && (await readDice(predicted[i]!, study.classes));
      subjects.push({ name: names[i]!, study, ...sources, engine, run: flags.run, dice });
    }
    const cohort = cohortWords(studies);
    const report = await buildReport({ title, cohort, subjects, tests, patients, top, maps, signal, onProgress: reporter.onProgress });
    await replaceFile(out, await renderPage(report));
    reporter.stop();
    process.stdout.write(`open ${relative('.', out) || out} in a browser\n`);
  } finally {
    for (const close of closing) await close();
  }
}

/** Of the networks the studies are about, as their runs call them; folders too where that does not tell them apart. */
async function namesOf(studies: readonly Study[]): Promise<string[]> {
  const names: string[] = [];
  for (const study of studies) names.push((await runOf(study).catch(() => undefined))?.network.name ?? basename(study.dir));
  return names.map((name, i) => {
    const { dir } = studies[i]!;
    return names.filter((other) => other === name).length === 1 ? name : `${name} (${basename(dirname(dir))}/${basename(dir)})`;
  });
}

/** The slices of a study, unless they are out of reach: that is told, and the page does without. */
async function sourcesOf(
  study: Study,
  { data }: Flags,
  closing: (() => Promise<void>)[],
  context: Context,
): Promise<{ test?: SliceSource; train?: SliceSource }> {
  const sides = await tolerated(
    () => reopenSides(study, { data, signal: context.signal }),
    'without pictures',
    data !== undefined,
    context,
  );
  if (!sides) return {};
  closing.push(() => sides.close());
  const { datasets, test, train } = sides;
  return { test: datasets.test ?? test.source, train: datasets.train ?? train.source };
}

/** What computes maps, unless the checkpoints are out of reach. */
async function engineOf(study: Study, { maps, run, device, threads }: Flags, context: Context): Promise<Engine | undefined> {
  if (maps === 'none') return undefined;
  const networks = await tolerated(
    () => reopenNetworks(study, { run, signal: context.signal }),
    'without new maps',
    run !== undefined,
    context,
  );
  if (!networks) return undefined;
  const { engine, notes } = await openEngine(device ?? 'auto', { threads });
  notes.forEach((line) => context.reporter.note(line));
  return engine;
}

/** What is not there any more is no reason not to show the rest; a place that was named is. */
async function tolerated<T>(open: () => Promise<T>, instead: string, named: boolean, { reporter }: Context): Promise<T | undefined> {
  try {
    return await open();
  } catch (error) {
    if (named || !(error instanceof TracinError) || error.code === 'ERR_TRACIN_ABORTED') throw error;
    reporter.note(`${instead}: ${error.message}`);
    return undefined;
  }
}

function cohortWords(studies: readonly Study[]): string[] {
  const { record } = studies[0]!;
  return [`Slices of ${record.size.join(' × ')} pixels in ${record.modalities.join(', ')}.`];
}
