import { join, relative, resolve } from 'node:path';
import { Option, type Command } from 'commander';
import { changeFile } from '../../change-file';
import type { SliceSource } from '../../dataset/slices';
import { openEngine } from '../../engine';
import { audit, type Audit } from '../../faithfulness/audit';
import { auditPaths, auditRecord } from '../../faithfulness/audit-files';
import { readEvidence } from '../../faithfulness/files';
import { FOUND_BY as ORDERS, type FoundBy } from '../../faithfulness/planted';
import { removeFile, replaceFile } from '../../files';
import { reopenSides } from '../../influence/reopen';
import { toJson } from '../../json';
import type { Study } from '../../influence/study';
import { drawAuditSlice } from '../../report/audit-picture';
import { wholeNumber, words } from '../arguments';
import { encodeAudit, pictureName, readEarlier } from '../audit-table';
import { example, type Context } from '../context';
import { addEngineFlags, type EngineFlags } from '../engine-options';
import { studyOrRun } from '../study-or-run';
import { table } from '../table';

interface Flags extends EngineFlags {
  readonly order?: FoundBy;
  readonly evidence?: string;
  readonly trusted?: string[];
  readonly top: number;
  readonly out?: string;
  readonly modality?: string;
  readonly batch?: number;
  readonly data?: string;
  readonly run?: string;
  readonly json?: true;
}

export function addAudit(program: Command, context: Context): void {
  const command = program
    .command('audit')
    .summary('training patients whose labels should be looked at first')
    .description(
      'Scores the labels of every training patient, by the loss of the network on them and by influence; writes a table and pictures to take to the annotators.',
    )
    .argument('<study>', 'study folder, or the folder of a run whose study is computed first')
    .addOption(new Option('--order <score>', 'what patients are ordered by (default: what the evidence favours)').choices(ORDERS))
    .option('--evidence <study>', 'study on which `faithfulness --only faults` has been run (default: this one, if it has)')
    .option('--trusted <cases>', 'test cases whose labels are trusted, separated by commas (default: all)', words)
    .option('--top <n>', 'patients listed and pictured', wholeNumber({ least: 1 }), 10)
    .option('--out <dir>', 'folder for audit.csv and the pictures (default: STUDY/audit)')
    .option('--modality <name>', 'of the pictures (default: FLAIR, else the first)')
    .option('--batch <slices>', 'slices computed together (default: 8)', wholeNumber({ least: 1 }))
    .option('--data <dir>', 'folder of the data, where it is not the one in study.json any more')
    .option('--run <dir>', 'folder of the checkpoints, likewise')
    .option('--json', 'machine-readable');
  addEngineFlags(command)
    .addHelpText('after', example('tracin-seg audit study', 'tracin-seg audit run --order opposition --top 20'))
    .action((dir: string, flags: Flags) => runAudit(dir, flags, context));
}

async function runAudit(dir: string, flags: Flags, context: Context): Promise<void> {
  const { signal, reporter } = context;
  const { engine, notes } = await openEngine(flags.device ?? 'auto', { threads: flags.threads });
  notes.forEach((line) => reporter.note(line));
  const study = await studyOrRun(dir, engine, context);
  const evidence = await readEvidence(flags.evidence === undefined ? study.dir : resolve(flags.evidence), flags.evidence !== undefined);
  const out = resolve(flags.out ?? auditPaths(study.dir).folder);
  const file = join(out, 'audit.csv');
  const audited = study.trainings.slices.map(({ patient }) => patient);
  await readEarlier(file, audited); // before the work
  const { order, trusted, batch, data, run } = flags;
  const found = await audit({ study, engine, order, evidence, trusted, batch, data, run, signal, onProgress: reporter.onProgress });
  await replaceFile(auditPaths(study.dir).record, toJson(auditRecord(found)));
  // Annotators may write into the table meanwhile.
  await changeFile(file, async () => {
    const earlier = await readEarlier(file, audited);
    for (const picture of earlier.pictures) await removeFile(join(out, picture));
    return encodeAudit(found, earlier.words);
  });
  await drawPictures(study, found, out, flags, context);
  reporter.stop();
  process.stdout.write(flags.json ? `${JSON.stringify(found, null, 1)}\n` : inWords(found, flags.top, out));
}

/** The worst slice of each of the first patients. */
async function drawPictures(
  study: Study,
  { patients }: Audit,
  out: string,
  { top, modality: wanted, data }: Flags,
  { signal, reporter }: Context,
): Promise<void> {
  const sides = await reopenSides(study, { data, signal });
  const source: SliceSource = sides.datasets.train ?? sides.train.source;
  try {
    const modality = Math.max(0, source.modalities.indexOf(wanted ?? 'FLAIR'));
    const shown = patients.slice(0, top);
    for (const [i, { rank, patient, worst }] of shown.entries()) {
      const is = (slice: { case: string; index: number }): boolean => slice.case === worst.case && slice.index === worst.slice;
      const predicted = await study.predicted('train', study.trainings.slices.findIndex(is));
      const png = await drawAuditSlice(source, source.slices.findIndex(is), modality, predicted);
      await replaceFile(join(out, pictureName(rank, patient, worst.slice)), png);
      reporter.onProgress({ stage: 'pictures', done: i + 1, total: shown.length });
    }
  } finally {
    await sides.close();
  }
}

function inWords({ order, evidence, patients }: Audit, top: number, out: string): string {
  const columns = ORDERS.filter((score) => patients[0]!.scores[score] !== undefined);
  const head = ['rank', 'patient', ...columns, 'worst slice'];
  const rows = patients
    .slice(0, top)
    .map(({ rank, patient, scores, worst }) => [
      String(rank),
      patient,
      ...columns.map((score) => scores[score]?.toPrecision(3) ?? '-'),
      `${worst.case}:${worst.slice}`,
    ]);
  const right = [0, ...columns.map((_, i) => i + 2)];
  return `labels to look at first, by ${order}: ${evidence}\n${table([head, ...rows], right)}table and pictures in ${relative('.', out) || '.'}\n`;
}
