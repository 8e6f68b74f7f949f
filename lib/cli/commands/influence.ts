import { relative } from 'node:path';
import { Option, type Command } from 'commander';
import { openEngines } from '../../engine';
import { describeDefinition, type DefinitionOptions } from '../../influence/definition';
import { readNameMap } from '../../graph/state-dict';
import { networkFile, type FileSource, type NetworkSource } from '../../influence/networks';
import { describePlan } from '../../influence/plan';
import { describePrecision } from '../../influence/precision';
import { computeInfluence, computeShard, planInfluence, type InfluenceOptions } from '../../influence/run';
import type { Shard } from '../../influence/shard';
import type { Study } from '../../influence/study';
import { writeTable } from '../../influence/table';
import { openRun, type Run } from '../../training/run';
import { bytes, decimal, listOf, shard, wholeNumber, words } from '../arguments';
import { example, type Context } from '../context';
import { addEngineFlags, addPrecisionFlag, type EngineFlags, type PrecisionFlags } from '../engine-options';
import { addRegionMaskFlags, paintedRegions, type RegionMaskFlags } from '../region-mask';
import { addSourceFlags, openSources, type SourceFlags } from '../sources';
import { usage } from '../usage';

interface Flags extends SourceFlags, EngineFlags, PrecisionFlags, RegionMaskFlags, Omit<DefinitionOptions, 'parameters' | 'learningRates'> {
  readonly out: string;
  readonly run?: string;
  readonly checkpoints?: string[];
  readonly network?: string;
  readonly map?: string;
  readonly output?: string;
  readonly learningRates?: number[];
  readonly classNames?: string[];
  readonly parameters?: string;
  readonly memory?: number;
  readonly batch?: number;
  readonly resume?: true;
  readonly shard?: Shard;
  readonly dryRun?: true;
  readonly table?: true;
}

export function addInfluence(program: Command, context: Context): void {
  const command = program
    .command('influence')
    .summary('compute a study: the influence of every training region on every test region')
    .description(
      'Computes the influence of every class region of the training slices on every class region of the test slices, over all checkpoints.',
    )
    .requiredOption('--out <study>', 'study folder to write')
    .option('--run <dir>', 'networks, data and split of a run')
    .option(
      '--checkpoints <list>',
      'with --run: epochs (2,4,6); without: ONNX files (a.onnx,b.onnx), or state dicts (a.safetensors)',
      words,
    )
    .option('--learning-rates <list>', 'with files: one for each', listOf(decimal()))
    .option('--network <file>', 'ONNX file of the network whose state dicts the .safetensors checkpoints are')
    .option('--map <file>', 'with .safetensors: JSON {"initializer": "tensor"}, or [["pattern", "replacement"]] applied to the initializer')
    .option('--output <name>', 'output of the network that is taken as logits (default: the first one of full size)');
  addSourceFlags(command)
    .option('--class-names <names>', 'names of the foreground classes in label order, separated by commas', words)
    .addOption(new Option('--loss <loss>', 'of a region (default: dice)').choices(['dice', 'cross-entropy']))
    .addOption(
      new Option('--region <rule>', 'which pixels speak for a class (default: predicted)').choices(['predicted', 'truth', 'slice']),
    )
    .addOption(new Option('--target <what>', 'what test slices are held against (default: truth)').choices(['truth', 'predicted']))
    .option('--parameters <which>', 'all, head, or patterns over initializer names such as "decoder*,*bias" (default: all)')
    .addOption(new Option('--reduction <how>', 'of cross-entropy (default: mean)').choices(['mean', 'sum']))
    .addOption(new Option('--preset <name>', 'paper-code: dice, slice, truth, head, every learning rate 1').choices(['paper-code']))
    .option('--memory <amount>', 'such as 4G; less means more passes over the training slices (default: most of what is free)', bytes)
    .option('--batch <slices>', 'slices computed together (default: what fits, at most 8; 32 on a GPU)', wholeNumber({ least: 1 }))
    .option('--table', 'also write scores.parquet, a long table for pandas')
    .option('--resume', 'go on with an unfinished study in the folder, or join the shards of one')
    .option(
      '--shard <i/n>',
      'compute one share of the study, some of its batches (--batch); begin all n at once if you like, and join them with --resume',
      shard,
    )
    .option('--dry-run', 'print what it would take (memory, passes, disk, time), measured on a few slices; writes nothing')
    .option('--self', 'without test slices: norms (self-influence) and losses of the training regions alone');
  addPrecisionFlag(addEngineFlags(addRegionMaskFlags(command)))
    .addHelpText(
      'after',
      example(
        'tracin-seg influence --run run --out study',
        'tracin-seg influence --network net.onnx --checkpoints a.safetensors,b.safetensors --learning-rates 0.05,0.02 \\',
        '    --train-images x.npy --train-labels y.npy --test-images u.npy --test-labels v.npy --out study',
      ),
    )
    .action((flags: Flags) => runInfluence(flags, context));
}

