/** The labels to look at first, pictured. */
import { readAudit } from '../faithfulness/audit-files';
import type { Study } from '../influence/study';
import type { Shelf } from './album';
import type { AuditReport } from './model';

/** Patients listed. */
const FIRST = 10;

/** What `audit` found; undefined where it has not been run. */
export async function auditReport(study: Study, train: Shelf | undefined): Promise<AuditReport | undefined> {
  const found = await readAudit(study.dir);
  if (!found) return undefined;
  const patients = [];
  for (const one of found.patients.slice(0, FIRST)) patients.push({ ...one, shown: train && (await worstSlice(study, train, one.worst)) });
  return { ...found, patients, of: found.patients.length };
}

async function worstSlice(
  study: Study,
  train: Shelf,
  worst: { readonly case: string; readonly slice: number },
): Promise<AuditReport['patients'][number]['shown']> {
  const row = study.trainings.slices.findIndex((one) => one.case === worst.case && one.index === worst.slice);
  const slice = study.trainings.slices[row];
  if (!slice) return undefined;
  const { labels } = await train.read(slice);
  const predicted = await study.predicted('train', row);
  const modality = train.modalities.includes('FLAIR') ? 'FLAIR' : train.modalities[0]!;
  const outlines = (map: Uint8Array): string[] => train.outlines(slice.case, map, study.classes.length);
  return { modality, picture: await train.draw(slice, modality), truth: outlines(labels!), predicted: predicted && outlines(predicted) };
}
