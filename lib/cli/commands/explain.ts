import { join, relative } from 'node:path';
import { Option, type Command } from 'commander';
import { openEngine } from '../../engine';
import { computeFeatures } from '../../explanation/features';
import { featurePaths, type Features } from '../../explanation/files';
import { SIMILARITIES, type Similarity } from '../../explanation/similarity';
import { replaceFile } from '../../files';
import { NORMALISATIONS } from '../../influence/normalisation';
import { openStudy, type Study } from '../../influence/study';
import { FILE_INK, loadDrawing } from '../../report/charts';
import { interpretativeMap } from '../../report/feature-report';
import { drawInterpretativeMap, interpretativeFiles } from '../../report/interpretative-map';
import { decimals } from '../../rounded';
import { wholeNumber } from '../arguments';
import { example, type Context } from '../context';
import { addEngineFlags, type EngineFlags } from '../engine-options';
import { addMapFlags, checkMapFlags, explainMaps, type MapFlags } from '../explain-maps';
import { table } from '../table';
import { usage } from '../usage';

interface Flags extends EngineFlags, MapFlags {
  readonly features?: true;
  readonly similarity?: Similarity;
  readonly shuffles?: number;
  readonly seed?: number;
  readonly batch?: number;
}

export function addExplain(program: Command, context: Context): void {
  const command = program
    .command('explain')
    .summary('what in the images and in the network an influence comes from')
    .description(
      'With --maps: which pixels of the strongest training regions, and of the test region, an influence comes from. With --features: which feature maps of the last hidden layer the strongest training regions share with their test regions.',
    )
    .argument('<study>', 'study folder');
  addMapFlags(command)
    .option('--features', 'compute feature importance, the features it selects and the split of T by feature, into STUDY/features')
    .addOption(new Option('--similarity <how>', 'of two regions in a feature (default: max-ratio)').choices(SIMILARITIES))
    .addOption(new Option('--normalize <how>', 'the influence that regions are ranked by (default: none)').choices(NORMALISATIONS))
    .option('--shuffles <n>', 'of the ranks, that features are selected against (default: 200)', wholeNumber({ least: 20 }))
    .option('--seed <n>', 'of the shuffles (default: 1)', wholeNumber())
    .option('--batch <slices>', 'slices computed together (default: 8)', wholeNumber({ least: 1 }))
    .option('--data <dir>', 'folder of the data, where it is not the one in study.json any more')
    .option('--run <dir>', 'folder of the checkpoints, likewise')
    .option('--json', 'machine-readable');
  addEngineFlags(command)
    .addHelpText(
      'after',
      example(
        'tracin-seg explain study --maps --test BraTS2021_00006:92 --class ET --top 3',
        'tracin-seg explain study --features',
        'tracin-seg explain study --features --similarity cosine-centred',
      ),
    )
    .action((dir: string, flags: Flags) => runExplain(dir, flags, context));
}

async function runExplain(dir: string, flags: Flags, context: Context): Promise<void> {
  checkMapFlags(flags);
  if (!flags.maps && !flags.features) throw usage('nothing to explain: say what with --maps or --features');
  if (flags.maps && flags.features && flags.json)
    throw usage('--json tells of one thing at a time: ask for --maps and for --features by themselves');
  const study = await openStudy(dir);
  const { engine, notes } = await openEngine(flags.device ?? 'auto', { threads: flags.threads });
  notes.forEach((line) => context.reporter.note(line));
  if (flags.maps) await explainMaps(study, engine, flags, context);
  if (flags.features) await explainFeatures(study, engine, flags, context);
}

async function explainFeatures(
  study: Study,
  engine: Awaited<ReturnType<typeof openEngine>>['engine'],
  { similarity, normalize, shuffles, seed, batch, data, run, json }: Flags,
  { signal, reporter }: Context,
): Promise<void> {
  const { onProgress } = reporter;
  const { folder } = featurePaths(study.dir);
  const drawing = await loadDrawing();
  const onFound = async (found: Features, importance: Float32Array): Promise<void> => {
    for (const [k, file] of interpretativeFiles(found.classes.map((one) => one.class)).entries()) {
      const map = interpretativeMap(found, importance, k);
      await replaceFile(join(folder, file), `${drawInterpretativeMap(found, map, k, drawing, FILE_INK).text}\n`);
    }
  };
  const features = await computeFeatures({ study, engine, similarity, normalize, shuffles, seed, batch, data, run, signal, onProgress, onFound }); // prettier-ignore
  reporter.stop();
  process.stdout.write(json ? `${JSON.stringify(features, null, 1)}\n` : featureWords(study, features));
}

function featureWords(study: Study, { similarity, normalize, features, kernel, shuffles, seed, classes }: Features): string {
  const ranked = normalize === 'none' ? 'influence T' : `${normalize} influence`;
  const lines = [
    `${features} features (the maps that ${kernel} reads), similarity ${similarity}, training regions ranked by ${ranked}`,
    `selected: contrast between the first and the middle third of ranks above 95 % of ${shuffles} shuffles (seed ${seed}); one in twenty is by chance`,
    '',
  ];
  for (const { class: name, tests, trainings, features: scores } of classes) {
    const chosen = scores.filter(({ selected }) => selected).sort((a, b) => b.contrast! - a.contrast!);
    lines.push(`${name}: ${chosen.length} of ${features} selected (${tests} test, ${trainings} training regions)`);
    const rows = chosen.map(({ feature, contrast, threshold }) => [String(feature), decimals(contrast!, 4), decimals(threshold!, 4)]);
    if (rows.length > 0) lines.push(table([['feature', 'contrast', 'by chance'], ...rows], [0, 1, 2]).trimEnd());
  }
  return `${lines.join('\n')}\nfeatures in ${relative('.', featurePaths(study.dir).folder) || '.'}\n`;
}