async function runInfluence(flags: Flags, { signal, reporter }: Context): Promise<void> {
  if (flags.shard && (flags.table ?? flags.resume)) {
    throw usage(`--${flags.table ? 'table' : 'resume'} belongs to the call that joins the shards: leave it out of --shard ones`);
  }
  const { loss, region, target, reduction, preset } = flags;
  const run = flags.run === undefined ? undefined : await openRun(flags.run);
  const files = run ? undefined : await filesOf(flags);
  const networks = files ?? runOf(flags, run!);
  const { engines, notes } = await openEngines(flags.device ?? 'auto', { threads: flags.threads, precision: flags.precision });
  notes.forEach((line) => reporter.note(line));
  const sources = await openSources(flags, run, files ? networkFile(files) : run!.checkpoints[0]?.file, { signal, reporter });
  try {
    const options: InfluenceOptions = {
      train: sources.train,
      test: sources.test,
      datasets: sources.records,
      networks,
      output: flags.output,
      regionMask: await paintedRegions(flags, sources),
      definition: { loss, region, target, reduction, preset, parameters: parametersOf(flags.parameters) },
      classes: flags.classNames,
      out: flags.out,
      engine: engines,
      memory: flags.memory,
      batch: flags.batch,
      resume: flags.resume,
      signal,
      onProgress: reporter.onProgress,
      onPlan: (plan) => describePlan(plan).forEach((line) => reporter.note(line)),
      onNotice: (line) => reporter.note(line),
    };
    if (flags.dryRun) {
      const plan = await planInfluence(options, flags.shard);
      reporter.stop();
      process.stdout.write(`${describePlan(plan).join('\n')}\n`);
      return;
    }
    if (flags.shard) {
      const { missing } = await computeShard(options, flags.shard);
      reporter.stop();
      process.stdout.write(shardWords(flags.shard, missing));
      return;
    }
    const study = await computeInfluence(options);
    if (flags.table) await writeTable(study, { signal, onProgress: reporter.onProgress });
    reporter.stop();
    process.stdout.write(summary(study));
  } finally {
    await sources.close();
  }
}

/** All checkpoints of a run, or those of the epochs listed. */
function runOf({ checkpoints, learningRates, network, map }: Flags, { dir }: Run): NetworkSource {
  if (learningRates) throw usage('--learning-rates belong to files; a run knows its own');
  if (network ?? map) throw usage('--network and --map belong to .safetensors files; a run has networks of its own');
  const epochs = checkpoints?.map((text) => {
    if (!/^\d+$/.test(text)) throw usage(`with --run, --checkpoints takes epochs such as 2,4,6, not ${text}`);
    return Number(text);
  });
  return { run: dir, checkpoints: epochs };
}

/** Files with their rates. */
async function filesOf({ checkpoints, learningRates, network, map }: Flags): Promise<FileSource> {
  if (!checkpoints) throw usage('no networks: name a run with --run, or ONNX files with --checkpoints and --learning-rates');
  return { network, checkpoints, learningRates, map: map === undefined ? undefined : await readNameMap(map) };
}

function parametersOf(text: string | undefined): DefinitionOptions['parameters'] {
  return text === undefined || text === 'all' || text === 'head' ? text : words(text);
}

function shardWords({ index, count }: Shard, missing: number): string {
  const rest =
    missing > 0
      ? `${missing} tiles of the others are missing; when all have ended, the same command with --resume in place of --shard writes the study`
      : 'nothing is missing: the same command with --resume in place of --shard writes the study';
  return `shard ${index}/${count} is done; ${rest}\n`;
}

/** What stands in for the regions m of the test slices. */
function paintedWords({ record: { regionMask } }: Study): string[] {
  if (!regionMask) return [];
  const { file, class: name } = regionMask;
  return [
    `test regions: m = pixels painted${file === null ? '' : ` in ${file}`}, ${name === null ? 'for every class' : `for class ${name}`}`,
  ];
}

function summary(study: Study): string {
  const { tests, trainings, classes, checkpoints, record } = study;
  const absent = tests.absent.length + trainings.absent.length;
  return [
    ...describeDefinition(study.definition),
    ...paintedWords(study),
    `${tests.slices.length} test and ${trainings.slices.length} training slices, classes ${classes.join(', ')}; ${absent} regions absent`,
    `${checkpoints.length} checkpoints, ${record.parameterCount} parameters`,
    ...(record.againstF32 ? [describePrecision(record.engine.precision, record.againstF32)] : []),
    `study in ${relative('.', study.dir) || '.'}`,
    '',
  ].join('\n');
}
