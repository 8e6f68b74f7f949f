/** Gradients through what is computed from parameters alone, and through operands that slices share. */
import type { RegionLoss, TrainingLoss } from '../../../lib/engine/engine';
import { sizeOf } from '../../../lib/engine/layout';
import { planBackward } from '../../../lib/engine/reference/plan';
import { regionBatch, trainingBatch } from '../../support/batches';
import { directionalDerivative, directionalDifference, loweredCore } from '../../support/core';
import { LoweredBuilder, transposition } from '../../support/lowered';
import { relativeError, uniform } from '../../support/numbers';

const SIZE = [4, 5];
const PIXELS = 20;
const still = { kind: 'sgd', learningRate: 0, momentum: 0, weightDecay: 0 } as const;

/** Attention between pixels whose weights come through foldable paths; the kernel is stored transposed and used twice. */
function network() {
  const b = new LoweredBuilder([3, ...SIZE]);
  const first = b.parameter('first', [3, 5], 'kernel');
  const kernel = b.operation('Rearrange', [first], [5, 3, 1, 1], { index: transposition(3, 5), fill: 0 });
  const maps = b.operation('PRelu', [b.mix(0, kernel), b.parameter('slope', [5, 1, 1], 'slope')], [5, ...SIZE], {});
  const tokens = b.operation('Rearrange', [maps], [PIXELS, 5], { index: transposition(5, PIXELS), fill: 0 });
  const shifted = b.operation(
    'Add',
    [tokens, b.operation('Elementwise', [b.parameter('shift', [5], 'shift')], [5], { function: 'exp', a: 0, b: 0 })],
    [PIXELS, 5],
    {},
  );
  const normal = b.operation('Normalize', [shifted], [PIXELS, 5], { groups: PIXELS, epsilon: 1e-3 });
  const scaled = b.operation('Mul', [b.parameter('scale', [5], 'scale'), normal], [PIXELS, 5], {});
  // [5, 3] · [3, 5]: a matrix made of a parameter alone
  const square = b.operation(
    'MatMul',
    [b.operation('Rearrange', [first], [5, 3], { index: transposition(3, 5), fill: 0 }), first],
    [5, 5],
    {},
  );
  const queries = b.operation('MatMul', [scaled, square], [PIXELS, 5], {});
  const keys = b.operation('Rearrange', [scaled], [5, PIXELS], { index: transposition(PIXELS, 5), fill: 0 });
  const attention = b.operation('Softmax', [b.operation('MatMul', [queries, keys], [PIXELS, PIXELS], {})], [PIXELS, PIXELS], { axis: 1 });
  const seen = b.operation('MatMul', [attention, scaled], [PIXELS, 5], {});
  const back = b.operation('Rearrange', [seen], [5, ...SIZE], { index: transposition(PIXELS, 5), fill: 0 });
  const positive = b.operation('Compare', [maps, b.constant([], [0])], [5, ...SIZE], { relation: 'greater' });
  const mean = b.operation('Reduce', [back], [5, 1, 1], { kind: 'mean', axes: [1, 2] });
  const chosen = b.operation(
    'Where',
    [
      positive,
      b.operation('Div', [back, b.operation('Elementwise', [mean], [5, 1, 1], { function: 'softplus', a: 0, b: 0 })], [5, ...SIZE], {}),
      maps,
    ],
    [5, ...SIZE],
    {},
  );
  const logits = b.mix(chosen, b.parameter('head', [4, 5, 1, 1], 'kernel'));
  return { lowered: b.build(logits), parameters: b.parameters, positive, kernel };
}

const { lowered, parameters, positive, kernel } = network();
const LOSSES: readonly RegionLoss[] = [
  { kind: 'dice', reduction: 'mean' },
  { kind: 'cross-entropy', reduction: 'sum' },
];

it.each(LOSSES)('gradients of $kind agree with finite differences, slice by slice', (loss) => {
  const core = loweredCore(lowered, parameters);
  const batch = regionBatch({ slices: 3, size: SIZE });
  const { gradients } = core.program.gradients(batch, loss);
  for (const { name, dims, offset } of core.layout.parameters) {
    const direction = Float64Array.from({ length: sizeOf(dims) }, uniform(offset + 1));
    const slopes = directionalDerivative(gradients, core.layout.parameterCount, offset, direction);
    const differences = directionalDifference(core, batch, loss, name, direction, 1e-6);
    expect({ name, error: relativeError(slopes, differences) }).toEqual({ name, error: expect.closeTo(0, 6) });
    expect(Math.max(...differences.map(Math.abs))).toBeGreaterThan(1e-3);
  }
});

it('a step goes down the gradient, and derived values follow the parameters', () => {
  const core = loweredCore(lowered, parameters);
  const batch = trainingBatch({ slices: 3, size: SIZE });
  const loss: TrainingLoss = { kind: 'dice+ce' };
  const before = core.program.step(batch, loss, { ...still, learningRate: 1e-6 });
  const after = core.program.step(batch, loss, still);
  let slope = 0;
  for (const [name, theta] of core.program.snapshot()) {
    slope += theta.reduce((sum, x, i) => sum + (x - parameters.get(name)![i]!) ** 2, 0) / 1e-12;
  }
  expect((before - after) / 1e-6 / slope).toBeCloseTo(1, 4);
  // A fresh program with the moved parameters sees the same network.
  const fresh = loweredCore(lowered, core.program.snapshot());
  expect(fresh.program.forward(batch.images, false)).toEqual(core.program.forward(batch.images, false));
});

it('no gradient passes a comparison', () => {
  const { backward, wanted } = planBackward(lowered, new Set(['first']));
  expect(wanted[positive]).toBe(false);
  expect(backward.map(({ output }) => output)).not.toContain(positive);
  expect(wanted[kernel]).toBe(true);
});

it('only what the selected parameters feed is differentiated', () => {
  const { backward, wanted } = planBackward(lowered, new Set(['shift']));
  expect(wanted[kernel]).toBe(false);
  expect(backward.map(({ type }) => type)).not.toContain('PRelu');
  const some = loweredCore(lowered, parameters, ['shift']);
  const all = loweredCore(lowered, parameters);
  const batch = regionBatch({ slices: 2, size: SIZE });
  const own = some.program.gradients(batch, LOSSES[0]!).gradients;
  const { offset } = all.layout.parameters.find(({ name }) => name === 'shift')!;
  const P = all.layout.parameterCount;
  const among = all.program.gradients(batch, LOSSES[0]!).gradients.filter((_, i) => i % P >= offset && i % P < offset + 5);
  expect(own).toEqual(among);
});
