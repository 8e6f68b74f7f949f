import { resolve } from 'node:path';
import { Option, type Command } from 'commander';
import { openEngine } from '../../engine';
import { paintedInfluence, WAYS, type Way } from '../../explanation/painted';
import { NORMALISATIONS, type Normalisation, type RegionInfluence } from '../../influence/normalisation';
import { rank, ZERO_GRADIENT, type RankedRegion, type Ranking } from '../../influence/ranking';
import { openStudy, type Study } from '../../influence/study';
import { decimals, percent } from '../../rounded';
import { caseAndSlice, wholeNumber } from '../arguments';
import { example, type Context } from '../context';
import { addEngineFlags, type EngineFlags } from '../engine-options';
import { table } from '../table';
import { usage } from '../usage';

interface Flags extends EngineFlags {
  readonly regionMask?: string;
  readonly way?: Way;
  readonly batch?: number;
  readonly data?: string;
  readonly run?: string;
  readonly test: ReturnType<typeof caseAndSlice>;
  readonly class: string;
  readonly trainClass?: string;
  readonly by: 'slice' | 'patient';
  readonly normalize: Normalisation;
  readonly top: number;
  readonly json?: true;
}

/** A patient is pointed out when it stands in the leading proponents of more than this share of the test regions. */
const DOMINANT = 0.3;

export function addRank(program: Command, context: Context): void {
  const command = program
    .command('rank')
    .summary('proponents and opponents of a test region')
    .description(
      'Lists the training regions, or patients, that pushed the network towards a test region (proponents) and away from it (opponents).',
    )
    .argument('<study>', 'study folder')
    .requiredOption('--test <case[:slice]>', 'the test slice; without a slice, the one with most pixels of the class', caseAndSlice)
    .requiredOption('--class <name>', 'class of the test region')
    .option('--train-class <name>', 'class of the training regions, or all (default: the same class)')
    .addOption(new Option('--by <what>', 'rank slices, or the sums of patients').choices(['slice', 'patient']).default('slice'))
    .addOption(
      new Option('--normalize <how>', 'none: how much a region weighed; cosine: how alike the gradients are; relative: in between')
        .choices(NORMALISATIONS)
        .default('none'),
    )
    .option('--top <n>', 'length of each list', wholeNumber({ least: 1 }), 10)
    .option('--json', 'machine-readable')
    .option('--region-mask <file>', 'region painted on the test slice (.nii.gz, .npy, .png), in place of the one of --class')
    .addOption(new Option('--way <how>', 'with --region-mask (default: the faster one on the first slices)').choices(WAYS))
    .option('--batch <slices>', 'with --region-mask: slices computed together (default: 8)', wholeNumber({ least: 1 }))
    .option('--data <dir>', 'with --region-mask: folder of the data, where it is not the one in study.json any more')
    .option('--run <dir>', 'with --region-mask: folder of the checkpoints, likewise');
  addEngineFlags(command)
    .addHelpText(
      'after',
      example(
        'tracin-seg rank study --test BraTS2021_00006:92 --class ET --by patient --normalize cosine',
        'tracin-seg rank study --test BraTS2021_00006:92 --class ET --region-mask spot.nii.gz',
      ),
    )
    .action(async (dir: string, { json, ...flags }: Flags) => {
      const study = await openStudy(dir);
      const { test, class: name, trainClass, by, normalize, top } = flags;
      const painted = await paintedRegion(study, flags, context);
      const { signal, reporter } = context;
      const { onProgress } = reporter;
      const ranking = await rank(study, { test, class: name, trainClass, by, normalize, top }, painted, { signal, onProgress });
      reporter.stop();
      process.stdout.write(json ? `${JSON.stringify(ranking, null, 1)}\n` : inWords(ranking));
    });
}

/** What a painted region is influenced by; undefined without one. */
async function paintedRegion(study: Study, flags: Flags, { signal, reporter }: Context): Promise<RegionInfluence | undefined> {
  const { test, class: name, regionMask, way, batch, data, run, device, threads } = flags;
  if (regionMask === undefined) {
    const alone = (['way', 'batch', 'data', 'run', 'device', 'threads'] as const).find((flag) => flags[flag] !== undefined);
    if (alone) throw usage(`--${alone} belongs to --region-mask: without it nothing is computed, the scores are in the study`);
    return undefined;
  }
  const { engine, notes } = await openEngine(device ?? 'auto', { threads });
  notes.forEach((line) => reporter.note(line));
  const found = await paintedInfluence({
    ...{ study, engine, test, class: name, mask: resolve(regionMask), way, batch, data, run, signal },
    onProgress: reporter.onProgress,
    onNotice: (line) => reporter.note(line),
  });
  reporter.stop();
  return found;
}

function inWords(ranking: Ranking): string {
  const { test, trainClass, by, candidates, dominance } = ranking;
  const what = by === 'patient' ? 'patients' : 'regions';
  const lines = [
    `${test.class} of ${test.case}, slice ${test.slice} (${test.pixels} pixels), ranked ${what} of class ${trainClass}: ${candidates}`,
  ];
  if (ranking.zeroGradient) lines.push(ZERO_GRADIENT, '');
  else {
    lines.push(`score: ${scoreWords(ranking)}`, '');
    lines.push('proponents', listing(ranking.proponents, ranking), 'opponents', listing(ranking.opponents, ranking));
  }
  const dominant = dominance.patients.filter(({ share }) => share > DOMINANT);
  if (dominant.length > 0 && dominance.tests > 1) {
    lines.push(
      `patients among the first ${dominance.top} proponents of over ${DOMINANT * 100} % of the ${dominance.tests} test regions of this class that something influences:`,
    );
    lines.push(table(dominant.map(({ patient, share }) => [patient, percent(share)]), [1])); // prettier-ignore
  }
  return `${lines.join('\n').trimEnd()}\n`;
}

function scoreWords({ by, normalize }: Ranking): string {
  const influence = normalize === 'none' ? 'influence T' : `${normalize} influence`;
  const summed = by === 'patient' ? `${influence}, the sum over the patient's regions` : influence;
  return normalize === 'cosine' ? `${summed}; cosine: its mean, −1 to 1` : summed;
}

type Column = readonly [head: string, cell: (region: RankedRegion) => string | number];

function listing(regions: readonly RankedRegion[], { by, normalize }: Ranking): string {
  const only = (shown: boolean, ...columns: Column[]): Column[] => (shown ? columns : []);
  const columns: Column[] = [
    ['rank', ({ rank: place }) => place],
    ['score', ({ score }) => score.toExponential(3)],
    ...only(normalize === 'cosine', ['cosine', ({ cosine }) => decimals(cosine!, 2)]),
    // What follows the patient is the strongest of its regions.
    ...only(by === 'patient', ['patient', ({ patient }) => patient], ['regions', ({ regions: count }) => count]),
    ['case', ({ case: name }) => name],
    ['slice', ({ slice }) => slice],
    ['class', ({ class: name }) => name],
    ['pixels', ({ pixels }) => pixels],
  ];
  const words = ['patient', 'case', 'class'];
  const right = columns.flatMap(([head], i) => (words.includes(head) ? [] : [i]));
  return table([columns.map(([head]) => head), ...regions.map((region) => columns.map(([, cell]) => String(cell(region))))], right);
}
