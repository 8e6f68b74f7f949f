/** Parameters reached through other operations: found once, by their use, with gradients that match finite differences. */
import type { Graph, Node, Tensor } from '../../lib/graph/graph';
import { lower } from '../../lib/graph/lower';
import { selectParameters } from '../../lib/graph/parameters';
import { directionalDerivative, directionalDifference, referenceCore } from '../support/core';
import { uniform } from '../support/numbers';
import { floats, graphOf, integers, node, product } from './support';

const SIZE = [4, 6];
const random = uniform(7);
const weights = (...dims: number[]): Tensor => floats(dims, Float32Array.from({ length: product(dims) }, random));

const network = (nodes: Node[], initializers: Record<string, Tensor>): Graph => graphOf(nodes, initializers, { dims: ['N', 2, 'H', 'W'] });

const cases: [string, Graph, [string, string, number][]][] = [
  ['a transposed kernel', network([node('Transpose', ['w'], ['k'], { perm: [3, 2, 0, 1] }), node('Conv', ['image', 'k'], ['logits'], { pads: [1, 1, 1, 1] })], { w: weights(3, 3, 2, 3) }), [['w', 'kernel', 54]]],
  ['a reshaped, sliced and joined kernel', network([
    node('Reshape', ['w', 'dims'], ['r']), node('Slice', ['r', 'zero', 'one', 'zero'], ['s']), node('Concat', ['s', 'v'], ['k'], { axis: 0 }), node('Conv', ['image', 'k', 'b'], ['logits']),
  ], { w: weights(8), v: weights(2, 2, 1, 1), b: weights(3), dims: integers([4, 2, 1, 1]), zero: integers([0]), one: integers([1]) }), [['w', 'kernel', 8], ['v', 'kernel', 4], ['b', 'bias', 3]]],
  ['standardised weights', network([
    node('ReduceMean', ['w'], ['mean'], { axes: [1, 2, 3] }), node('Sub', ['w', 'mean'], ['d']), node('Mul', ['d', 'd'], ['q']), node('ReduceMean', ['q'], ['v'], { axes: [1, 2, 3] }),
    node('Add', ['v', 'epsilon'], ['e']), node('Sqrt', ['e'], ['s']), node('Div', ['d', 's'], ['u']), node('Mul', ['u', 'gain'], ['k']), node('Conv', ['image', 'k'], ['logits'], { pads: [1, 1, 1, 1] }),
  ], { w: weights(3, 2, 3, 3), gain: weights(3, 1, 1, 1), epsilon: floats([], [1e-3]) }), [['w', 'kernel', 54], ['gain', 'scale', 3]]],
  ['shared weights', network([
    node('Conv', ['image', 'w'], ['a']), node('Tanh', ['a'], ['t']), node('Conv', ['t', 'w'], ['b']), node('Transpose', ['w'], ['wt'], { perm: [1, 0, 2, 3] }), node('Conv', ['b', 'wt'], ['logits']),
  ], { w: weights(2, 2, 1, 1) }), [['w', 'kernel', 4]]],
  ['linear layers', network([
    node('Transpose', ['image'], ['x'], { perm: [0, 2, 3, 1] }), node('MatMul', ['x', 'm'], ['y']), node('Add', ['y', 'b'], ['z']), node('Gelu', ['z'], ['g']),
    node('Mul', ['g', 'gamma'], ['l']), node('Transpose', ['n'], ['nt']), node('MatMul', ['l', 'nt'], ['o']), node('Transpose', ['o'], ['logits'], { perm: [0, 3, 1, 2] }),
  ], { m: weights(2, 5), b: weights(5), gamma: weights(5), n: weights(3, 5) }), [['m', 'matrix', 10], ['b', 'bias', 5], ['gamma', 'scale', 5], ['n', 'matrix', 15]]],
  ['Gemm on pooled maps', network([
    node('GlobalAveragePool', ['image'], ['p']), node('Flatten', ['p'], ['f']), node('Gemm', ['f', 'm', 'c'], ['g'], { transB: 1, alpha: 0.5, beta: 2 }),
    node('Unsqueeze', ['g', 'axes'], ['u']), node('Mul', ['image', 'u'], ['s']), node('Conv', ['s', 'k'], ['logits']),
  ], { m: weights(2, 2), c: weights(2), k: weights(3, 2, 1, 1), axes: integers([2, 3]) }), [['m', 'matrix', 4], ['c', 'bias', 2], ['k', 'kernel', 6]]],
  ['normalisations', network([
    node('InstanceNormalization', ['image', 's', 'b'], ['i']), node('GroupNormalization', ['i', 'gs', 'gb'], ['g'], { num_groups: 1 }),
    node('LayerNormalization', ['g', 'ls'], ['l'], { axis: 3 }), node('PRelu', ['l', 'slope'], ['p']), node('Conv', ['p', 'k'], ['logits']),
  ], { s: weights(2), b: weights(2), gs: weights(1), gb: weights(1), ls: weights(6), slope: weights(1), k: weights(3, 2, 1, 1) }),
  [['s', 'scale', 2], ['b', 'bias', 2], ['gs', 'scale', 1], ['gb', 'bias', 1], ['ls', 'scale', 6], ['slope', 'slope', 1], ['k', 'kernel', 6]]],
  ['a table and tokens', network([
    node('Gather', ['table', 'places'], ['bias'], { axis: 0 }), node('Conv', ['image', 'k'], ['c']), node('Add', ['c', 'bias'], ['d']),
    node('Expand', ['token', 'wide'], ['t']), node('Concat', ['d', 't'], ['j'], { axis: 1 }), node('Conv', ['j', 'h'], ['logits']),
  ], { table: weights(4, 6), places: integers([3, 1, 1, 0]), k: weights(2, 2, 1, 1), token: weights(1, 1, 1, 6), wide: integers([1, 1, 4, 6]), h: weights(3, 3, 1, 1) }),
  [['k', 'kernel', 4], ['table', 'bias', 24], ['token', 'bias', 6], ['h', 'kernel', 9]]],
]; // prettier-ignore

