/** audit.csv: one row a patient, with two columns that annotators fill in, and the names of the pictures that go with it. */
import { readFile } from 'node:fs/promises';
import { csvLine, parseCsv } from '../csv';
import { TracinError } from '../errors';
import type { Audit } from '../faithfulness/audit';
import { FOUND_BY } from '../faithfulness/planted';
import { fileError } from '../files';

/** What the annotators said of each patient, and the pictures of an audit before this one. */
export interface EarlierAudit {
  readonly words: ReadonlyMap<string, readonly [verdict: string, comment: string]>;
  readonly pictures: readonly string[];
}

const OURS = ['rank', 'patient', 'worst_slice', 'verdict', 'comment'] as const;

/**
 * What the table of an audit before this one says.
 * @param patients those that are audited now
 * @throws ERR_TRACIN_DATA where something is written in it that a table of these patients would not hold any more
 */
export async function readEarlier(path: string, patients: readonly string[]): Promise<EarlierAudit> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { words: new Map(), pictures: [] };
    throw fileError(error, 'read', path);
  }
  const refuse = (what: string) =>
    new TracinError('ERR_TRACIN_DATA', `${path}: ${what}: move it away, or choose another folder with --out`);
  const [head = [], ...rows] = parseCsv(text);
  const missing = OURS.find((name) => !head.includes(name));
  if (missing !== undefined) throw refuse(`has no column ${missing} and would be replaced`);
  const [rank, patient, slice, verdict, comment] = OURS.map((name) => head.indexOf(name)) as [number, number, number, number, number];
  const words = new Map<string, readonly [string, string]>();
  for (const row of rows) {
    if (!row[verdict] && !row[comment]) continue;
    const name = row[patient]!;
    if (!patients.includes(name)) throw refuse(`holds a verdict on ${name}, whose labels are not audited now, and would be replaced`);
    words.set(name, [row[verdict] ?? '', row[comment] ?? '']);
  }
  return { words, pictures: rows.map((row) => pictureName(Number(row[rank]), row[patient]!, Number(row[slice]))) };
}

/** Of the slice of a patient that is looked at first. */
export function pictureName(rank: number, patient: string, slice: number): string {
  return `${String(rank).padStart(3, '0')}-${patient.replaceAll(/[^\w.-]/g, '_')}-${slice}.png`;
}

/** One row a patient, with what the annotators have said already. */
export function encodeAudit({ classes, patients }: Audit, words: EarlierAudit['words']): string {
  const scores = FOUND_BY.filter((score) => patients[0]!.scores[score] !== undefined);
  const head = [
    'rank',
    'patient',
    'slices',
    'worst_case',
    'worst_slice',
    ...scores,
    ...classes.map((name) => `selfInfluence_${name}`),
    'verdict',
    'comment',
  ];
  const rows = patients.map((one) =>
    csvLine([
      one.rank,
      one.patient,
      one.slices,
      one.worst.case,
      one.worst.slice,
      ...scores.map((score) => one.scores[score]!),
      ...one.selfInfluenceByClass,
      ...(words.get(one.patient) ?? [null, null]),
    ]),
  );
  return [csvLine(head), ...rows, ''].join('\n');
}
