import { InferenceSession, Tensor as RuntimeTensor } from 'onnxruntime-node';
import type { AttributeValue, Graph, Node, Tensor } from '../../lib/graph/graph';
import { Emitter } from '../../lib/graph/lowering/emitter';
import { initializer } from '../../lib/graph/lowering/initializer';
import { serialiseOnnx } from '../../lib/graph/onnx';
import type { NodeView } from '../../lib/graph/operators/operator';
import { viewNode } from '../../lib/graph/view';

export const product = (sizes: readonly number[]): number => sizes.reduce((all, size) => all * size, 1);

/** Every position of a box of those sizes, last axis fastest. */
export function positions(sizes: readonly number[]): number[][] {
  return sizes.reduce<number[][]>((all, size) => all.flatMap((head) => Array.from({ length: size }, (_, i) => [...head, i])), [[]]);
}

export function offset(position: readonly number[], sizes: readonly number[]): number {
  return position.reduce((at, i, axis) => at * sizes[axis]! + i, 0);
}

export const inside = (position: readonly number[], sizes: readonly number[]): boolean =>
  position.every((i, axis) => i >= 0 && i < sizes[axis]!);

export function floats(dims: readonly number[], data: ArrayLike<number>): Tensor {
  return { type: 'float32', dims, data: Float32Array.from(data) };
}

export function integers(data: readonly number[]): Tensor {
  return { type: 'int64', dims: [data.length], data: BigInt64Array.from(data, BigInt) };
}

export function node(operator: string, inputs: string[], outputs: string[], attributes: Record<string, AttributeValue> = {}): Node {
  return {
    name: `${operator} of ${outputs[0] ?? ''}`,
    operator,
    domain: '',
    inputs,
    outputs,
    attributes: new Map(Object.entries(attributes)),
  };
}

/** A graph from `image` to `logits`. */
export function graphOf(
  nodes: Node[],
  initializers: Record<string, Tensor>,
  options: { dims?: (number | string)[]; opset?: number } = {},
): Graph {
  const dims = options.dims ?? ['N', 1, 'H', 'W'];
  return {
    name: 'test',
    opset: options.opset ?? 17,
    producer: 'test',
    inputs: [{ name: 'image', type: 'float32', dims }],
    outputs: [{ name: 'logits', type: 'float32', dims: dims.map((_, axis) => `out${axis}`) }],
    initializers: new Map(Object.entries(initializers)),
    nodes,
    metadata: new Map(),
    source: 'test.onnx',
  };
}

export function openGraph(graph: Graph): Promise<InferenceSession> {
  return InferenceSession.create(serialiseOnnx(graph), { logSeverityLevel: 3, intraOpNumThreads: 1 });
}

/** Runs a graph in onnxruntime. */
export async function runGraph(
  graph: Graph,
  image: Float32Array,
  dims: readonly number[],
): Promise<{ dims: readonly number[]; data: Float32Array }> {
  const session = await openGraph(graph);
  const { logits } = await session.run({ image: new RuntimeTensor('float32', image, dims) });
  await session.release();
  return { dims: logits!.dims, data: logits!.data as Float32Array };
}

/** The only node of a graph as its operator's entry sees it, on an image of that size. */
export function viewOnly(graph: Graph, size: readonly number[]): NodeView {
  const emit = new Emitter();
  const [only] = graph.nodes;
  const inputs = only!.inputs.map((name) => {
    if (name === 'image') return emit.image(name, [1, graph.inputs[0]!.dims[1] as number, ...size]);
    const tensor = graph.initializers.get(name);
    return tensor && initializer(emit, name, tensor);
  });
  const view = viewNode(only!, inputs, { source: graph.source, opset: graph.opset, emit });
  emit.begin(only!.name, 'logits', view.fail);
  return view;
}

export const ramp = (length: number): Float32Array => Float32Array.from({ length }, (_, i) => Math.sin(1 + 1.7 * i));
