/** Training steps: the reference engine against finite differences, the other engines against it. */
import type { Floats, Optimiser, Program, TrainingLoss } from '../../lib/engine/engine';
import { withInitializers } from '../../lib/graph/checkpoint';
import { trainingBatch } from '../support/batches';
import { referenceCore } from '../support/core';
import { describeNative, ENGINES, reference } from '../support/engines';
import { GraphBuilder, inFloat64, joinedChannels, smallNetwork } from '../support/graphs';
import { largest, relativeError } from '../support/numbers';
import { planarCases } from '../support/operator-cases';
import { tensorCases } from '../support/tensor-cases';

const SIZE = [8, 12];
const batches = [1, 2, 3].map((seed) => trainingBatch({ slices: seed === 3 ? 2 : 4, size: SIZE }, seed));
const graph = inFloat64(smallNetwork());

const LOSSES: readonly TrainingLoss[] = [{ kind: 'dice' }, { kind: 'cross-entropy', classWeights: [0.2, 1, 1, 2] }, { kind: 'dice+ce' }];
const sgd = (): Optimiser => ({ kind: 'sgd', learningRate: 0.1, momentum: 0.9, weightDecay: 0.01 });
const adam = (step: number): Optimiser => ({
  kind: 'adam',
  learningRate: 0.02,
  beta1: 0.9,
  beta2: 0.99,
  epsilon: 1e-4,
  weightDecay: 0.01,
  step,
});
const OPTIMISERS: readonly (readonly [string, (step: number) => Optimiser])[] = [
  ['sgd', sgd],
  ['adam', adam],
];
const still: Optimiser = { kind: 'sgd', learningRate: 0, momentum: 0, weightDecay: 0 };

describe('reference', () => {
  it.each(LOSSES)('a step of $kind goes down the gradient through the batch statistics', (loss) => {
    const core = referenceCore(graph, SIZE);
    const lossAt = (values: ReadonlyMap<string, Floats>): number => {
      core.program.load(values, 'moved');
      return core.program.step(batches[0]!, loss, still);
    };
    for (const { name } of core.layout.parameters) {
      core.program.load(core.values, 'start');
      core.program.step(batches[0]!, loss, { ...still, learningRate: 1 });
      const theta = Float64Array.from(core.values.get(name)!);
      const after = core.program.snapshot().get(name)!;
      const gradient = theta.map((t, i) => t - after[i]!);
      const [h, norm] = [1e-5, Math.hypot(...gradient)];
      if (norm < 1e-9) continue;
      const along = (sign: number): number =>
        lossAt(
          new Map(core.values).set(
            name,
            Float64Array.from(theta, (t, i) => t + (sign * h * gradient[i]!) / norm),
          ),
        );
      const slope = (along(1) - along(-1)) / (2 * h);
      expect({ name, ratio: slope / norm }).toEqual({ name, ratio: expect.closeTo(1, 5) });
    }
  });

  it('running statistics move towards the moments of the batch, with its population variance', () => {
    const g = new GraphBuilder();
    const network = g.build(g.mix(g.batchNormalization('image', 'norm', 3), 'head', 3, 4));
    const { program, values } = referenceCore(network, SIZE);
    const { images } = batches[0]!;
    program.step(batches[0]!, { kind: 'dice' }, still);
    const pixels = SIZE[0]! * SIZE[1]!;
    const after = program.snapshot();
    for (let c = 0; c < 3; c++) {
      const own = images.filter((_, i) => Math.floor(i / pixels) % 3 === c);
      const mean = own.reduce((sum, x) => sum + x, 0) / own.length;
      const variance = own.reduce((sum, x) => sum + (x - mean) ** 2, 0) / own.length;
      // momentum 0.8 of the network's nodes
      expect(after.get('norm.mean')![c]).toBeCloseTo(0.8 * values.get('norm.mean')![c]! + 0.2 * mean, 6);
      expect(after.get('norm.variance')![c]).toBeCloseTo(0.8 * values.get('norm.variance')![c]! + 0.2 * variance, 6);
    }
  });
});

async function train(
  program: Program,
  optimiser: (step: number) => Optimiser,
  loss: TrainingLoss,
  from = 0,
  to = batches.length,
): Promise<number[]> {
  const losses: number[] = [];
  for (let step = from; step < to; step++) losses.push(await program.step(batches[step]!, loss, optimiser(step + 1)));
  return losses;
}

describeNative('trains as reference does', (engine) => {
  describe.each(OPTIMISERS)('%s', (_name, optimiser) => {
    it.each(LOSSES)('$kind', async (loss) => {
      const [expected, actual] = await Promise.all([reference, engine].map((e) => e.compile(graph, { size: SIZE })));
      const right = await train(expected!, optimiser, loss);
      const here = await train(actual!, optimiser, loss);
      expect(relativeError(Float64Array.from(here), Float64Array.from(right))).toBeLessThan(1e-4);
      const snapshots = await Promise.all([expected!.snapshot(), actual!.snapshot()]);
      expect([...snapshots[1].keys()].sort()).toEqual([...snapshots[0].keys()].sort());
      for (const [name, values] of snapshots[0]) {
        expect({ name, error: relativeError(snapshots[1].get(name)!, values) < 1e-3 }).toEqual({ name, error: true });
      }
      const states = await Promise.all([expected!.optimiserState(), actual!.optimiserState()]);
      expect([...states[1].keys()].sort()).toEqual([...states[0].keys()].sort());
      expected!.dispose();
      actual!.dispose();
    });
  });
});

