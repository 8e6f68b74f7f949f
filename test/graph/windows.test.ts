/** Windows of convolutions and pools as lowered, against their definition and onnxruntime. */
import fc from 'fast-check';
import type { Graph } from '../../lib/graph/graph';
import { inputBox, type Box } from '../../lib/graph/boxes';
import type { Operation, Window } from '../../lib/graph/lowered';
import { OPERATORS } from '../../lib/graph/operators';
import { readConv, readConvTranspose } from '../../lib/graph/operators/convolution';
import { floats, graphOf, inside, node, offset, positions, product, ramp, runGraph, viewOnly } from './support';

type Sliding = 'Conv' | 'ConvTranspose' | 'MaxPool' | 'AveragePool';
/** onnxruntime refuses a pool whose SAME pads would be negative. */
const runnable = ({ operator, kernel, attributes }: Case): boolean =>
  !operator.endsWith('Pool') ||
  !('auto_pad' in attributes) ||
  kernel.every((size, axis) => size >= (listed(attributes.strides)?.[axis] ?? 1));
const listed = (value: unknown): number[] | undefined => (Array.isArray(value) ? (value as number[]) : undefined);

interface Case {
  readonly operator: Sliding;
  readonly size: readonly number[];
  readonly kernel: readonly number[];
  readonly attributes: Record<string, string | number | number[]>;
}

/** A one-channel operator on one axis or two. */
const cases = (operator: Sliding): fc.Arbitrary<Case> =>
  fc.integer({ min: 1, max: 2 }).chain((rank) => {
    const list = (min: number, max: number, times = 1): fc.Arbitrary<number[]> =>
      fc.array(fc.integer({ min, max }), { minLength: rank * times, maxLength: rank * times });
    const pool = operator.endsWith('Pool');
    const optional: Record<string, fc.Arbitrary<string | number | number[]>> = { strides: list(1, 3) };
    // onnxruntime takes dilations of an AveragePool from opset 19 on only.
    if (operator !== 'AveragePool') optional.dilations = list(1, pool ? 2 : 3);
    if (pool) optional.ceil_mode = fc.constantFrom(0, 1);
    if (operator === 'AveragePool') optional.count_include_pad = fc.constantFrom(0, 1);
    if (operator === 'ConvTranspose') optional.output_padding = fc.constant(new Array<number>(rank).fill(0));
    return fc.record({
      operator: fc.constant(operator),
      size: list(4, 9),
      kernel: list(1, 3),
      attributes: fc.record(optional, { requiredKeys: [] }).chain((base) =>
        fc.oneof(
          list(0, 2, 2).map((pads) => ({ ...base, pads })),
          fc.constantFrom('VALID', 'SAME_UPPER', 'SAME_LOWER').map((auto_pad) => ({ ...base, auto_pad })),
        ),
      ),
    });
  });

function graphFor({ operator, size, kernel, attributes }: Case): Graph {
  const weighted = operator.startsWith('Conv');
  const all = { ...attributes, kernel_shape: [...kernel] };
  return graphOf(
    [node(operator, weighted ? ['image', 'kernel'] : ['image'], ['logits'], all)],
    weighted ? { kernel: floats([1, 1, ...kernel], ramp(product(kernel))) } : {},
    { dims: ['N', 1, ...size] },
  );
}

/** As lowered: attributes and the result's dims [C, …]. */
function lowered(graph: Graph, size: readonly number[]): { attributes: Window & { countIncludePad?: boolean }; dims: readonly number[] } {
  const view = viewOnly(graph, size);
  const { operator } = graph.nodes[0]!;
  if (operator === 'Conv') return readConv(view);
  if (operator === 'ConvTranspose') return readConvTranspose(view);
  OPERATORS.get(operator)!.lower(view);
  // Partial windows that count their pads are a padded map's: operators.test.ts runs them.
  if (view.emit.operations.length > 1) view.fail('is several operations');
  const { attributes, output } = view.emit.operations.at(-1)!;
  return { attributes: attributes as Window, dims: view.emit.values[output]!.dims };
}

const boxOf = (type: Sliding, attributes: Window, output: Box, input: readonly number[]): Box =>
  inputBox({ type, attributes, name: type, inputs: [0], output: 1 } as unknown as Operation, output, input);

/** Pairs (position of the result, tap, position of the input) with result·stride − before + tap·dilation = input. */
function* links(
  window: Window,
  result: readonly number[],
  input: readonly number[],
  transposed: boolean,
): Generator<[number[], number, number[]]> {
  for (const from of positions(transposed ? input : result)) {
    let index = 0;
    for (const tap of positions(window.kernel)) {
      const to = from.map((i, axis) => i * window.strides[axis]! - window.before[axis]! + tap[axis]! * window.dilations[axis]!);
      if (inside(to, transposed ? result : input)) yield transposed ? [to, index, from] : [from, index, to];
      index++;
    }
  }
}

