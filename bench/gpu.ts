/**
 * The cuda engine beside PyTorch's best loop on the same GPU, by the peer's own networks, slices and definition: seconds of the scores alone,
 * how far from the peer's scores in float64, device memory. TRACIN_BENCH_PEER names torch_peer.py; TRACIN_RATES and TRACIN_ERRORS name what
 * tracin-cuda-rates printed and what the conformance tests recorded.
 */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { openEngine } from '../lib/engine';
import type { Precision, Program, RegionBatch, RegionLoss } from '../lib/engine/engine';
import type { Graph } from '../lib/graph/graph';
import { readOnnx } from '../lib/graph/onnx';
import { regionMasks } from '../lib/influence/regions';
import { readNpy } from '../lib/npy';
import { ERROR_COLUMNS, errorCells, errorsOf } from './errors';
import { exactScores, given, PYTHON } from './peer';
import type { Report } from './subject';

export const PAGE = 'docs/performance.md';

const TRAININGS = 64;
const TESTS = 2;
const BATCH = 32;
const REPEATS = 3;
const CLASSES = 3;
const LOSS: RegionLoss = { kind: 'dice', reduction: 'mean' };
const PRECISIONS: readonly { precision: Precision; flags: readonly string[] }[] = [
  { precision: 'f32', flags: [] },
  { precision: 'tf32', flags: ['--tf32'] },
  { precision: 'bf16', flags: ['--tf32', '--bf16'] },
];

const command = promisify(execFile);

interface Problem {
  readonly dir: string;
  readonly size: number;
  readonly rates: readonly number[];
  readonly checkpoints: readonly Graph[];
  readonly tests: Slices;
  readonly trainings: Slices;
}
interface Slices {
  readonly count: number;
  readonly images: Float32Array;
  readonly labels: Uint8Array;
}

const script = (): string => given('TRACIN_BENCH_PEER', 'the path of torch_peer.py');

async function peer(...args: readonly string[]): Promise<string> {
  return (await command(PYTHON, [script(), ...args], { maxBuffer: 1 << 26 })).stdout;
}

async function slices(dir: string, side: string): Promise<Slices> {
  const [images, labels] = await Promise.all(['images', 'labels'].map((what) => readNpy(join(dir, `${side}_${what}.npy`))));
  return { count: labels!.shape[0]!, images: images!.data as Float32Array, labels: labels!.data as Uint8Array };
}

async function prepare(dir: string): Promise<Problem> {
  await peer('export', dir, '--train', String(TRAININGS), '--test', String(TESTS));
  const { learningRates: rates } = JSON.parse(await readFile(join(dir, 'study.json'), 'utf8')) as { learningRates: number[] };
  const checkpoints = await Promise.all(rates.map((_, t) => readOnnx(join(dir, `checkpoint-${t}.onnx`))));
  const [tests, trainings] = [await slices(dir, 'test'), await slices(dir, 'train')];
  return { dir, size: Math.sqrt(tests.labels.length / tests.count), rates, checkpoints, tests, trainings };
}

/** Batches with the regions that the loaded checkpoint predicts. */
async function regions(program: Program, { count, images, labels }: Slices, size: number): Promise<(RegionBatch & { first: number })[]> {
  const pixels = size * size;
  const batches: (RegionBatch & { first: number })[] = [];
  for (let first = 0; first < count; first += BATCH) {
    const end = Math.min(count, first + BATCH);
    const part = images.slice((first * images.length) / count, (end * images.length) / count);
    const { logits } = await program.forward(part);
    const masks = new Uint8Array((end - first) * CLASSES * pixels);
    for (let slice = 0; slice < end - first; slice++) {
      const at = (label: number, pixel: number): number => logits[(slice * (CLASSES + 1) + label) * pixels + pixel]!;
      const predicted = Uint8Array.from({ length: pixels }, (_, pixel) => {
        let best = 0;
        for (let label = 1; label <= CLASSES; label++) if (at(label, pixel) > at(best, pixel)) best = label;
        return best;
      });
      masks.set(regionMasks('predicted', { truth: undefined, predicted }, CLASSES, pixels), slice * CLASSES * pixels);
    }
    batches.push({ first, images: part, targets: labels.subarray(first * pixels, end * pixels), masks });
  }
  return batches;
}

/** T [tests, K, trainings, K] and the seconds of each repeat. */
async function ours(problem: Problem, precision: Precision): Promise<{ scores: Float64Array; seconds: number[]; memoryMiB: number }> {
  const { size, rates, checkpoints, tests, trainings } = problem;
  const { engine } = await openEngine('cuda', { precision });
  const program = await engine.compile(checkpoints[0]!, { size: [size, size] });
  await program.load(checkpoints.at(-1)!);
  const [test, train] = [await regions(program, tests, size), await regions(program, trainings, size)];
  const block = await program.resident(tests.count);
  const seconds: number[] = [];
  let scores = new Float64Array();
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    scores = new Float64Array(tests.count * CLASSES * trainings.count * CLASSES);
    const began = performance.now();
    // all calls at once: the program has them one after another, and makes the next ready meanwhile
    const calls = checkpoints.map((checkpoint) => {
      const loaded = program.load(checkpoint);
      block.clear();
      const appended = test.map((batch) => block.append(batch, LOSS));
      const found = train.map((batch) => program.contract(block, batch, LOSS));
      return Promise.all([Promise.all(found), loaded, ...appended]);
    });
    for (const [t, [found]] of (await Promise.all(calls)).entries()) {
      for (const [b, { products }] of found.entries()) {
        const width = products.length / (tests.count * CLASSES);
        for (let i = 0; i < products.length; i++) {
          const at = Math.floor(i / width) * trainings.count * CLASSES + train[b]!.first * CLASSES + (i % width);
          scores[at]! += rates[t]! * products[i]!;
        }
      }
    }
    seconds.push((performance.now() - began) / 1000);
  }
  const { stdout } = await command('nvidia-smi', ['--query-gpu=memory.used', '--format=csv,noheader,nounits']);
  block.dispose();
  program.dispose();
  return { scores, seconds, memoryMiB: Number(stdout.split('\n')[0]) };
}

