/** The zoo's networks at the papers' sizes: seconds of a slice at a checkpoint, and what boxes, kernels and memory have to do with it. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { openDataset } from '../lib/dataset/dataset';
import { writePhantom } from '../lib/dataset/phantom';
import type { Program, RegionBatch, RegionLoss } from '../lib/engine/engine';
import { takeFastestKernels } from '../lib/engine/kernels';
import { openNativeEngine } from '../lib/engine/native';
import { withRegions } from '../lib/influence/batches';
import { resolveDefinition } from '../lib/influence/definition';
import { buildNetwork, NETWORKS, type NetworkName } from '../models/registry';
import { secondsOf } from './measure';
import { readProfile } from './profile';
import type { Report } from './subject';

const SIZE = 240;
/** Of a slice's lesion, in pixels: half the diameter of a disc as large. */
const RADII = [16, 45] as const;
const SLICES = 2;
const TURNS = 3;
const LOSS: RegionLoss = { kind: 'dice', reduction: 'mean' };
/** Larger than a slice: no boxes. */
const DENSE = 1 << 16;

/** What the process of one network tells. */
interface Outcome {
  readonly engine: string;
  readonly network: NetworkName;
  readonly parameters: number;
  /** Of the lesions. */
  readonly radii: readonly number[];
  /** Of one slice at one checkpoint: gradients of its classes, and their products with those of a resident slice. */
  readonly seconds: number;
  /** Of convolutions, for one slice: inside boxes, and of the dense passes. */
  readonly operations: number;
  readonly dense: number;
  /** Bytes of the process. */
  readonly peak: number;
}

export const PAGE = 'docs/performance.md';

export async function run(dir: string): Promise<Report> {
  await writePhantom(join(dir, 'patients'), { cases: 3, size: SIZE, seed: 1 });
  const outcomes: Outcome[] = [];
  for (const network of NETWORKS) {
    console.error(network);
    const child = fork(__filename, [dir, network]);
    const exit = once(child, 'exit');
    const failed = exit.then(() => Promise.reject(new Error(`${network} failed`)));
    const [outcome] = (await Promise.race([once(child, 'message'), failed])) as [Outcome];
    await exit;
    outcomes.push(outcome);
  }
  const { engine, radii } = outcomes[0]!;
  const round = (value: number): string => String(Number(value.toPrecision(value < 100 ? 2 : 3)));
  return {
    results: { size: SIZE, outcomes },
    rows: [
      ['', 'parameters', 'a slice and checkpoint', 'operations', 'of the dense ones', 'GFLOP/s', 'peak memory'],
      ...outcomes.map(({ network, parameters, seconds, operations, dense, peak }) => [
        `\`${network}\``,
        `${(parameters / 1e6).toFixed(1)} M`,
        `${round(seconds)} s`,
        `${round(operations / 1e9)} G`,
        `${Math.round((100 * operations) / dense)} %`,
        round(operations / seconds / 1e9),
        `${(peak / 2 ** 30).toFixed(1)} GiB`,
      ]),
    ],
    about: [
      `Default sizes, ${SIZE} × ${SIZE} pixels, 4 modalities, 3 classes, lesions of ${radii.map(Math.round).join(' and ')} pixels radius, two resident test slices`,
      'operations of convolutions as direct convolution counts them',
      engine,
    ],
  };
}

async function compute(dir: string, network: NetworkName): Promise<Outcome> {
  const { batch, radii } = await slices(join(dir, 'patients'));
  const graph = buildNetwork({ network, seed: 1 });
  /** Calls over all slices, and the operations of one slice in each. */
  const profiled = async (quantum: number | undefined, work: (program: Program) => Promise<number>): Promise<number> => {
    const profile = join(dir, `${network}-${quantum ?? 'boxes'}.jsonl`);
    process.env.TRACIN_PROFILE = profile;
    const engine = openNativeEngine('cpu', { quantum });
    const program = await engine.compile(graph, { size: [SIZE, SIZE] });
    await takeFastestKernels(program, engine, console.error);
    const calls = await work(program);
    program.dispose();
    await setTimeout(100); // the profile is written when the last call has let go of the program
    const operations = (await readProfile(profile)).reduce((sum, one) => sum + one.operations, 0);
    return operations / calls / SLICES;
  };
  let seconds = Infinity;
  let parameters = 0;
  const operations = await profiled(undefined, async (program) => {
    parameters = program.parameterCount;
    const block = await program.resident(SLICES);
    await block.append(batch, LOSS);
    for (let turn = 0; turn < TURNS; turn++) {
      seconds = Math.min(seconds, (await secondsOf(() => program.contract(block, batch, LOSS))) / SLICES);
    }
    block.dispose();
    return 1 + TURNS;
  });
  const peak = process.resourceUsage().maxRSS * 1024;
  const dense = await profiled(DENSE, async (program) => {
    await program.contract(undefined, batch, LOSS);
    return 1;
  });
  return { engine: openNativeEngine('cpu').description, network, parameters, radii, seconds, operations, dense, peak };
}

/** Slices whose lesions are of realistic size and have all classes, one of each patient. */
async function slices(dir: string): Promise<{ batch: RegionBatch; radii: number[] }> {
  const source = await openDataset({ dir, size: SIZE, slices: { tumour: Math.ceil(Math.PI * RADII[0] ** 2), spread: 3 } });
  try {
    const chosen: { position: number; radius: number }[] = [];
    for (const position of source.slices.keys()) {
      const { labels } = await source.read([position]);
      const radius = Math.sqrt(labels!.reduce((count, label) => count + Number(label > 0), 0) / Math.PI);
      if (radius <= RADII[1] && [1, 2, 3].every((label) => labels!.includes(label))) chosen.push({ position, radius });
    }
    const some = [chosen[0], chosen.at(-1)].flatMap((one) => one ?? []);
    if (some.length < SLICES) throw new Error('the phantom has too few lesions of that size');
    const read = await source.read(some.map(({ position }) => position));
    const range = { start: 0, end: SLICES, images: read.images, labels: read.labels };
    const batch = await withRegions({ role: 'train', source }, resolveDefinition({ region: 'truth' }), range, undefined);
    return { batch, radii: some.map(({ radius }) => radius) };
  } finally {
    await source.close();
  }
}

if (require.main === module) {
  const [dir, network] = process.argv.slice(2) as [string, NetworkName];
  void compute(dir, network).then((outcome) => process.send!(outcome, () => process.disconnect()));
}
