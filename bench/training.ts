/** One training step, against PyTorch on the same network, batch, loss and optimiser. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { coresHere } from '../lib/cores';
import { openEngine } from '../lib/engine';
import type { Optimiser, TrainingLoss } from '../lib/engine/engine';
import { readOnnx } from '../lib/graph/onnx';
import { inTurns, secondsOf, type Timing } from './measure';
import { Peer } from './peer';
import type { Report } from './subject';
import { inWords, ratio } from './table';

export const PAGE = 'docs/performance.md';

interface Network {
  readonly width: number;
  readonly levels: number;
  readonly size: number;
  readonly batch: number;
  readonly rounds: number;
}
const NETWORKS: readonly Network[] = [
  { width: 32, levels: 5, size: 240, batch: 2, rounds: 7 },
  { width: 8, levels: 3, size: 96, batch: 8, rounds: 40 },
];
const LAYOUTS = ['contiguous', 'channels_last'] as const;
const LOSS: TrainingLoss = { kind: 'cross-entropy' };
const OPTIMISER: Optimiser = { kind: 'sgd', learningRate: 0.01, momentum: 0.9, weightDecay: 0 };
const THREADS = coresHere();

interface Step {
  readonly seconds: number;
  readonly loss: number;
}

export async function run(dir: string): Promise<Report> {
  const { engine } = await openEngine('cpu');
  const networks: ({ readonly name: string } & Record<'ours' | (typeof LAYOUTS)[number], Timing>)[] = [];
  let about = '';
  for (const network of NETWORKS) {
    const { width, levels, size, batch, rounds } = network;
    const name = `U-Net, width ${width}, ${levels} levels, ${size}², batch ${batch}`;
    console.error(name);
    const file = join(dir, `${width}.onnx`);
    const peers: { peer: Peer; about: { about: string } }[] = [];
    // One after another: each writes the file, with the same numbers.
    for (const layout of LAYOUTS) {
      peers.push(await Peer.open<{ about: string }>('training.py', [file, ...[width, levels, size, batch, THREADS].map(String), layout]));
    }
    about = peers[0]!.about.about;
    const program = await engine.compile(await readOnnx(file), { size: [size, size] });
    const images = new Float32Array(new Uint8Array(await readFile(`${file}.images`)).buffer);
    const targets = new Uint8Array(await readFile(`${file}.targets`));
    const losses: Record<string, number> = {};
    const theirs = (i: number) => async () => {
      const { seconds, loss } = await peers[i]!.peer.go<Step>();
      losses[LAYOUTS[i]!] = loss;
      return seconds;
    };
    const ours = (): Promise<number> =>
      secondsOf(async () => {
        losses.ours = await program.step({ images, targets }, LOSS, OPTIMISER);
      });
    networks.push({ name, ...(await inTurns({ ours, contiguous: theirs(0), channels_last: theirs(1) }, rounds)) });
    // Every side has taken as many steps from the same start: their times are of the same work if they stand at the same loss.
    if (LAYOUTS.some((layout) => Math.abs(losses[layout]! / losses.ours! - 1) > 1e-3)) {
      throw new Error(`after ${rounds} steps the losses differ: ${JSON.stringify(losses)}`);
    }
    for (const { peer } of peers) peer.close();
    program.dispose();
  }
  const faster = ({ contiguous, channels_last: last }: (typeof networks)[number]): Timing =>
    contiguous.median < last.median ? contiguous : last;
  return {
    results: { engine: engine.description, peer: about, threads: THREADS, loss: LOSS, optimiser: OPTIMISER, networks },
    rows: [
      ['a step: median (95th percentile)', 'tracin-seg', 'PyTorch', 'PyTorch, channels last', 'faster PyTorch ÷ ours'],
      ...networks.map((one) => [
        one.name,
        inWords(one.ours),
        inWords(one.contiguous),
        inWords(one.channels_last),
        ratio(faster(one), one.ours),
      ]),
    ],
    about: [`Cross-entropy, momentum 0.9, ${THREADS} threads`, engine.description, about],
  };
}
