/**
 * A whole `tracin-seg influence` beside PyTorch's fastest way to the same scores, turn by turn: our time is the process from start to end,
 * with reading, prediction and writing; the peer's is the computation of the scores alone.
 * TRACIN_TORCH_PEER names the peer's script (`export` and `run`), TRACIN_BENCH_CASE a BraTS case that its slices are taken from.
 */
import { execFile } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { openEngine } from '../lib/engine';
import type { Precision } from '../lib/engine/engine';
import { readNpy } from '../lib/npy';
import { ERROR_COLUMNS, errorCells, errorsOf, type ErrorsOfBoth } from './errors';
import { inTurns, secondsOf, type Timing } from './measure';
import { exactScores, given, PYTHON } from './peer';
import { readProfile, type Spent } from './profile';
import type { Report } from './subject';
import { inWords, ratio } from './table';

const CLI = resolve(__dirname, '../lib/cli/main.js');
/** Of each side. */
const TURNS = 3;
const execute = promisify(execFile);

export const PAGE = 'docs/performance.md';

/** How both sides compute. */
interface Way {
  readonly label: string;
  readonly precision: Precision;
  readonly env?: NodeJS.ProcessEnv;
}

interface Comparison {
  readonly label: string;
  readonly ours: Timing;
  readonly peer: Timing;
  /** Beside scores in float64. */
  readonly errors: ErrorsOfBoth;
  /** Where our time went. */
  readonly profile: readonly Spent[];
}

export async function run(dir: string): Promise<Report> {
  const script = given('TRACIN_TORCH_PEER', 'the path of torch_peer.py');
  const network = join(dir, 'peer');
  await execute(PYTHON, [script, 'export', network, '--brats', given('TRACIN_BENCH_CASE', 'a BraTS case folder')]);
  const { engine } = await openEngine('cpu');
  const ways: Way[] = [{ label: 'f32', precision: 'f32' }];
  // what processors have that have no AVX-512: oneDNN's own switch, which PyTorch's oneDNN obeys, too
  if (/avx512/.test(engine.description))
    ways.push({ label: 'f32, AVX2', precision: 'f32', env: { ONEDNN_MAX_CPU_ISA: 'AVX2', ATEN_CPU_CAPABILITY: 'avx2' } });
  const bf16 = await openEngine('cpu', { precision: 'bf16' }).then(
    () => undefined,
    (error: Error) => error.message,
  );
  if (bf16 === undefined) ways.push({ label: 'bf16', precision: 'bf16' });
  else console.error(bf16);
  const exact = await exactScores(script, network);
  const comparisons: Comparison[] = [];
  for (const way of ways) comparisons.push(await compare(script, network, dir, way, exact));
  return {
    results: { engine: engine.description, comparisons },
    rows: [
      ['', 'PyTorch, scores alone', '`tracin-seg influence`, whole command', 'ratio', ...ERROR_COLUMNS],
      ...comparisons.map(({ label, ours, peer, errors }) => [
        label,
        inWords(peer),
        inWords(ours),
        ratio(peer, ours),
        ...errorCells(errors),
      ]),
    ],
    about: [
      'U-Net of width 32 and 5 levels, 240 × 240 pixels, 2 test × 8 training slices of one case, 3 classes, 2 checkpoints',
      engine.description,
    ],
  };
}

async function compare(
  script: string,
  network: string,
  dir: string,
  { label, precision, env }: Way,
  exact: Float64Array,
): Promise<Comparison> {
  const [study, profile] = [join(dir, 'study'), join(dir, 'profile.jsonl')];
  const theirScores = join(dir, 'peer.npy');
  const { learningRates } = z
    .object({ learningRates: z.array(z.number()) })
    .parse(JSON.parse(await readFile(join(network, 'study.json'), 'utf8')));
  const arrays = ['train', 'test'].flatMap((role) =>
    ['images', 'labels'].flatMap((what) => [`--${role}-${what}`, join(network, `${role}_${what}.npy`)]),
  );
  const files = learningRates.map((_, t) => join(network, `checkpoint-${t}.onnx`)).join(',');
  const flags = [
    '--checkpoints',
    files,
    '--learning-rates',
    learningRates.join(','),
    ...arrays,
    '--device',
    'cpu',
    '--precision',
    precision,
  ];
  const ours = async (): Promise<number> => {
    await rm(study, { recursive: true, force: true });
    await rm(profile, { force: true });
    const own = { ...process.env, ...env, TRACIN_PROFILE: profile };
    return secondsOf(() => execute(process.execPath, [CLI, 'influence', ...flags, '--out', study], { env: own }));
  };
  const theirs = async (): Promise<number> => {
    const mode = precision === 'bf16' ? ['--bf16'] : [];
    const args = [script, 'run', network, '--repeat', '1', '--out', theirScores, ...mode];
    const { stdout } = await execute(PYTHON, args, { env: { ...process.env, ...env } });
    return z.object({ seconds: z.number() }).parse(JSON.parse(stdout)).seconds;
  };
  const timings = await inTurns({ ours, peer: theirs }, TURNS);
  const [found, theirFound] = await Promise.all(
    [join(study, 'scores.npy'), theirScores].map(async (path) => (await readNpy(path)).data as Float32Array | Float64Array),
  );
  const errors = { ours: errorsOf(found!, exact), peer: errorsOf(theirFound!, exact) };
  return { label, ...timings, errors, profile: await readProfile(profile) };
}
