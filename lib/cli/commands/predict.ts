import { resolve } from 'node:path';
import { Option, type Command } from 'commander';
import { openArrays } from '../../dataset/arrays';
import type { SliceSource } from '../../dataset/slices';
import { predict, type Prediction } from '../../inference/predict';
import { PROVIDER_CHOICES, type ProviderChoice } from '../../inference/providers';
import { openRun, type Run } from '../../training/run';
import { words, wholeNumber } from '../arguments';
import { example, type Context } from '../context';
import { addImageFlags, folderOptions, openFolderFor, recordedIn, type DatasetFlags } from '../dataset-options';
import { table } from '../table';
import { usage } from '../usage';

const PARTS = ['train', 'validation', 'test'] as const;

interface Flags extends Omit<DatasetFlags, 'slices' | 'spread'> {
  readonly run?: string;
  readonly checkpoints?: string;
  readonly out: string;
  readonly output?: string;
  readonly cases?: string[];
  readonly part?: (typeof PARTS)[number];
  readonly images?: string;
  readonly labels?: string;
  readonly classNames?: string[];
  readonly provider: ProviderChoice;
  readonly threads?: number;
  readonly batch?: number;
}

export function addPredict(program: Command, context: Context): void {
  const command = program
    .command('predict')
    .summary('predict label maps with onnxruntime')
    .description(
      'Predicts every slice of the cases; writes label maps with the geometry and the numbering of the data and, where there are labels, a Dice table.',
    )
    .requiredOption('--out <dir>', 'folder to write')
    .option('--run <dir>', 'run folder: its last checkpoint, and the data it was trained on unless --data says otherwise')
    .option('--checkpoints <file>', 'an ONNX file')
    .option('--output <name>', 'output of the network that is taken as logits (default: the first one of full size)');
  addImageFlags(command)
    .option('--cases <cases>', 'only these, separated by commas', words)
    .addOption(new Option('--part <name>', "only this part of the run's split").choices(PARTS).conflicts('cases'))
    .addOption(
      new Option('--images <file>', 'instead of --data: float32 [N, M, H, W] .npy or .npz').conflicts([
        'data',
        'layout',
        'modalities',
        'classes',
        'cases',
        'part',
      ]),
    )
    .option('--labels <file>', 'with --images: uint8 [N, H, W] .npy or .npz')
    .option('--class-names <names>', 'with --images: names of the labels 1, 2, …, separated by commas', words)
    .addOption(
      new Option('--provider <name>', 'where onnxruntime runs: this one or an error; with ",cpu" the CPU where it is not available')
        .choices(PROVIDER_CHOICES)
        .default('cpu'),
    )
    .option('--threads <n>', 'CPU threads (default: one for each core)', wholeNumber({ least: 1, most: 1024 }))
    .option('--batch <slices>', 'slices in one forward pass (default: 8)', wholeNumber({ least: 1 }))
    .addHelpText(
      'after',
      example(
        'tracin-seg predict --run run --part test --out predicted',
        'tracin-seg predict --checkpoints net.onnx --data BraTS --out predicted',
      ),
    )
    .action((flags: Flags) => runPrediction(flags, context));
}

async function runPrediction(flags: Flags, { signal, reporter }: Context): Promise<void> {
  const { run: dir, checkpoints: file, out, output, provider, threads, batch } = flags;
  if ((dir === undefined) === (file === undefined)) throw usage('name the network with either --run or --checkpoints');
  const run = dir === undefined ? undefined : await openRun(dir);
  const network = run ? { run: run.dir } : { checkpoint: file! };
  const data =
    flags.images === undefined ? await openCases(flags, run, { signal, reporter }) : await openArrays(arraysOf(flags, flags.images, run));
  try {
    const prediction = await predict({ network, data, out, output, provider, threads, batch, signal, onProgress: reporter.onProgress });
    prediction.notes.forEach((line) => reporter.note(line));
    reporter.note(
      `${prediction.files.length} label files in ${prediction.out}, predicted by ${prediction.checkpoint} on ${prediction.provider}`,
    );
    if (prediction.dice.length > 0) process.stdout.write(diceTable(prediction));
  } finally {
    await data.close();
  }
}

async function openCases(flags: Flags, run: Run | undefined, context: Context): Promise<SliceSource> {
  if (flags.labels ?? flags.classNames) throw usage('--labels and --class-names belong to --images');
  if (flags.part && !run) throw usage('--part is of a run: name it with --run, or name --cases');
  const cases = flags.part ? run!.split[flags.part] : flags.cases;
  if (cases?.length === 0) throw usage(`the ${flags.part} part of ${run!.dir} is empty: choose another, or name --cases`);
  const last = run ? run.checkpoints.at(-1)?.file : flags.checkpoints;
  return openFolderFor(last, { ...folderOptions(flags, recordedIn(run)), slices: 'all', cases }, context);
}

function arraysOf({ labels, classNames }: Flags, images: string, run: Run | undefined) {
  return { images: resolve(images), labels: labels && resolve(labels), classes: classNames ?? run?.classes, role: 'test' } as const;
}

function diceTable({ dice, mean, classes }: Prediction): string {
  const cells = (values: readonly (number | null)[]): string[] => values.map((value) => value?.toFixed(3) ?? '-');
  const rows = dice.map((row) => [row.case, ...cells(row.dice)]);
  return table([['Dice', ...classes], ...rows, ['mean', ...cells(mean)]], classes.map((_, k) => k + 1)); // prettier-ignore
}
