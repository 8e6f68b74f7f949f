/** Operators whose form changed between opsets, and those made of several operations, run by the reference engine against onnxruntime. */
import type { AttributeValue, Graph, Tensor } from '../../lib/graph/graph';
import { referenceCore } from '../support/core';
import { floats, graphOf, integers, node, product, ramp, runGraph } from './support';

const numbers = (...dims: number[]): Tensor => floats(dims, ramp(product(dims)));
type Inputs = Record<string, Tensor>;
/** Name, opset, operator, its inputs after the image, attributes, image dims. */
type Case = [string, number, string, Inputs, Record<string, AttributeValue>, number[]?];
const one = floats([], [0.3]);

const cases: Case[] = [
  ['limits as attributes', 9, 'Clip', {}, { min: -0.25, max: 0.5 }],
  ['limits as inputs', 11, 'Clip', { low: floats([], [-0.25]), high: floats([], [0.5]) }, {}],
  ['one limit', 13, 'Clip', { low: floats([], [-0.25]) }, {}],
  ['attributes', 9, 'Slice', {}, { starts: [1, -3], ends: [9, -1], axes: [1, 3] }],
  ['attributes, to the end as torch says it', 9, 'Slice', {}, { starts: [1, -3], ends: [2 ** 63, 2 ** 63], axes: [2, 3] }],
  ['inputs with a step back', 11, 'Slice', { s: integers([-1, 5]), e: integers([-100, 0]), a: integers([2, 3]), t: integers([-1, -2]) }, {}],
  ['inputs without axes', 13, 'Slice', { s: integers([0, 1, 1]), e: integers([1, 3, 2 ** 31]) }, {}],
  ['attributes', 9, 'Pad', {}, { pads: [0, 0, 1, 2, 0, 0, 0, 1], value: 0.5 }],
  ['inputs', 11, 'Pad', { p: integers([0, 0, 1, 2, 0, 0, -1, 1]), v: one }, {}],
  ['reflection', 13, 'Pad', { p: integers([0, 0, 2, 1, 0, 0, 1, 3]) }, { mode: 'reflect' }],
  ['edges', 13, 'Pad', { p: integers([0, 0, 2, 1, 0, 0, 1, 3]) }, { mode: 'edge' }],
  ['axes', 18, 'Pad', { p: integers([1, 2]), v: one, a: integers([-1]) }, {}],
  ['wrapped', 19, 'Pad', { p: integers([0, 0, 2, 1, 0, 0, 1, 3]) }, { mode: 'wrap' }],
  ['scales', 9, 'Upsample', { s: floats([4], [1, 1, 2, 3]) }, { mode: 'nearest' }],
  ['scales, linear', 9, 'Upsample', { s: floats([4], [1, 1, 2, 3]) }, { mode: 'linear' }],
  ['scales', 10, 'Resize', { s: floats([4], [1, 1, 2, 1.5]) }, { mode: 'linear' }],
  ['cubic', 11, 'Resize', { r: floats([0], []), s: floats([4], [1, 1, 2, 1.5]) }, { mode: 'cubic', coordinate_transformation_mode: 'align_corners' }],
  ['coerced', 9, 'Softmax', {}, { axis: 2 }],
  ['coerced', 11, 'LogSoftmax', {}, { axis: 1 }],
  ['along an axis', 13, 'Softmax', {}, { axis: 2 }],
  ['axes as attribute', 11, 'ReduceMean', {}, { axes: [2, 3], keepdims: 1 }],
  ['axes as input', 18, 'ReduceMean', { a: integers([-1, 1]) }, { keepdims: 1 }],
  ['axes as attribute', 11, 'ReduceSum', {}, { axes: [1], keepdims: 1 }],
  ['axes as input', 13, 'ReduceSum', { a: integers([1]) }, { keepdims: 1 }],
  ['all axes', 13, 'ReduceMax', {}, { keepdims: 1 }],
  ['', 13, 'ReduceMin', {}, { axes: [3] }],
  ['', 13, 'ReduceL1', {}, { axes: [3] }],
  ['', 13, 'ReduceL2', {}, { axes: [1, 2] }],
  ['', 13, 'ReduceSumSquare', {}, { axes: [1, 2] }],
  ['', 13, 'ReduceLogSumExp', {}, { axes: [1] }],
  ['', 13, 'InstanceNormalization', { s: numbers(3), b: numbers(3) }, { epsilon: 1e-3 }],
  ['over the last axis', 17, 'LayerNormalization', { s: numbers(6), b: numbers(6) }, {}],
  ['over several axes, no shift', 17, 'LayerNormalization', { s: numbers(4, 6) }, { axis: 2 }],
  ['', 13, 'LpNormalization', {}, { axis: 1, p: 2 }],
  ['', 13, 'MeanVarianceNormalization', {}, {}],
  ['', 13, 'GlobalMaxPool', {}, {}],
  ['partial windows', 13, 'MaxPool', {}, { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1, pads: [1, 1, 1, 1] }],
  ['dilations', 13, 'MaxPool', {}, { kernel_shape: [2, 2], dilations: [2, 3] }],
  ['partial windows that count pads', 19, 'AveragePool', {}, { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1, count_include_pad: 1, pads: [1, 1, 1, 0] }],
  ['p 2', 18, 'LpPool', {}, { kernel_shape: [2, 2], strides: [2, 2], p: 2 }],
  ['p 1, pads', 18, 'LpPool', {}, { kernel_shape: [3, 3], pads: [1, 1, 1, 1], p: 1 }],
  ['slope of channels', 13, 'PRelu', { s: numbers(3, 1, 1) }, {}],
  ['one slope', 13, 'PRelu', { s: floats([1], [0.2]) }, {}],
  ['columns', 13, 'DepthToSpace', {}, { blocksize: 2, mode: 'CRD' }, [8, 2, 3]],
  ['depth', 11, 'DepthToSpace', {}, { blocksize: 2 }, [8, 2, 3]],
  ['', 13, 'SpaceToDepth', {}, { blocksize: 2 }],
  ['', 13, 'Tile', { r: integers([1, 2, 1, 2]) }, {}],
  ['', 13, 'Gather', { i: integers([2, 0, -1]) }, { axis: 1 }],
  ['by both sides', 13, 'MatMul', { m: numbers(3, 6, 5) }, {}],
  ['by a vector', 13, 'MatMul', { m: numbers(6) }, {}],
  ['as a matrix', 13, 'Einsum', { m: numbers(6, 5) }, { equation: 'bchw,wk->bkch' }],
  ['of batches', 13, 'Einsum', { m: numbers(3, 6, 2) }, { equation: 'bchw,cwk->bckh' }],
  ['of one operand', 13, 'Einsum', {}, { equation: 'bchw->bwc' }],
  ['', 13, 'Mean', { a: numbers(3, 1, 1), b: one }, {}],
  ['', 13, 'Min', { a: numbers(3, 1, 1), b: one }, {}],
  ['square', 13, 'Pow', { a: floats([], [2]) }, {}],
  ['cube', 13, 'Pow', { a: floats([1], [3]) }, {}],
  ['', 13, 'ThresholdedRelu', {}, { alpha: 0.2 }],
  ['', 13, 'Softsign', {}, {}],
  ['', 13, 'Celu', {}, { alpha: 0.7 }],
  ['', 20, 'Gelu', {}, { approximate: 'tanh' }],
]; // prettier-ignore

