/** The losses against their formulas and their cotangents against finite differences; the optimisers against PyTorch. */
import type { RegionLoss, TrainingLoss } from '../../../lib/engine/engine';
import { probabilities, regionLoss, trainingLoss } from '../../../lib/engine/reference/losses';
import { update, type Slots } from '../../../lib/engine/reference/optimisers';
import { zeros, type Tensor } from '../../../lib/engine/reference/tensor';
import { relativeError, uniform } from '../../support/numbers';

const CHANNELS = 4;
const SIZE = [3, 5];
const PIXELS = 15;

function randomLogits(batch: number, seed: number): Tensor {
  const next = uniform(seed);
  const dims = [batch, CHANNELS, ...SIZE];
  return { dims, data: zeros(dims).data.map(() => 3 * next()) };
}

function randomBytes(count: number, below: number, seed: number): Uint8Array {
  const next = uniform(seed);
  return Uint8Array.from({ length: count }, () => Math.floor(((next() + 1) / 2) * below));
}

function expectCotangent(logits: Tensor, cotangent: Tensor, loss: () => number): void {
  const h = 1e-5;
  const expected = logits.data.map((f, i) => {
    logits.data[i] = f + h;
    const above = loss();
    logits.data[i] = f - h;
    const below = loss();
    logits.data[i] = f;
    return (above - below) / (2 * h);
  });
  expect(relativeError(cotangent.data, expected)).toBeLessThan(1e-8);
}

/** p of a class at a pixel of slice n, written out. */
function p(logits: Tensor, n: number, label: number, pixel: number): number {
  const at = (k: number): number => Math.exp(logits.data[(n * CHANNELS + k) * PIXELS + pixel]!);
  return at(label) / (at(0) + at(1) + at(2) + at(3));
}

describe('loss of a region', () => {
  const losses: RegionLoss[] = [
    { kind: 'dice', reduction: 'mean' },
    { kind: 'cross-entropy', reduction: 'mean' },
    { kind: 'cross-entropy', reduction: 'sum' },
  ];
  const logits = randomLogits(1, 1);
  const targets = randomBytes(PIXELS, CHANNELS, 2);
  const mask = randomBytes(PIXELS, 2, 3);
  const label = 2;

  it.each(losses)('$kind, $reduction: value', (loss) => {
    const inside = [...mask.keys()].filter((i) => mask[i]);
    const sum = (term: (pixel: number) => number): number => inside.reduce((total, i) => total + term(i), 0);
    const y = (i: number): number => (targets[i] === label ? 1 : 0);
    const dice = 1 - (2 * sum((i) => y(i) * p(logits, 0, label, i))) / (sum((i) => y(i) ** 2 + p(logits, 0, label, i) ** 2) + 1e-7);
    const crossEntropy = sum((i) => -Math.log(p(logits, 0, targets[i]!, i)));
    const expected = { dice, mean: crossEntropy / inside.length, sum: crossEntropy }[loss.kind === 'dice' ? 'dice' : loss.reduction];
    expect(regionLoss(loss, probabilities(logits), targets, mask, label, zeros(logits.dims))).toBeCloseTo(expected, 12);
  });

  it.each(losses)('$kind, $reduction: cotangent', (loss) => {
    const cotangent = zeros(logits.dims);
    regionLoss(loss, probabilities(logits), targets, mask, label, cotangent);
    expectCotangent(logits, cotangent, () => regionLoss(loss, probabilities(logits), targets, mask, label, zeros(logits.dims)));
  });

  it.each(losses)('$kind, $reduction: nothing from an empty mask', (loss) => {
    const cotangent = randomLogits(1, 4);
    expect(regionLoss(loss, probabilities(logits), targets, new Uint8Array(PIXELS), label, cotangent)).toBe(0);
    expect(cotangent.data.every((g) => g === 0)).toBe(true);
  });

  it('cross-entropy stays finite where the softmax underflows', () => {
    const extreme = zeros(logits.dims);
    extreme.data.fill(2000, 0, PIXELS);
    const cotangent = zeros(logits.dims);
    const given = probabilities(extreme);
    const loss = regionLoss({ kind: 'cross-entropy', reduction: 'mean' }, given, new Uint8Array(PIXELS).fill(1), mask, label, cotangent);
    expect(loss).toBe(2000);
    expect(cotangent.data.every(Number.isFinite)).toBe(true);
  });
});

