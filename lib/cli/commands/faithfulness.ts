import { relative } from 'node:path';
import { Option, type Command } from 'commander';
import { openEngine } from '../../engine';
import { TracinError } from '../../errors';
import { faithfulnessPaths, PARTS, type Faithfulness, type Part } from '../../faithfulness/files';
import { testFaithfulness } from '../../faithfulness/run';
import { openRunCases, runOf } from '../../faithfulness/subject';
import type { Study } from '../../influence/study';
import { decimal, wholeNumber, words } from '../arguments';
import { example, type Context } from '../context';
import { addEngineFlags, type EngineFlags } from '../engine-options';
import { studyOrRun } from '../study-or-run';
import { usage } from '../usage';

interface Flags extends EngineFlags {
  readonly quick?: true;
  readonly full?: true;
  readonly only?: string[];
  readonly heldOut?: string[];
  readonly plant?: number;
  readonly seed?: number;
  readonly batch?: number;
  readonly data?: string;
  readonly run?: string;
  readonly json?: true;
}

export function addFaithfulness(program: Command, context: Context): void {
  const command = program
    .command('faithfulness')
    .summary('test what a study claims, against baselines')
    .description(
      'Tests a study: do influential regions look alike (correlation), does the network need the selected features (ablation), are planted label ' +
        'errors found (faults), does training without influential patients hurt (retraining). What was not shown is said to be not shown.',
    )
    .argument('<study>', 'study folder, or the folder of a run whose study is computed first')
    .addOption(new Option('--quick', 'few resamples, at most about 40 retrainings: minutes on a small study (default)').conflicts('full'))
    .option('--full', 'more of everything')
    .option('--only <parts>', `some of ${PARTS.join(', ')}, separated by commas (default: all)`, words)
    .option('--held-out <cases>', "cases to ablate on, of the run's data (default: its validation cases)", words)
    .option(
      '--plant <share>',
      'corrupt the labels of this share of the training patients, train on them and look for them (default: look for those of planted.json)',
      decimal({ least: 0, most: 0.9, above: true }),
    )
    .option('--seed <n>', 'of everything drawn (default: 1)', wholeNumber())
    .option('--batch <slices>', 'slices computed together (default: 8)', wholeNumber({ least: 1 }))
    .option('--data <dir>', 'folder of the data, where it is not the one in study.json any more')
    .option('--run <dir>', 'folder of the run, likewise')
    .option('--json', 'machine-readable');
  addEngineFlags(command)
    .addHelpText('after', example('tracin-seg faithfulness study --quick', 'tracin-seg faithfulness run --full --only faults,retraining'))
    .action((dir: string, flags: Flags) => runFaithfulness(dir, flags, context));
}

async function runFaithfulness(dir: string, flags: Flags, context: Context): Promise<void> {
  const { signal, reporter } = context;
  const unknown = flags.only?.find((part) => !(PARTS as readonly string[]).includes(part));
  if (unknown !== undefined) throw usage(`--only ${unknown} is unknown: choose from ${PARTS.join(', ')}`);
  const { engine, notes } = await openEngine(flags.device ?? 'auto', { threads: flags.threads });
  notes.forEach((line) => reporter.note(line));
  const study = await studyOrRun(dir, engine, context);
  const heldOut = flags.heldOut && (await heldOutCases(study, flags.heldOut, flags, context));
  try {
    const result = await testFaithfulness({
      study,
      engine,
      mode: flags.full ? 'full' : 'quick',
      seed: flags.seed,
      parts: flags.only as Part[] | undefined,
      heldOut,
      plant: flags.plant,
      batch: flags.batch,
      data: flags.data,
      run: flags.run,
      signal,
      onProgress: reporter.onProgress,
      onNotice: (line) => reporter.note(line),
    });
    reporter.stop();
    process.stdout.write(flags.json ? `${JSON.stringify(result, null, 1)}\n` : inWords(study, result));
  } finally {
    await heldOut?.close();
  }
}

async function heldOutCases(study: Study, cases: readonly string[], { data, run: moved }: Flags, { signal }: Context) {
  const run = await runOf(study, moved);
  if (!run)
    throw new TracinError(
      'ERR_TRACIN_USAGE',
      `${study.dir} is of no run whose data could be opened: --held-out has nothing to choose from`,
    );
  return openRunCases(run, cases, { data, signal });
}

function inWords(study: Study, { tested, verdict }: Faithfulness): string {
  const lines = ['95 % intervals in brackets', ''];
  for (const part of PARTS) {
    const claims = verdict.filter((claim) => claim.part === part);
    const how = tested[part];
    if (how) lines.push(`${part}: ${how.mode}, seed ${how.seed}, ${how.resamples} resamples`, ...claims.map((claim) => `  ${claim.words}`));
  }
  return `${lines.join('\n')}\n\nfigures in ${relative('.', faithfulnessPaths(study.dir).result)}\n`;
}