test.each(cases)('%s (opset %i %s) has the numbers of onnxruntime', async (_, opset, operator, inputs, attributes, dims = [3, 4, 6]) => {
  const apart = (opset < 13 ? { axes: [0] } : {}) as Record<string, AttributeValue>;
  const axes: Inputs = opset < 13 ? {} : { first: integers([0]) };
  // Whatever dims the result has: one row of it is a map, and the logits are that map and its double.
  const graph = graphOf(
    [
      node(operator, ['image', ...Object.keys(inputs)], ['y'], attributes),
      node('Reshape', ['y', 'row'], ['map']),
      node('Conv', ['map', 'head'], ['small']),
      node('Unsqueeze', ['zero', ...Object.keys(axes)], ['nothing'], apart),
      node('Add', ['small', 'nothing'], ['logits']),
    ],
    { ...inputs, ...axes, row: integers([1, 1, 1, -1]), head: floats([2, 1, 1, 1], [1, 2]), zero: floats([1, 1, 1], [0]) },
    { dims: [1, ...dims], opset },
  );
  const image = ramp(product(dims));
  const ran = await runGraph(graph, image, [1, ...dims]);
  const found = rowsOf(graph, dims, ran.dims[3]!, image);
  expect(found).toHaveLength(ran.data.length);
  found.forEach((value, i) => expect(value).toBeCloseTo(ran.data[i]!, 4));
});

/**
 * Logits must be as large as the image: both are one row of pixels, of which the first are the operator's image and its result.
 * @returns the first `length` numbers of both logits
 */
function rowsOf(graph: Graph, dims: readonly number[], length: number, image: Float32Array): Float64Array {
  const [pixels, early] = [product(dims), graph.opset < 11];
  const size = Math.max(length, pixels);
  const padding = [0, 0, 0, 0, 0, 0, 0, size - length];
  const inner = graph.nodes.map((each) => ({
    ...each,
    inputs: each.inputs.map((name) => (name === 'image' ? 'true image' : name)),
    outputs: each.outputs.map((name) => (name === 'logits' ? 'result' : name)),
  }));
  const framed = graphOf(
    [
      early
        ? node('Slice', ['image'], ['front'], { starts: [0], ends: [pixels], axes: [3] })
        : node('Slice', ['image', 'from', 'to', 'third'], ['front']),
      node('Reshape', ['front', 'true dims'], ['true image']),
      ...inner,
      early ? node('Pad', ['result'], ['logits'], { pads: padding }) : node('Pad', ['result', 'padding'], ['logits']),
    ],
    {
      ...Object.fromEntries(graph.initializers),
      from: integers([0]),
      to: integers([pixels]),
      third: integers([3]),
      'true dims': integers([1, ...dims]),
      padding: integers(padding),
    },
    { dims: [1, 1, 1, size], opset: graph.opset },
  );
  const row = Float32Array.from({ length: size }, (_, i) => image[i] ?? 0);
  const { logits } = referenceCore(framed, [1, size]).program.forward(row, false);
  return Float64Array.from({ length: 2 * length }, (_, i) => logits[Math.floor(i / length) * size + (i % length)]!);
}
