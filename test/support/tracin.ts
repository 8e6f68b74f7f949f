/** Influence by an engine, as plainly as the method states it. */
import type { Engine, Program, RegionBatch, RegionLoss } from '../../lib/engine/engine';
import type { Graph } from '../../lib/graph/graph';
import { lower } from '../../lib/graph/lower';
import { selectParameters } from '../../lib/graph/parameters';
import { readNpy } from '../../lib/npy';

export interface Definition {
  readonly loss: 'dice' | 'cross-entropy';
  readonly region: 'predicted' | 'truth' | 'slice';
  readonly parameters: 'all' | 'head';
}

/** Images [N, M, H, W] with labels [N, H, W]. */
export interface Slices {
  readonly images: Float32Array;
  readonly targets: Uint8Array;
  readonly count: number;
  /** [H, W] */
  readonly size: readonly number[];
}

export async function readSlices(images: string, labels: string): Promise<Slices> {
  const { data, shape } = await readNpy(images);
  const targets = await readNpy(labels);
  return { images: data as Float32Array, targets: targets.data as Uint8Array, count: shape[0]!, size: shape.slice(2) };
}

/** K: foreground classes of the network. */
function classesOf({ lowered }: Program): number {
  return lowered.values[lowered.logits]!.dims[0]! - 1;
}

/** Masks [B, K, H, W] of a definition; predictions are those of the program as it is loaded. */
async function withMasks({ images, targets, count }: Slices, region: Definition['region'], program: Program): Promise<RegionBatch> {
  const pixels = targets.length / count;
  const K = classesOf(program);
  let labels: Uint8Array = targets;
  if (region === 'predicted') {
    const { logits } = await program.forward(images);
    labels = targets.map((_, i) => {
      const at = (c: number): number => logits[(Math.floor(i / pixels) * (K + 1) + c) * pixels + (i % pixels)]!;
      return Array.from({ length: K }, (_, k) => k + 1).reduce((best, c) => (at(c) > at(best) ? c : best), 0);
    });
  }
  const masks = Uint8Array.from({ length: count * K * pixels }, (_, i) => {
    const [n, k, pixel] = [Math.floor(i / (K * pixels)), Math.floor(i / pixels) % K, i % pixels];
    return region === 'slice' || labels[n * pixels + pixel] === k + 1 ? 1 : 0;
  });
  return { images, targets, masks };
}

export interface Question {
  readonly checkpoints: readonly Graph[];
  readonly learningRates: readonly number[];
  readonly tests: Slices;
  readonly trainings: Slices;
  readonly definition: Definition;
}

/** T [tests, K, trainings, K]. */
export async function tracin(
  engine: Engine,
  { checkpoints, learningRates, tests, trainings, definition }: Question,
): Promise<Float64Array> {
  const last = checkpoints.at(-1)!;
  const parameters = selectParameters(lower(last, tests.size), definition.parameters);
  const program = await engine.compile(last, { size: tests.size, parameters });
  const [queries, batch] = [await withMasks(tests, definition.region, program), await withMasks(trainings, definition.region, program)];
  const loss: RegionLoss = { kind: definition.loss, reduction: 'mean' };
  const found = new Float64Array(tests.count * trainings.count * classesOf(program) ** 2);
  const block = await program.resident(tests.count);
  for (const [t, graph] of checkpoints.entries()) {
    await program.load(graph);
    block.clear();
    await block.append(queries, loss);
    const { products } = await program.contract(block, batch, loss);
    for (let i = 0; i < found.length; i++) found[i]! += learningRates[t]! * products[i]!;
  }
  program.dispose();
  return found;
}
