/** Which cases train, which choose (validation), which test: always whole patients, so that no one is in two parts. */
import { readFile } from 'node:fs/promises';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { z } from 'zod';
import { TracinError } from '../errors';
import { fileError, replaceFile } from '../files';
import { anyPath, check, list, optional, shape, share, text, whole } from '../kinds';

const PARTS = ['train', 'validation', 'test'] as const;

/** Case names of each part. */
export interface Split {
  readonly train: readonly string[];
  readonly validation: readonly string[];
  readonly test: readonly string[];
}

/** A case to be put into a part of a split; those of one patient stay together. */
export interface SplitCase {
  readonly case: string;
  readonly patient: string;
}

/** The parts of a split and its seed. */
export interface SplitOptions {
  /** Shares of the patients, summing to 1; a part of share 0 stays empty. */
  readonly train: number;
  readonly validation: number;
  readonly test: number;
  readonly seed: number;
}

const CASES = list(shape<SplitCase>({ case: text, patient: text }));
const OPTIONS = shape<SplitOptions>({ train: share, validation: share, test: share, seed: whole() });

/**
 * Shuffles the patients by the seed and deals them out; each part that is asked for gets at least one patient.
 * The order of `cases` does not matter.
 * @throws ERR_TRACIN_USAGE on shares that are not shares, ERR_TRACIN_DATA when there are fewer patients than parts
 */
export function splitByPatient(cases: readonly SplitCase[], options: SplitOptions): Split {
  check('splitByPatient', { cases, options }, { cases: CASES, options: OPTIONS });
  const shares = PARTS.map((part) => options[part]);
  if (Math.abs(shares.reduce((a, b) => a + b) - 1) > 1e-9) {
    throw new TracinError('ERR_TRACIN_USAGE', `split: the shares ${shares.join(', ')} of train, validation, test must sum to 1`);
  }
  const patients = [...new Set(cases.map((one) => one.patient))].sort();
  const counts = deal(patients.length, shares);
  const generator = xoroshiro128plus(options.seed);
  for (let i = patients.length - 1; i > 0; i--) {
    const j = uniformInt(generator, 0, i);
    [patients[i], patients[j]] = [patients[j]!, patients[i]!];
  }
  let start = 0;
  const parts = counts.map((count) => {
    const chosen = new Set(patients.slice(start, (start += count)));
    return cases.filter((one) => chosen.has(one.patient)).map((one) => one.case).sort(); // prettier-ignore
  });
  return { train: parts[0]!, validation: parts[1]!, test: parts[2]! };
}

/** Whole numbers in proportion to the shares (largest remainder), at least one where the share is not 0. */
function deal(total: number, shares: readonly number[]): number[] {
  const wanted = shares.filter((share) => share > 0).length;
  if (total < wanted)
    throw new TracinError('ERR_TRACIN_DATA', `split: ${total} patients cannot fill ${wanted} parts: add patients or ask for fewer parts`);
  const counts = shares.map((share) => (share > 0 ? Math.max(1, Math.floor(share * total)) : 0));
  const lack = (part: number): number => shares[part]! * total - counts[part]!;
  const eligible = shares.flatMap((share, part) => (share > 0 ? [part] : []));
  for (let rest = total - counts.reduce((a, b) => a + b); rest !== 0; rest -= Math.sign(rest)) {
    const order = [...eligible].sort((a, b) => lack(b) - lack(a));
    const part = rest > 0 ? order[0]! : order.reverse().find((one) => counts[one]! > 1)!;
    counts[part]! += Math.sign(rest);
  }
  return counts;
}

const Names = z.array(z.string().min(1));
const SplitFile = z.strictObject({ train: Names.min(1), validation: Names.default([]), test: Names.default([]) });

/**
 * Reads `{ "train": [...], "validation": [...], "test": [...] }`.
 * @param cases the dataset's cases, to check the names and the patients against
 * @throws ERR_TRACIN_DATA naming the field: no training case, a case twice, in two parts or unknown, a patient in two parts
 */
export async function readSplit(path: string, cases?: readonly SplitCase[]): Promise<Split> {
  check('readSplit', { path, cases }, { path: anyPath, cases: optional(CASES) });
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw fileError(error, 'read', path);
  });
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (cause) {
    throw new TracinError('ERR_TRACIN_DATA', `${path}: is not JSON: ${(cause as Error).message}`, { cause });
  }
  const parsed = SplitFile.safeParse(content);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    const empty = issue.code === 'too_small' && issue.path.length === 1;
    const where = issue.path.join('.') || 'the file';
    const what = empty
      ? 'is empty: name at least one case'
      : `${issue.message}: write {"train": [...], "validation": [...], "test": [...]}`;
    throw new TracinError('ERR_TRACIN_DATA', `${path}: ${where} ${what}`);
  }
  assertSplit(parsed.data, path, cases);
  return parsed.data;
}

/** The checks of {@link readSplit} on a split that is already in memory; `source` names it in the message. */
export function assertSplit(split: Split, source: string, cases?: readonly SplitCase[]): void {
  const patientOf = cases && new Map(cases.map((one) => [one.case, one.patient]));
  const partOfCase = new Map<string, string>();
  const partOfPatient = new Map<string, string>();
  for (const part of PARTS) {
    for (const name of split[part]) {
      const before = partOfCase.get(name);
      if (before !== undefined)
        throw new TracinError(
          'ERR_TRACIN_DATA',
          `${source}: case ${name} stands ${before === part ? `twice in ${part}` : `in ${before} and in ${part}`}: name it once`,
        );
      partOfCase.set(name, part);
      if (!patientOf) continue;
      const patient = patientOf.get(name);
      if (patient === undefined)
        throw new TracinError('ERR_TRACIN_DATA', `${source}: ${part} names case ${name}, which the data does not have: correct the name`);
      const other = partOfPatient.get(patient) ?? part;
      if (other !== part)
        throw new TracinError(
          'ERR_TRACIN_DATA',
          `${source}: patient ${patient} is in ${other} and in ${part} (case ${name}): keep all cases of a patient together`,
        );
      partOfPatient.set(patient, part);
    }
  }
}

/** Writes a split file that {@link readSplit} reads. */
export async function writeSplit(path: string, { train, validation, test }: Split): Promise<void> {
  await replaceFile(path, `${JSON.stringify({ train, validation, test }, null, 2)}\n`);
}
