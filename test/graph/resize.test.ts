/** Resize as taps, against onnxruntime. */
import fc from 'fast-check';
import { Tensor as RuntimeTensor } from 'onnxruntime-node';
import type { AttributeValue, Graph, Tensor } from '../../lib/graph/graph';
import type { AxisTaps } from '../../lib/graph/lowered';
import { inputBox } from '../../lib/graph/boxes';
import { readResize } from '../../lib/graph/operators/resize';
import { floats, graphOf, integers, node, offset, openGraph, positions, product, ramp, runGraph, viewOnly } from './support';

function resizeGraph(
  size: readonly number[],
  attributes: Record<string, AttributeValue>,
  targets: { scales?: number[]; sizes?: number[] },
  opset: number,
): Graph {
  const initializers: Record<string, Tensor> = targets.scales
    ? { scales: floats([targets.scales.length], targets.scales) }
    : { sizes: integers(targets.sizes!) };
  const inputs = targets.scales ? ['image', '', 'scales'] : ['image', '', '', 'sizes'];
  return graphOf([node('Resize', inputs, ['logits'], attributes)], initializers, { dims: [1, 2, ...size], opset });
}

function tapsOf(graph: Graph, size: readonly number[]): readonly AxisTaps[] {
  return readResize(viewOnly(graph, size), [0, 1, 2, 3]).axes;
}

/** One channel: the product over the axes of its taps. */
function apply(axes: readonly AxisTaps[], image: ArrayLike<number>): number[] {
  const from = axes.map(({ inputSize }) => inputSize);
  const taps = positions(axes.map((axis) => axis.taps));
  return positions(axes.map(({ outputSize }) => outputSize)).map((o) =>
    taps.reduce((sum, tap) => {
      const at = tap.map((t, axis) => o[axis]! * axes[axis]!.taps + t);
      const weight = at.reduce((all, i, axis) => all * axes[axis]!.weight[i]!, 1);
      return sum + weight * image[offset(at.map((i, axis) => axes[axis]!.index[i]!), from)]!; // prettier-ignore
    }, 0),
  );
}

const coordinates = fc.constantFrom('half_pixel', 'asymmetric', 'align_corners', 'pytorch_half_pixel');
const modes = fc.oneof(
  fc.record({ mode: fc.constantFrom('linear', 'cubic'), coordinate_transformation_mode: coordinates }),
  fc.record({
    mode: fc.constant('cubic'),
    coordinate_transformation_mode: coordinates,
    cubic_coeff_a: fc.constantFrom(-0.5, -0.75),
    exclude_outside: fc.constantFrom(0, 1),
  }),
  fc.record({
    mode: fc.constant('nearest'),
    coordinate_transformation_mode: coordinates,
    nearest_mode: fc.constantFrom('round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'),
  }),
);
const targets = fc.oneof(
  fc.tuple(fc.integer({ min: 1, max: 13 }), fc.integer({ min: 1, max: 13 })).map((sizes) => ({ sizes: [1, 2, ...sizes] })),
  fc.tuple(fc.constantFrom(0.5, 1, 1.5, 2, 3, 1.7, 1.2), fc.constantFrom(0.5, 2, 4, 0.7)).map((scales) => ({ scales: [1, 1, ...scales] })),
);

test('every mode gives the numbers of onnxruntime', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.tuple(fc.integer({ min: 2, max: 7 }), fc.integer({ min: 2, max: 7 })),
      modes,
      targets,
      async (size, attributes, target) => {
        const graph = resizeGraph(size, attributes, target, 17);
        const image = ramp(2 * product(size));
        const ran = await runGraph(graph, image, [1, 2, ...size]);
        const axes = tapsOf(graph, size);
        expect(axes.map(({ outputSize }) => outputSize)).toEqual(ran.dims.slice(2));
        apply(axes, image.subarray(0, product(size))).forEach((value, i) => expect(ran.data[i]).toBeCloseTo(value, 4));
      },
    ),
    { numRuns: 300, seed: 3 },
  );
});