/** Networks whose slices share more than convolution kernels: what is summed over a batch must come from each of its slices once. */
const SHARING = tensorCases([8, 12]).filter(({ name }) =>
  /attention of|Gemm|standardised|BatchNormalization|InstanceNormalization|from the left/.test(name),
);

/** Normalisations that have nothing to learn but follow the batch all the same. */
const CONSTANT = planarCases([8, 12]).filter(({ name }) => name.includes('constant scale'));

describeNative('makes the step that reference makes', (engine) => {
  it.each([...SHARING, ...CONSTANT, { name: 'channels joined', graph: joinedChannels(), size: SIZE }])(
    '$name',
    async ({ graph: network, size }) => {
      const programs = await Promise.all([reference, engine].map((e) => e.compile(inFloat64(network), { size })));
      const snapshots = await Promise.all(
        programs.map(async (program) => {
          await program.step(batches[0]!, { kind: 'dice+ce' }, { ...still, learningRate: 0.5 });
          return program.snapshot();
        }),
      );
      for (const [name, values] of snapshots[0]!) {
        const before = network.initializers.get(name)!.data as Float32Array;
        const actual = snapshots[1]!.get(name)!;
        // A bias before a normalisation moves by no more than rounding.
        const far = Math.max(largest(values.map((x, i) => x - before[i]!)), 1e-3);
        const error = largest(values.map((x, i) => x - actual[i]!)) / far;
        expect({ name, close: error < 1e-3, error }).toEqual({ name, close: true, error });
      }
      for (const program of programs) program.dispose();
    },
  );
});

describe.each(ENGINES)('$name', (engine) => {
  it('lets kernels decay, but neither slopes nor shifts, however many axes they have', async () => {
    const g = new GraphBuilder();
    const bent = g.node('PRelu', [g.mix('image', 'first', 3, 5), g.weight('slopes', [5, 1, 1])]);
    const network = g.build(g.mix(g.node('Add', [bent, g.weight('places', [1, 5, ...SIZE])]), 'head', 5, 4));
    const program = await engine.compile(network, { size: SIZE });
    const moved = async (weightDecay: number): Promise<Map<string, Floats>> => {
      await program.load(network);
      await program.step(batches[0]!, { kind: 'dice' }, { ...still, learningRate: 0.5, weightDecay });
      return program.snapshot();
    };
    const [free, decayed] = [await moved(0), await moved(0.1)];
    const differ = [...free.keys()].filter((name) => relativeError(decayed.get(name)!, free.get(name)!) > 1e-6);
    expect(differ.sort()).toEqual(['first.weight', 'head.weight']);
    program.dispose();
  });

  it.each(OPTIMISERS)('%s goes on from a snapshot to the same bits', async (_name, optimiser) => {
    const loss: TrainingLoss = { kind: 'dice+ce' };
    const straight = await engine.compile(graph, { size: SIZE });
    expect((await straight.optimiserState()).size).toBe(0);
    await train(straight, optimiser, loss, 0, 2);
    const [weights, state] = [await straight.snapshot(), await straight.optimiserState()];
    await train(straight, optimiser, loss, 2);
    const resumed = await engine.compile(graph, { size: SIZE });
    await resumed.load(withInitializers(graph, weights));
    await resumed.restoreOptimiserState(state);
    await train(resumed, optimiser, loss, 2);
    expect(await resumed.snapshot()).toEqual(await straight.snapshot());
    expect(await resumed.optimiserState()).toEqual(await straight.optimiserState());
    expect(await resumed.snapshot()).not.toEqual(weights);
    straight.dispose();
    resumed.dispose();
  });

  it('trains the selected parameters alone', async () => {
    const program = await engine.compile(graph, { size: SIZE, parameters: ['head.weight'] });
    const before = await program.snapshot();
    await program.step(batches[0]!, { kind: 'dice' }, sgd());
    const after = await program.snapshot();
    const moved = [...after.keys()].filter((name) => relativeError(after.get(name)!, before.get(name)!) > 0);
    expect(moved.filter((name) => !/mean|variance/.test(name))).toEqual(['head.weight']);
    expect([...(await program.optimiserState()).keys()]).toEqual(['velocity/head.weight']);
    program.dispose();
  });

  it('gets better at what it trains on', async () => {
    const program = await engine.compile(graph, { size: SIZE });
    const losses: number[] = [];
    for (let step = 1; step <= 12; step++) losses.push(await program.step(batches[0]!, { kind: 'cross-entropy' }, adam(step)));
    expect(losses.at(-1)!).toBeLessThan(losses[0]! - 0.1);
    program.dispose();
  });
});
