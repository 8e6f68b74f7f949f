/** Synthetic patients in the BraTS layout, for trying things without data and for studies with known label errors. */
import { readFile, readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { TracinError, throwIfAborted } from '../errors';
import { createFile, fileError, removeFile, replaceFile } from '../files';
import { CALL, anyPath, check, kindOf, list, oneOf, optional, shape, share, whole } from '../kinds';
import type { OnProgress } from '../progress';
import { BRATS_LABELS } from './brats';
import { writeLabelDescription } from './label-description';
import type { ScannerName } from './phantom/contrast';
import { FAULTS, type Fault } from './phantom/faults';
import { Random, gridOf } from './phantom/fields';
import type { PatientRequest } from './phantom/phantom-worker';
import { splitByPatient, writeSplit, type Split } from './split';
import { WorkerPool } from './worker-pool';

/** How many synthetic patients are drawn, of what size, and how many of their labels are corrupted. */
export interface PhantomOptions {
  /** Patients; default 24. */
  readonly cases?: number | undefined;
  /** Pixels along the sides of an axial slice, there are half as many slices; default 96. The field of view is 192 × 192 × 144 mm. */
  readonly size?: number | undefined;
  /** Default 1. The same seed writes the same bytes. */
  readonly seed?: number | undefined;
  /** Share of the training patients whose labels are corrupted, 0 to 1; default 0. */
  readonly planted?: number | undefined;
  /** Ways in which they are corrupted, in turn; default all of {@link FAULTS}. */
  readonly faults?: readonly Fault[] | undefined;
  /** Least and largest amount of a fault, pixels; default [1, 2]. */
  readonly faultPixels?: readonly [number, number] | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnProgress | undefined;
}

/** A synthetic patient, and the parts its tumour has. */
export interface PhantomCase {
  readonly case: string;
  readonly scanner: ScannerName;
  /** Whether the tumour has a necrotic and an enhancing part. */
  readonly ncr: boolean;
  readonly et: boolean;
}

/** A corrupted training label; `amount` is pixels for erode, dilate and shift, and 1 (all of it) for a swap of ET and NCR. */
export interface PlantedFault {
  readonly case: string;
  readonly fault: Fault;
  readonly amount: number;
}

/** A folder of synthetic patients that was written, and what is in it. */
export interface Phantom {
  readonly dir: string;
  readonly cases: readonly PhantomCase[];
  readonly split: Split;
  readonly planted: readonly PlantedFault[];
}

const OPTIONS = shape<PhantomOptions>({
  ...CALL,
  cases: optional(whole(1, 100_000)),
  size: optional(whole(16, 512)),
  seed: optional(whole(0, 2 ** 31 - 1)),
  planted: optional(share),
  faults: optional(list(oneOf(FAULTS))),
  faultPixels: optional(kindOf('[least, largest], whole numbers of at least 1', isRange)),
});

function isRange(value: unknown): boolean {
  if (!Array.isArray(value) || value.length !== 2 || !value.every((pixels) => Number.isInteger(pixels))) return false;
  const [least, largest] = value as [number, number];
  return 1 <= least && least <= largest;
}

/** One patient in this many has a tumour without NCR, and another one without ET. */
const SPECIAL = 6;

/**
 * Writes `Phantom_001/…` and so on, `phantom.json` (scanner and tumour of each), `split.json` (train 2/3, validation 1/12, test 1/4),
 * `labels.txt` for ITK-SNAP and, where faults were asked for, `planted.json`.
 * @throws ERR_TRACIN_USAGE on options that cannot be meant, or a folder that holds patients of a larger phantom or gets those of another one
 */
export async function writePhantom(dir: string, options: PhantomOptions = {}): Promise<Phantom> {
  check('writePhantom', { dir, options }, { dir: anyPath, options: OPTIONS });
  const {
    cases: count = 24,
    size = 96,
    seed = 1,
    planted: wanted = 0,
    faults = FAULTS,
    faultPixels = [1, 2],
    signal,
    onProgress,
  } = options;
  if (faults.length === 0) throw new TracinError('ERR_TRACIN_USAGE', `no faults are chosen: choose some of ${FAULTS.join(', ')}`);
  if (faultPixels[1] > size)
    throw new TracinError('ERR_TRACIN_USAGE', `faults of ${faultPixels[1]} pixels are larger than slices of ${size}: choose smaller ones`);
  throwIfAborted(signal);
  const folder = resolve(dir);
  const random = new Random(seed);
  const cases = drawCases(count, random);
  const names = cases.map((one) => one.case);
  await assertNoOthers(folder, names);
  const split = splitOf(names, seed);
  // Drawn before the faults, so that planting some changes labels and nothing else.
  const seeds = names.map(() => random.seed());
  const planted = drawFaults(split.train, wanted, faults, faultPixels, random);

  // Of a phantom before this one: they must not speak of patients of which some are new.
  const files = ['phantom.json', 'planted.json', 'split.json'].map((name) => join(folder, name));
  const forget = async (): Promise<void> => {
    for (const file of files) await removeFile(file);
  };
  await forget();
  const workers = new WorkerPool('dataset/phantom/phantom-worker');
  const failed = new AbortController();
  const stop = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal;
  let done = 0;
  try {
    await Promise.all(
      cases.map(async ({ case: name, scanner, ncr, et }, i) => {
        const fault = planted.find((one) => one.case === name);
        const request: PatientRequest = { dir: folder, case: name, size, seed: seeds[i]!, scanner, traits: { ncr, et }, fault };
        await workers.call('write', request, stop);
        onProgress?.({ stage: 'phantom', done: ++done, total: count });
      }),
    );
  } finally {
    failed.abort();
    await workers.close();
  }
  const [recordFile, plantedFile, splitFile] = files as [string, string, string];
  await writeSplit(splitFile, split);
  await writeLabelDescription(folder, BRATS_LABELS);
  if (planted.length > 0) await replaceFile(plantedFile, `${JSON.stringify(planted, null, 2)}\n`);
  const { shape, spacing } = gridOf(size);
  const record = `${JSON.stringify({ formatVersion: 1, seed, shape, spacing, planted: wanted, cases }, null, 2)}\n`;
  if (!(await createFile(recordFile, record)) && (await readFile(recordFile, 'utf8').catch(() => '')) !== record) {
    await forget();
    const message = `${folder}: another phantom was written into it at the same time: write one of them again, and the other into its own folder`;
    throw new TracinError('ERR_TRACIN_USAGE', message);
  }
  return { dir: folder, cases, split, planted };
}

/** A folder with patients left over from another phantom would mix the two. */
async function assertNoOthers(dir: string, names: readonly string[]): Promise<void> {
  const present = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw fileError(error, 'read', dir);
  });
  const own = new Set(names);
  const other = present.find((name) => /^Phantom_\d+$/.test(name) && !own.has(name));
  if (other !== undefined) throw new TracinError('ERR_TRACIN_USAGE', `${dir}: holds ${other} of a larger phantom: choose an empty folder`);
}