describe('nearest is what onnxruntime takes for it, whatever the sizes:', () => {
  const ways = ['half_pixel', 'asymmetric', 'align_corners', 'half_pixel_symmetric'].flatMap((way) =>
    ['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'].map((side) => [way, side] as const),
  );

  test.each(ways)('%s, %s', async (coordinate_transformation_mode, nearest_mode) => {
    const attributes = { mode: 'nearest', coordinate_transformation_mode, nearest_mode };
    const session = await openGraph({
      ...graphOf([node('Resize', ['image', '', '', 'sizes'], ['logits'], attributes)], {}, { dims: [1, 1, 1, 'W'], opset: 19 }),
      inputs: [
        { name: 'image', type: 'float32', dims: [1, 1, 1, 'W'] },
        { name: 'sizes', type: 'int64', dims: [4] },
      ],
    });
    for (const from of [3, 7, 14, 28, 30, 33]) {
      const image = new RuntimeTensor('float32', Float32Array.from({ length: from }, (_, i) => i), [1, 1, 1, from]); // prettier-ignore
      for (let to = 1; to < 96; to++) {
        const sizes = new RuntimeTensor('int64', BigInt64Array.of(1n, 1n, 1n, BigInt(to)), [4]);
        const { logits } = await session.run({ image, sizes });
        const [, axis] = tapsOf(resizeGraph([1, from], attributes, { sizes: [1, 2, 1, to] }, 19), [1, from]);
        expect(Array.from(axis!.index)).toEqual(Array.from(logits!.data as Float32Array));
      }
    }
    await session.release();
  });

  test('shrunk in opset 10', async () => {
    const graph = graphOf([node('Resize', ['image', 'scales'], ['logits'])], { scales: floats([4], [1, 1, 0.7, 0.3]) }, { dims: [1, 2, 10, 11], opset: 10 }); // prettier-ignore
    const image = ramp(2 * 10 * 11);
    const ran = await runGraph(graph, image, [1, 2, 10, 11]);
    const axes = tapsOf(graph, [10, 11]);
    expect(axes.map(({ outputSize }) => outputSize)).toEqual(ran.dims.slice(2));
    expect(apply(axes, image)).toEqual(Array.from(ran.data.subarray(0, 7 * 3)));
  });
});

test('sizes by scales are counted in float32, as onnxruntime counts them', async () => {
  for (const scale of [0.7, 1.7, 5 / 3]) {
    for (const length of [3, 10, 20, 30]) {
      const graph = resizeGraph([length, 4], { mode: 'linear' }, { scales: [1, 1, scale, 1] }, 13);
      const ran = await runGraph(graph, ramp(8 * length), [1, 2, length, 4]);
      expect(tapsOf(graph, [length, 4])[0]!.outputSize).toBe(ran.dims[2]);
    }
  }
});

test('weights of every position sum to 1 and the box holds exactly the positions read', () => {
  fc.assert(
    fc.property(
      fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 })),
      modes,
      targets,
      fc.nat(),
      fc.nat(),
      (size, attributes, target, a, b) => {
        let axes: readonly AxisTaps[];
        try {
          axes = tapsOf(resizeGraph(size, attributes, target, 17), size);
        } catch {
          return; // a scale that leaves nothing of a small map
        }
        const output = axes.map(({ outputSize }): [number, number] => [
          a % outputSize,
          (a % outputSize) + 1 + (b % (outputSize - (a % outputSize))),
        ]);
        const box = inputBox({ type: 'Resize', attributes: { axes }, name: 'resize', inputs: [0], output: 1 }, output, size);
        axes.forEach(({ taps, index, weight, outputSize }, axis) => {
          for (let o = 0; o < outputSize; o++) expect(weight.subarray(o * taps, (o + 1) * taps).reduce((x, y) => x + y)).toBeCloseTo(1, 12);
          const read: number[] = [];
          for (let o = output[axis]![0]; o < output[axis]![1]; o++) {
            for (let t = o * taps; t < (o + 1) * taps; t++) if (weight[t] !== 0) read.push(index[t]!);
          }
          expect(box[axis]).toEqual([Math.min(...read), Math.max(...read) + 1]);
        });
      },
    ),
    { numRuns: 300, seed: 4 },
  );
});

test('opset 18 names the axes it resizes', async () => {
  const size = [4, 6];
  const graph = resizeGraph(size, { mode: 'linear', axes: [3, 2] }, { sizes: [9, 8] }, 18);
  const image = ramp(2 * product(size));
  const ran = await runGraph(graph, image, [1, 2, ...size]);
  expect(ran.dims).toEqual([1, 2, 8, 9]);
  apply(tapsOf(graph, size), image).forEach((value, i) => expect(ran.data[i]).toBeCloseTo(value, 4));
});

test.each([
  [{ mode: 'spline' }, { sizes: [1, 2, 8, 8] }, 'mode'],
  [{ mode: 'linear', antialias: 1 }, { sizes: [1, 2, 2, 2] }, 'antialias'],
  [{ mode: 'linear', coordinate_transformation_mode: 'tf_crop_and_resize' }, { sizes: [1, 2, 8, 8] }, 'tf_crop_and_resize'],
  [{ mode: 'nearest' }, { sizes: [1, 2, 8] }, '3 sizes for 4 axes'],
  [{ mode: 'nearest' }, { scales: [1, 1, 1e9, 1] }, 'resizes to'],
  [{ mode: 'nearest' }, { scales: [1, 1, NaN, 1] }, 'resizes to'],
])('refuses %j to %j', (attributes, target, message) => {
  expect(() => tapsOf(resizeGraph([4, 4], attributes, target, 18), [4, 4])).toThrow(message);
});
