/** What a page does not show of a study, and which commands make it: only such as work for that very study. */
import { resolve } from 'node:path';
import { datasetRecordSchema, sourceRecordSchema } from '../dataset/record';
import { featureHead } from '../explanation/head';
import { runOf } from '../faithfulness/subject';
import { lower } from '../graph/lower';
import { readOnnx } from '../graph/onnx';
import { isGraphError } from '../graph/view';
import { isInPlace } from '../influence/reopen';
import type { Study } from '../influence/study';
import type { ReportSubject } from './build';
import type { Missing, NetworkReport } from './model';

type Parts = Pick<NetworkReport, 'dice' | 'slices' | 'features' | 'faithfulness' | 'stability' | 'audit'>;

export async function missingParts(subject: ReportSubject, parts: Parts): Promise<Missing[]> {
  const { study, test, train } = subject;
  const { data, checkpoints } = isInPlace(study);
  const pictured = test !== undefined && train !== undefined;
  // Data that cannot be opened where they are may have changed, or lie elsewhere: those that are named are taken.
  const [named, run] = [pictured && data ? '' : ' --data DATA', checkpoints ? '' : ' --run RUN'];
  const opened = data !== undefined;
  const found: Missing[] = [];
  const add = (lacks: boolean, what: string, ...commands: string[]): void => void (lacks && found.push({ what, commands }));
  add(opened && !pictured, 'Pictures of slices, outlines and maps: the data were not at hand', `report STUDY${named} --out FILE.html`);
  if (study.tests.slices.length > 0) {
    const ranked = parts.slices.flatMap(({ regions }) => regions.flatMap(({ rankings }) => rankings));
    const shown = ranked.flatMap(({ proponents, opponents }) => [...proponents, ...opponents]);
    const mapped = shown.length === 0 || shown.some(({ maps }) => maps);
    add(opened && pictured && !mapped, 'Influence maps', `report STUDY${named}${run} --out FILE.html`);
    const predict = parts.dice || !pictured || named || run || !test.labelled ? undefined : await predictWords(study);
    add(predict !== undefined, 'Dice: the study holds no predictions', predict!, 'report STUDY --predicted PREDICTED --out FILE.html');
    const featured = opened && (parts.features !== undefined || !checkpoints || (await hasFeatures(study)));
    add(featured && !parts.features, 'Interpretative maps of features', `explain STUDY --features${named}${run}`);
    add(featured && !parts.faithfulness, 'Tests of what the study claims', `faithfulness STUDY --quick${named}${run}`);
    const ablation = parts.faithfulness?.ablation;
    const unablated = featured && parts.faithfulness !== undefined && (!ablation || 'skipped' in ablation);
    const ablate = `faithfulness STUDY --only ablation --held-out CASES${named}${run}`;
    add(unablated && (await hasOtherCases(study)), 'Dice lost without features', ablate);
    add(!parts.stability, 'Other training seeds', 'stability STUDY STUDY_OF_ANOTHER_SEED');
  }
  add(opened && !parts.audit, 'Labels to look at first', `audit STUDY${named}${run}`);
  return found;
}

/** What predicts the test slices; undefined where there is no whole network to predict with. */
async function predictWords(study: Study): Promise<string | undefined> {
  const { record } = study;
  if (record.network) return undefined;
  const run = await runOf(study).catch(() => undefined);
  if (run) return `predict --run RUN --${run.split.test.length > 0 ? 'part test' : 'cases CASES'} --out PREDICTED`;
  const source = sourceRecordSchema.parse(record.datasets.test.options);
  const data = source.layout === 'arrays' ? '--images TEST.npy --labels LABELS.npy' : '--data DATA --cases CASES';
  return `predict --checkpoints LAST.onnx ${data} --out PREDICTED`;
}

/** Whether the last layer is one whose maps are features. */
async function hasFeatures({ dir, record, checkpoints }: Study): Promise<boolean> {
  const { size, output, network } = record;
  try {
    const graph = await readOnnx(network ? resolve(dir, network.file) : checkpoints[0]!.file);
    featureHead(lower(graph, size, { output }), graph.source);
    return true;
  } catch (error) {
    if (isGraphError(error)) return false;
    throw error;
  }
}

/** Whether the study's run has data, of which cases could be held out. */
async function hasOtherCases(study: Study): Promise<boolean> {
  const run = await runOf(study).catch(() => undefined);
  return datasetRecordSchema.safeParse(run?.data.options).success;
}
