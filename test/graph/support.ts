import { InferenceSession, Tensor as RuntimeTensor } from 'onnxruntime-node';
import type { AttributeValue, Graph, Node, Tensor } from '../../lib/graph/graph';
import { serialiseOnnx } from '../../lib/graph/onnx';

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

/** Runs a graph in onnxruntime. */
export async function runGraph(
  graph: Graph,
  image: Float32Array,
  dims: readonly number[],
): Promise<{ dims: readonly number[]; data: Float32Array }> {
  const session = await InferenceSession.create(serialiseOnnx(graph), { logSeverityLevel: 3, intraOpNumThreads: 1 });
  const { logits } = await session.run({ image: new RuntimeTensor('float32', image, dims) });
  await session.release();
  return { dims: logits!.dims, data: logits!.data as Float32Array };
}

export const ramp = (length: number): Float32Array => Float32Array.from({ length }, (_, i) => Math.sin(1 + 1.7 * i));