describe.each(cases)('%s', (_, graph, expected) => {
  test('every trainable number is counted, by its use', () => {
    const { parameters } = lower(graph, SIZE);
    expect(parameters.map(({ name, role, size }) => [name, role === 'shift' ? 'bias' : role, size])).toEqual(expected);
    const trainable = [...graph.initializers.values()].filter(({ data, dims }) => !(data instanceof BigInt64Array) && dims.length > 0);
    expect(parameters.reduce((sum, { size }) => sum + size, 0)).toBe(trainable.reduce((sum, { data }) => sum + data.length, 0));
  });

  test('gradients match finite differences', () => {
    const core = referenceCore(graph, SIZE);
    const { program, layout } = core;
    const next = uniform(3);
    const images = Float32Array.from({ length: 2 * 2 * layout.pixels }, next);
    const targets = Uint8Array.from({ length: 2 * layout.pixels }, (__, i) => i % (layout.classes + 1));
    const batch = { images, targets, masks: new Uint8Array(2 * layout.classes * layout.pixels).fill(1) };
    const loss = { kind: 'cross-entropy', reduction: 'mean' } as const;
    const { gradients } = program.gradients(batch, loss);
    for (const { name, dims, offset } of layout.parameters) {
      const direction = Float64Array.from({ length: product(dims) }, next);
      const difference = directionalDifference(core, batch, loss, name, direction, 1e-6);
      const slope = directionalDerivative(gradients, layout.parameterCount, offset, direction);
      slope.forEach((value, i) => expect(value).toBeCloseTo(difference[i]!, 6));
      expect(slope.some((value) => value !== 0)).toBe(true);
    }
  });
});

test('the head is what its kernel is computed from', () => {
  expect(selectParameters(lower(cases[2]![1], SIZE), 'head')).toEqual(['w', 'gain']);
  expect(selectParameters(lower(cases[4]![1], SIZE), 'head')).toEqual(['n']);
});

test('masks are no parameters', () => {
  const graph = network(
    [node('Conv', ['image', 'k'], ['c']), node('Add', ['c', 'shut'], ['a']), node('Mul', ['a', 'open'], ['m']), node('Add', ['m', 'zeros'], ['logits'])],
    { k: weights(3, 2, 1, 1), shut: floats([6], [0, 0, -100, 0, 0, -100]), open: floats([6], [1, 0, 1, 1, 1, 1]), zeros: floats([3, 1, 1], [0, 0, 0]) },
  ); // prettier-ignore
  const { parameters, notes } = lower(graph, SIZE);
  expect(parameters.map(({ name }) => name)).toEqual(['k', 'zeros']);
  expect(notes).toEqual(["'shut' is a mask, not counted as a parameter", "'open' is a mask, not counted as a parameter"]);
});