describe('loss of training', () => {
  const losses: TrainingLoss[] = [
    { kind: 'dice' },
    { kind: 'cross-entropy' },
    { kind: 'cross-entropy', classWeights: [0.2, 1, 2, 0] },
    { kind: 'dice+ce', classWeights: [0.5, 1, 1, 3] },
  ];
  const batch = 2;
  const logits = randomLogits(batch, 5);
  const targets = randomBytes(batch * PIXELS, CHANNELS, 6);

  it.each(losses)('$kind $classWeights: value', ({ kind, classWeights }) => {
    const each = (term: (n: number, pixel: number, y: number) => number): number =>
      targets.reduce((sum, y, i) => sum + term(Math.floor(i / PIXELS), i % PIXELS, y), 0);
    const weight = (y: number): number => classWeights?.[y] ?? 1;
    const overlap = (c: number): number =>
      (2 * each((n, i, y) => (y === c ? p(logits, n, c, i) : 0))) / (each((n, i, y) => (y === c ? 1 : 0) + p(logits, n, c, i) ** 2) + 1e-7);
    const dice = 1 - (overlap(1) + overlap(2) + overlap(3)) / 3;
    const crossEntropy = each((n, i, y) => -weight(y) * Math.log(p(logits, n, y, i))) / each((_n, _i, y) => weight(y));
    const expected = (kind === 'cross-entropy' ? 0 : dice) + (kind === 'dice' ? 0 : crossEntropy);
    expect(trainingLoss({ kind, classWeights }, probabilities(logits), targets, zeros(logits.dims))).toBeCloseTo(expected, 12);
  });

  it.each(losses)('$kind $classWeights: cotangent', (loss) => {
    const cotangent = zeros(logits.dims);
    trainingLoss(loss, probabilities(logits), targets, cotangent);
    expectCotangent(logits, cotangent, () => trainingLoss(loss, probabilities(logits), targets, zeros(logits.dims)));
  });

  it('is 0 where every label has weight 0', () => {
    const cotangent = zeros(logits.dims);
    const loss: TrainingLoss = { kind: 'cross-entropy', classWeights: [1, 0, 0, 0] };
    expect(
      trainingLoss(
        loss,
        probabilities(logits),
        targets.map(() => 1),
        cotangent,
      ),
    ).toBe(0);
    expect(cotangent.data.every((g) => g === 0)).toBe(true);
  });
});

describe('three steps of an optimiser', () => {
  // From torch.optim.SGD and torch.optim.Adam in float64 with the same numbers.
  const gradients = [0, 1, 2].map((s) => Float64Array.of(0.3, -0.1 * (s + 1), 0.7 - s));
  const start = [1, -2, 0.5];

  it('sgd', () => {
    const theta = Float64Array.from(start);
    const slots: Slots = new Map();
    for (const g of gradients) {
      update({ kind: 'sgd', learningRate: 0.1, momentum: 0.9, weightDecay: 0.01 }, { name: 'w', role: 'kernel' }, theta, g, slots);
    }
    expect(relativeError(theta, Float64Array.of(0.826238769, -1.8937475879999999, 0.4947333295))).toBeLessThan(1e-14);
    expect([...slots.keys()]).toEqual(['velocity/w']);
  });

  it('adam', () => {
    const theta = Float64Array.from(start);
    const slots: Slots = new Map();
    const adam = { kind: 'adam', learningRate: 0.05, beta1: 0.8, beta2: 0.95, epsilon: 1e-6, weightDecay: 0.02 } as const;
    gradients.forEach((g, s) => update({ ...adam, step: s + 1 }, { name: 'w', role: 'matrix' }, theta, g, slots));
    expect(relativeError(theta, Float64Array.of(0.8500251508631953, -1.85089793200725, 0.4606311348931398))).toBeLessThan(1e-14);
    expect([...slots.keys()]).toEqual(['m/w', 'v/w']);
  });

  it.each(['bias', 'scale', 'shift', 'slope'] as const)('no decay for a %s', (role) => {
    const theta = Float64Array.of(5);
    update({ kind: 'sgd', learningRate: 1, momentum: 0, weightDecay: 0.5 }, { name: 'b', role }, theta, Float64Array.of(1), new Map());
    expect(theta[0]).toBe(4);
  });
});
