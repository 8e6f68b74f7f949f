/** ONNX's tests of single operators (make_node_tests.py), each wrapped into a network whose logits are the operator's results. */
import { parseOnnx } from '../../lib/graph/onnx';
import { TracinError } from '../../lib/errors';
import type { AttributeValue, Graph, Node, Tensor } from '../../lib/graph/graph';
import { referenceCore } from '../support/core';

interface Numbers {
  readonly dims: readonly number[];
  readonly type: 'float32' | 'float64' | 'int64' | 'int32' | 'int8' | 'uint8' | 'bool';
  readonly data: readonly number[];
}

export interface NodeCase {
  readonly name: string;
  /** Or `several`, where a function is written out. */
  readonly operator: string;
  /** ONNX, base64 */
  readonly model: string;
  readonly inputs: readonly Numbers[];
  readonly outputs: readonly Numbers[];
}

export type Outcome =
  | { readonly result: 'passed' }
  /** One line that says what would be needed. */
  | { readonly result: 'refused'; readonly why: string }
  | { readonly result: 'failed'; readonly why: string };

const count = (dims: readonly number[]): number => dims.reduce((product, n) => product * n, 1);

function tensorOf({ dims, type, data }: Numbers): Tensor {
  if (type === 'float64') return { type, dims, data: Float64Array.from(data) };
  return type === 'float32' ? { type, dims, data: Float32Array.from(data) } : { type, dims, data: BigInt64Array.from(data.map(BigInt)) };
}

const integers = (...values: number[]): Tensor => ({ type: 'int64', dims: [values.length], data: BigInt64Array.from(values.map(BigInt)) });

function node(
  operator: string,
  inputs: readonly string[],
  output: string,
  attributes: Readonly<Record<string, AttributeValue>> = {},
): Node {
  return { name: output, operator, domain: '', inputs, outputs: [output], attributes: new Map(Object.entries(attributes)) };
}

interface Wrapped {
  readonly graph: Graph;
  readonly size: readonly number[];
  readonly image: Float32Array;
}

/**
 * A network of the case at slices of these dims. Its results, one row of numbers after another, filled up with zeros, make [q, …size]
 * maps that an identity convolution hands on as logits.
 * @param slices how many the image and the result are cut into along their first axis; 0: all of it is one slice, [1, 1, P]
 */
function wrap(test: NodeCase, slices: number): Wrapped {
  const graph = parseOnnx(Buffer.from(test.model, 'base64'), test.name);
  const position = test.inputs.findIndex(({ type }) => type === 'float32');
  const [x, y] = [test.inputs[position]!, test.outputs[0]!];
  const [name, result] = [graph.inputs[position]!.name, graph.outputs[0]!.name];
  const dims = slices > 0 ? x.dims.slice(1) : [1, count(x.dims)];
  const size = dims.slice(1);
  const numbers = count(y.dims) / Math.max(slices, 1);
  const maps = Math.max(2, Math.ceil(numbers / count(size)));
  const missing = maps * count(size) - numbers;
  const identity = Float32Array.from({ length: maps ** 2 }, (_, i) => (i % (maps + 1) === 0 ? 1 : 0));
  const initializers = new Map<string, Tensor>([
    ...graph.initializers,
    ...graph.inputs.flatMap((input, i) => (i === position ? [] : [[input.name, tensorOf(test.inputs[i]!)] as const])),
    ['wrap/dims', integers(...x.dims)],
    ['wrap/row', integers(1, 1, numbers)],
    ...(missing > 0 ? [['wrap/fill', { type: 'float32', dims: [1, 1, missing], data: new Float32Array(missing) }] as const] : []),
    ['wrap/maps', integers(1, maps, ...size)],
    ['wrap/identity', { type: 'float32', dims: [maps, maps, ...size.map(() => 1)], data: identity }],
  ]);
  const image = slices > 0 ? name : 'wrap/image';
  const nodes = [
    ...(slices > 0 ? [] : [node('Reshape', [image, 'wrap/dims'], name)]),
    ...graph.nodes,
    node('Reshape', [result, 'wrap/row'], 'wrap/flat'),
    node('Concat', missing > 0 ? ['wrap/flat', 'wrap/fill'] : ['wrap/flat'], 'wrap/filled', { axis: 2 }),
    node('Reshape', ['wrap/filled', 'wrap/maps'], 'wrap/folded'),
    node('Conv', ['wrap/folded', 'wrap/identity'], 'wrap/logits'),
  ];
  return {
    graph: {
      ...graph,
      inputs: [{ name: image, type: 'float32', dims: ['N', ...dims] }],
      outputs: [{ name: 'wrap/logits', type: 'float32', dims: ['N', maps, ...size] }],
      initializers,
      nodes,
    },
    size,
    image: Float32Array.from(x.data),
  };
}

function attempt(test: NodeCase, slices: number): Outcome {
  const expected = test.outputs[0]!.data;
  try {
    const { graph, size, image } = wrap(test, slices);
    const { logits } = referenceCore(graph, size).program.forward(image, false);
    const parts = Math.max(slices, 1);
    const row = expected.length / parts;
    for (const [i, value] of expected.entries()) {
      const found = logits[Math.floor(i / row) * (logits.length / parts) + (i % row)]!;
      // As ONNX's own runner compares: some expectations have four digits.
      if (!(Math.abs(found - value) <= 1e-6 + 1e-3 * Math.abs(value))) {
        return { result: 'failed', why: `number ${i} is ${found}, not ${value}` };
      }
    }
    return { result: 'passed' };
  } catch (error) {
    if (error instanceof TracinError && error.code === 'ERR_TRACIN_GRAPH') return { result: 'refused', why: error.message };
    return { result: 'failed', why: String(error instanceof Error ? (error.stack ?? error.message) : error) };
  }
}

/** Runs a case on the reference engine: all of it as one slice or, where that is refused, its first axis as the batch. */
export function runNodeCase(test: NodeCase): Outcome {
  const whole = attempt(test, 0);
  const x = test.inputs.find(({ type }) => type === 'float32')!;
  const batch = x.dims[0] ?? 0;
  const batched = x.dims.length > 2 && test.outputs[0]!.dims[0] === batch;
  if (whole.result !== 'refused' || !batched) return whole;
  const other = attempt(test, batch);
  return other.result === 'refused' ? whole : other;
}
