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
import { spearman } from '../lib/statistics';
import { inTurns, secondsOf, type Timing } from './measure';
import { PYTHON } from './peer';
import { readProfile, type Spent } from './profile';
import type { Report } from './subject';
import { inWords, ratio } from './table';

const CLI = resolve(__dirname, '../lib/cli/main.js');
/** Of each side. */
const TURNS = 3;
const execute = promisify(execFile);

export const PAGE = 'docs/performance.md';

interface Comparison {
  readonly precision: Precision;
  readonly ours: Timing;
  readonly peer: Timing;
  /** Largest difference from the peer's float32 scores over the largest of those, and the rank correlation with them. */
  readonly error: number;
  readonly rank: number;
  /** Where our time went. */
  readonly profile: readonly Spent[];
}

export async function run(dir: string): Promise<Report> {
  const script = given('TRACIN_TORCH_PEER');
  const network = join(dir, 'peer');
  await execute(PYTHON, [script, 'export', network, '--brats', given('TRACIN_BENCH_CASE')]);
  const { engine } = await openEngine('cpu');
  const precisions: Precision[] = ['f32'];
  const bf16 = await openEngine('cpu', { precision: 'bf16' }).then(
    () => undefined,
    (error: Error) => error.message,
  );
  if (bf16 === undefined) precisions.push('bf16');
  else console.error(bf16);
  const comparisons: Comparison[] = [];
  for (const precision of precisions) comparisons.push(await compare(script, network, dir, precision));
  return {
    results: { engine: engine.description, comparisons },
    rows: [
      ['', 'PyTorch, scores alone', '`tracin-seg influence`, whole command', 'ratio', 'error', 'rank correlation'],
      ...comparisons.map(({ precision, ours, peer, error, rank }) => [
        precision,
        inWords(peer),
        inWords(ours),
        ratio(peer, ours),
        error.toExponential(1),
        rank.toFixed(5),
      ]),
    ],
    about: [
      'U-Net of width 32 and 5 levels, 240 × 240 pixels, 2 test × 8 training slices of one case, 3 classes, 2 checkpoints',
      engine.description,
    ],
  };
}

async function compare(script: string, network: string, dir: string, precision: Precision): Promise<Comparison> {
  const [study, profile] = [join(dir, `study-${precision}`), join(dir, `profile-${precision}.jsonl`)];
  const scores = { peer: join(dir, 'peer.npy'), exact: join(dir, 'exact.npy') };
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
    const env = { ...process.env, TRACIN_PROFILE: profile };
    return secondsOf(() => execute(process.execPath, [CLI, 'influence', ...flags, '--out', study], { env }));
  };
  const theirs = async (out: string, more: readonly string[]): Promise<number> => {
    const { stdout } = await execute(PYTHON, [script, 'run', network, '--repeat', '1', '--out', out, ...more]);
    return z.object({ seconds: z.number() }).parse(JSON.parse(stdout)).seconds;
  };
  const timings = await inTurns({ ours, peer: () => theirs(scores.peer, precision === 'bf16' ? ['--bf16'] : []) }, TURNS);
  if (precision !== 'f32') await theirs(scores.exact, []);
  const exact = (await readNpy(precision === 'f32' ? scores.peer : scores.exact)).data as Float64Array;
  const found = (await readNpy(join(study, 'scores.npy'))).data as Float32Array;
  const largest = (numbers: Float64Array): number => numbers.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  const error = largest(exact.map((x, i) => x - found[i]!)) / largest(exact);
  return { precision, ...timings, error, rank: spearman(exact, found), profile: await readProfile(profile) };
}

function given(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`set ${name}: ${name === 'TRACIN_BENCH_CASE' ? 'a BraTS case folder' : "the path of the peer's script"}`);
  return value;
}