interface Recorded {
  readonly engine: string;
  readonly subject: string;
  readonly quantity: string;
  readonly error: number;
}

interface Rate {
  readonly pass: 'forward' | 'data' | 'weights' | 'product';
  readonly precision: Precision;
  readonly operations: number;
  readonly seconds: number;
  readonly cudnnSeconds?: number;
}

/** The objects of a file that a variable names, one a line; none where it names none. */
async function linesOf<T>(variable: string): Promise<readonly T[]> {
  const file = process.env[variable];
  if (!file) return [];
  const text = (await readFile(file, 'utf8')).trim();
  return text.split('\n').map((line) => JSON.parse(line) as T);
}

const PASSES: readonly [Rate['pass'], string][] = [
  ['forward', 'convolutions forward'],
  ['data', 'convolutions backward'],
  ['weights', 'kernel gradients of each row'],
  ['product', 'matrix products of 8192 × 8192'],
];

/** Rates over all layers, by precision and pass. */
function rateTable(all: readonly Rate[]): string[][] {
  const tera = (list: readonly Rate[], seconds: (rate: Rate) => number): number =>
    list.reduce((sum, rate) => sum + rate.operations, 0) / list.reduce((sum, rate) => sum + seconds(rate), 0) / 1e12;
  const rows = PRECISIONS.flatMap(({ precision }) =>
    PASSES.map(([pass, name]) => {
      const list = all.filter((rate) => rate.precision === precision && rate.pass === pass);
      const own = tera(list, ({ seconds }) => seconds);
      if (pass === 'product') return [precision, name, '', own.toFixed(0), ''];
      const library = tera(list, ({ cudnnSeconds }) => cudnnSeconds!);
      return [precision, name, own.toFixed(0), library.toFixed(0), `${(own / library).toFixed(2)} ×`];
    }),
  );
  return [['precision', 'what', 'cuda engine, TFLOP/s', 'library, TFLOP/s', 'ratio'], ...rows];
}

const median = (list: readonly number[]): number => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)]!;

/** The largest error of every quantity that the conformance tests recorded in the file TRACIN_ERRORS names, by operator or network. */
async function conformance(): Promise<Record<string, Record<string, number>>> {
  const worst: Record<string, Record<string, number>> = {};
  for (const { engine, subject, quantity, error } of await linesOf<Recorded>('TRACIN_ERRORS')) {
    if (engine !== 'cuda') continue;
    const own = (worst[subject] ??= {});
    own[quantity] = Math.max(own[quantity] ?? 0, error);
  }
  return worst;
}

export async function run(dir: string): Promise<Report> {
  const problem = await prepare(dir);
  const { engine } = await openEngine('cuda');
  const exact = await exactScores(script(), dir, '--device', 'cuda');
  const results = [];
  for (const { precision, flags } of PRECISIONS) {
    const file = join(dir, `T-${precision}.npy`);
    const { runs } = JSON.parse(await peer('run', dir, '--device', 'cuda', '--repeat', String(REPEATS), '--out', file, ...flags)) as {
      runs: number[];
    };
    const own = await ours(problem, precision);
    const theirs = (await readNpy(file)).data as Float64Array;
    results.push({
      precision,
      peerSeconds: runs,
      seconds: own.seconds,
      ratio: median(runs) / median(own.seconds),
      errors: { ours: errorsOf(own.scores, exact), peer: errorsOf(theirs, exact) },
      memoryMiB: own.memoryMiB,
    });
  }
  const rated = await linesOf<Rate>('TRACIN_RATES');
  const seconds = (list: readonly number[]): string => `${median(list).toFixed(2)} s`;
  return {
    results: {
      device: engine.description,
      trainings: TRAININGS,
      tests: TESTS,
      batch: BATCH,
      results,
      rates: rated,
      conformance: await conformance(),
    },
    rows: [
      ['precision', 'PyTorch', 'cuda engine', 'ratio', ...ERROR_COLUMNS, 'device memory'],
      ...results.map((r) => [
        r.precision,
        seconds(r.peerSeconds),
        seconds(r.seconds),
        `${r.ratio.toFixed(1)} ×`,
        ...errorCells(r.errors),
        `${(r.memoryMiB / 1024).toFixed(1)} GiB`,
      ]),
    ],
    others: rated.length > 0 ? [{ title: 'Rates beside NVIDIA’s libraries', rows: rateTable(rated) }] : [],
    about: [
      `U-Net of the peer's default size (7.8 M weights, 240 × 240), ${TRAININGS} training and ${TESTS} test slices, ${problem.rates.length} checkpoints, scores alone`,
      'errors against PyTorch in float64, as a share of the largest T',
      engine.description,
      ...(rated.length > 0
        ? [
            'rates of the 3 × 3 layers of that network, 32 rows of whole maps, operations as direct convolution counts them; cuDNN’s kernel gradients are of all rows together',
          ]
        : []),
    ],
  };
}
