/** Gradients of the zoo's networks: reference against finite differences, the other engines against it and against themselves. */
import { createHash } from 'node:crypto';
import type { RegionLoss } from '../../lib/engine/engine';
import { openNativeEngine } from '../../lib/engine/native';
import { sizeOf } from '../../lib/engine/layout';
import { GraphBuilder } from '../../lib/graph/builder';
import type { Graph } from '../../lib/graph/graph';
import { buildNetwork, NETWORKS } from '../../models/registry';
import { patchBatch, regionBatch } from '../support/batches';
import { directionalDerivative, directionalDifference, referenceCore, type Core } from '../support/core';
import { cpu, describeNative } from '../support/engines';
import { joinedChannels } from '../support/graphs';
import { relativeError, uniform } from '../support/numbers';

const LOSSES: readonly RegionLoss[] = [
  { kind: 'dice', reduction: 'mean' },
  { kind: 'cross-entropy', reduction: 'mean' },
];
const SIZE = [16, 24];
const shape = { slices: 2, size: SIZE, modalities: 4 };
const graphs = NETWORKS.map((network) => ({ network, graph: buildNetwork({ network, width: 4, levels: 3, seed: 3 }) }));

/** No comparison of zeros: some regions are absent, and Dice has no slope where a patch holds no pixel of its class, but not all. */
function checkSomething(norms: Float64Array): void {
  expect(norms.filter((norm) => norm > 0).length).toBeGreaterThan(norms.length / 3);
}

describe.each(graphs)('reference: $network', ({ graph }) => {
  const core: Core = referenceCore(graph, SIZE);
  const batch = regionBatch(shape);

  it.each(LOSSES)('gradients of $kind agree with finite differences', (loss) => {
    const { gradients, norms } = core.program.gradients(batch, loss);
    checkSomething(norms);
    const P = core.layout.parameterCount;
    for (const { name, dims, offset } of core.layout.parameters) {
      const direction = Float64Array.from({ length: sizeOf(dims) }, uniform(offset + 1));
      const slopes = directionalDerivative(gradients, P, offset, direction);
      const differences = directionalDifference(core, batch, loss, name, direction, 1e-6);
      const scale = Math.max(...differences.map(Math.abs), 1e-2);
      const wrong = [...slopes]
        .map((slope, region) => ({ name, region, slope, difference: differences[region]! }))
        .filter(({ slope, difference }) => !(Math.abs(slope - difference) < 1e-5 * scale));
      expect(wrong).toEqual([]);
    }
  });
});

describeNative('on the zoo', (engine) => {
  describe.each([...graphs, { network: 'channels joined', graph: joinedChannels(4) }])('$network', ({ graph }) => {
    const batches = [
      ['whole maps', SIZE, regionBatch(shape)],
      ['patches', [48, 64], patchBatch({ ...shape, size: [48, 64] })],
    ] as const;
    it.each(batches)('agrees with reference on %s', async (_name, size, batch) => {
      const expected = referenceCore(graph, size).program;
      const actual = await engine.compile(graph, { size });
      const logits = expected.forward(batch.images, true);
      const found = await actual.forward(batch.images, { features: true });
      expect(relativeError(found.logits, logits.logits)).toBeLessThan(1e-4);
      expect(relativeError(found.features!, logits.features!)).toBeLessThan(1e-4);
      for (const loss of LOSSES) {
        const right = expected.gradients(batch, loss);
        checkSomething(right.norms);
        const here = await actual.gradients(batch, loss);
        expect(relativeError(here.gradients, right.gradients)).toBeLessThan(1e-4);
        expect(relativeError(here.losses, right.losses)).toBeLessThan(1e-4);
        expect(relativeError(here.norms, right.norms)).toBeLessThan(1e-4);
      }
      actual.dispose();
    });
  });
});

/**
 * Two convolutions of 15 × 15 windows. At 48 × 48 positions two threads compute kernel gradients in halves, for what the library would write
 * out, and one thread at once.
 */
function wideWindows(): Graph {
  const builder = new GraphBuilder({ name: 'wide', modalities: 4, seed: 3 });
  const options = { channels: 32, kernel: 15 };
  const x = builder.relu('relu1', builder.conv('conv1', builder.image, options));
  const y = builder.relu('relu2', builder.conv('conv2', x, options));
  return builder.build(builder.conv('head', y, { channels: 4, kernel: 1 }));
}

(cpu ? describe : describe.skip)('cpu', () => {
  it.each([
    [
      'attention-unet',
      graphs.find(({ network }) => network === 'attention-unet')!.graph,
      patchBatch({ ...shape, slices: 4, size: [48, 64] }),
      [48, 64],
    ],
    ['wide windows', wideWindows(), regionBatch({ ...shape, slices: 1, size: [48, 48] }), [48, 48]],
  ] as const)('gives the same for 1, 2 and 12 threads, and the same bits for the same count: %s', async (_name, graph, batch, size) => {
    const runs: Float32Array[] = [];
    for (const threads of [1, 1, 2, 2, 12]) {
      const program = await openNativeEngine('cpu', { threads }).compile(graph, { size });
      const block = await program.resident(4);
      await block.append(batch, LOSSES[0]!);
      const { products } = await program.contract(block, batch, LOSSES[0]!);
      const { gradients } = await program.gradients(batch, LOSSES[1]!);
      const step = await program.step(batch, { kind: 'dice+ce' }, { kind: 'sgd', learningRate: 0.1, momentum: 0, weightDecay: 0 });
      const weights = await program.snapshot();
      runs.push(
        ...[products, gradients, Float32Array.of(step), weights.get('head.weight') ?? [...weights.values()].at(-1)!].map(
          (x) => x as Float32Array,
        ),
      );
      block.dispose();
      program.dispose();
    }
    const [one, oneAgain, two, twoAgain, twelve] = [0, 1, 2, 3, 4].map((run) => runs.slice(run * 4, run * 4 + 4));
    const digests = (all: readonly Float32Array[]) => all.map((x) => createHash('sha256').update(x).digest('hex'));
    expect(digests(oneAgain!)).toEqual(digests(one!));
    expect(digests(twoAgain!)).toEqual(digests(two!));
    for (const many of [two!, twelve!]) many.forEach((numbers, i) => expect(relativeError(numbers, one![i]!)).toBeLessThan(1e-6));
  });
});