function drawCases(count: number, random: Random): PhantomCase[] {
  const numbers = Array.from({ length: count }, (_, i) => i);
  const scanners = random.shuffle(numbers.map((i): ScannerName => (i % 2 === 0 ? 'A' : 'B')));
  const kinds = random.shuffle(numbers.map((i) => i % SPECIAL));
  const digits = Math.max(3, String(count).length);
  return numbers.map((i) => ({
    case: `Phantom_${String(i + 1).padStart(digits, '0')}`,
    scanner: scanners[i]!,
    ncr: kinds[i] !== 1,
    et: kinds[i] !== 2,
  }));
}

/** Too few patients to split all train. */
function splitOf(names: readonly string[], seed: number): Split {
  if (names.length < 3) return { train: names, validation: [], test: [] };
  return splitByPatient(names.map((name) => ({ case: name, patient: name })), { train: 2 / 3, validation: 1 / 12, test: 1 / 4, seed }); // prettier-ignore
}

function drawFaults(
  train: readonly string[],
  share: number,
  kinds: readonly Fault[],
  [least, most]: readonly [number, number],
  random: Random,
): PlantedFault[] {
  const faulty = random.shuffle(train).slice(0, share === 0 ? 0 : Math.max(1, Math.round(share * train.length)));
  const ways = random.shuffle(kinds);
  const planted = faulty.map((name, i): PlantedFault => {
    const fault = ways[i % ways.length]!;
    return { case: name, fault, amount: fault === 'swap' ? 1 : Math.floor(random.between(least, most + 1)) };
  });
  return planted.sort((a, b) => (a.case < b.case ? -1 : 1));
}