function byDefinition(
  test: Case,
  window: Window & { countIncludePad?: boolean },
  result: readonly number[],
  image: Float32Array,
): Float64Array {
  const out = new Float64Array(product(result)).fill(test.operator === 'MaxPool' ? -Infinity : 0);
  const count = new Float64Array(out.length);
  const weights = ramp(product(test.kernel));
  for (const [to, tap, from] of links(window, result, test.size, test.operator === 'ConvTranspose')) {
    const [o, x] = [offset(to, result), image[offset(from, test.size)]!];
    if (test.operator === 'MaxPool') out[o] = Math.max(out[o]!, x);
    else out[o]! += test.operator === 'AveragePool' ? x : weights[tap]! * x;
    count[o]!++;
  }
  if (test.operator === 'AveragePool')
    out.forEach((sum, o) => (out[o] = sum / (window.countIncludePad ? product(test.kernel) : count[o]!)));
  return out;
}

const refused = (work: () => unknown): boolean => {
  try {
    work();
    return false;
  } catch (error) {
    return (error as { code?: string }).code === 'ERR_TRACIN_GRAPH';
  }
};

describe.each<Sliding>(['Conv', 'ConvTranspose', 'MaxPool', 'AveragePool'])('%s', (operator) => {
  test('gives the sizes and numbers of onnxruntime, through its window alone', async () => {
    let compared = 0;
    await fc.assert(
      fc.asyncProperty(cases(operator).filter(runnable), async (test) => {
        const graph = graphFor(test);
        if (refused(() => lowered(graph, test.size))) return;
        const { attributes, dims } = lowered(graph, test.size);
        const image = ramp(product(test.size));
        const ran = await runGraph(graph, image, [1, 1, ...test.size]);
        expect(dims).toEqual(ran.dims.slice(1));
        byDefinition(test, attributes, dims.slice(1), image).forEach((value, i) => expect(ran.data[i]).toBeCloseTo(value, 4));
        compared++;
      }),
      { numRuns: 160, seed: 7 },
    );
    expect(compared).toBeGreaterThan(50);
  });

  test('its box lies on the input and holds all that a part of the result reads', () => {
    fc.assert(
      fc.property(cases(operator), fc.infiniteStream(fc.nat()), (test, numbers) => {
        const graph = graphFor(test);
        if (refused(() => lowered(graph, test.size))) return;
        const { attributes, dims } = lowered(graph, test.size);
        const result = dims.slice(1);
        const next = (below: number): number => (numbers.next().value as number) % below;
        const output = result.map((size): [number, number] => {
          const from = next(size);
          return [from, from + 1 + next(size - from)];
        });
        const within = (position: readonly number[], box: Box): boolean =>
          position.every((i, axis) => i >= box[axis]![0] && i < box[axis]![1]);
        const box = boxOf(operator, attributes, output, test.size);
        for (const [to, , from] of links(attributes, result, test.size, operator === 'ConvTranspose')) {
          if (within(to, output)) expect(within(from, box)).toBe(true);
        }
        for (const [axis, [from, to]] of box.entries()) {
          expect(from).toBeGreaterThanOrEqual(0);
          expect(to).toBeLessThanOrEqual(test.size[axis]!);
        }
      }),
      { numRuns: 200, seed: 8 },
    );
  });
});

test('a window that does not dilate has a tight box', () => {
  const window: Window = { kernel: [3, 3], strides: [1, 2], before: [1, 1], after: [1, 1], dilations: [1, 1] };
  const box = boxOf('Conv', window, [[4, 6], [0, 2]], [20, 20]); // prettier-ignore
  expect(box).toEqual([[3, 7], [0, 4]]); // prettier-ignore
  const up: Window = { kernel: [2, 2], strides: [2, 2], before: [0, 0], after: [0, 0], dilations: [1, 1] };
  expect(boxOf('ConvTranspose', up, [[3, 5], [0, 1]], [10, 10])).toEqual([[1, 3], [0, 1]]); // prettier-ignore
  expect(boxOf('Conv', window, [[4, 4], [0, 2]], [20, 20])[0]).toEqual([0, 0]); // prettier-ignore
});

test.each([
  [{ output_shape: [9, 13] }, [9, 13]],
  [{ output_shape: [11, 14] }, [11, 14]],
  [{ output_padding: [1, 0] }, [11, 13]],
  [{ auto_pad: 'SAME_UPPER' }, [8, 12]],
  [{ auto_pad: 'SAME_LOWER' }, [8, 12]],
])('ConvTranspose with %j has the size onnxruntime gives', async (extra, expected) => {
  const test: Case = { operator: 'ConvTranspose', size: [4, 6], kernel: [4, 3], attributes: { strides: [2, 2], ...extra } };
  const graph = graphFor(test);
  const { attributes, dims } = lowered(graph, test.size);
  expect(dims.slice(1)).toEqual(expected);
  const image = ramp(product(test.size));
  const ran = await runGraph(graph, image, [1, 1, ...test.size]);
  expect(ran.dims).toEqual([1, 1, ...expected]);
  byDefinition(test, attributes, expected, image).forEach((value, i) => expect(ran.data[i]).toBeCloseTo(value, 4));
});
