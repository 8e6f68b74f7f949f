/** Checkpoints: graphs of one network that differ in the numbers of their initializers alone. */
import { TracinError } from '../errors';
import type { AttributeValue, Graph, Node, Tensor } from './graph';
import { isTensor } from './onnx/attributes';
import { nodeLabel } from './onnx/errors';

function mismatch(message: string): TracinError {
  return new TracinError('ERR_TRACIN_CHECKPOINT', message);
}

function typedLike(tensor: Tensor, values: Float32Array | Float64Array): Tensor['data'] {
  const Numbers = tensor.type === 'float64' ? Float64Array : Float32Array;
  return values instanceof Numbers ? values : new Numbers(values);
}

/**
 * The graph with the numbers of some initializers replaced and metadata added; the original is left as it is.
 * @param values row-major, by initializer name; arrays of the initializer's own type are taken as they are, not copied
 * @throws TracinError ERR_TRACIN_CHECKPOINT for a name that is no floating-point initializer, or another count of numbers
 */
export function withInitializers(
  graph: Graph,
  values: ReadonlyMap<string, Float32Array | Float64Array>,
  metadata: ReadonlyMap<string, string> = new Map(),
): Graph {
  const initializers = new Map(graph.initializers);
  for (const [name, numbers] of values) {
    const tensor = initializers.get(name);
    if (!tensor || tensor.data instanceof BigInt64Array) throw mismatch(`${graph.source}: has no floating-point initializer '${name}'`);
    if (numbers.length !== tensor.data.length) {
      throw mismatch(`${graph.source}: initializer '${name}' has ${tensor.data.length} numbers, not ${numbers.length}`);
    }
    initializers.set(name, { ...tensor, data: typedLike(tensor, numbers) });
  }
  return { ...graph, initializers, metadata: new Map([...graph.metadata, ...metadata]) };
}

function sameList<T>(a: ArrayLike<T>, b: ArrayLike<T>): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) return false;
  return true;
}

function sameTensor(a: Tensor, b: Tensor): boolean {
  return a.type === b.type && sameList(a.dims, b.dims) && sameList<number | bigint>(a.data, b.data);
}

function sameValue(a: AttributeValue, b: AttributeValue | undefined): boolean {
  if (typeof a !== 'object' || typeof b !== 'object') return Object.is(a, b);
  if (isTensor(a) || isTensor(b)) return isTensor(a) && isTensor(b) && sameTensor(a, b);
  return sameList<number | string>(a, b);
}

/** What differs between two nodes in the same place, undefined where nothing does. Node names are for people and may differ. */
function nodeDifference(a: Node, b: Node): string | undefined {
  if (a.operator !== b.operator || a.domain !== b.domain) return `is ${nodeLabel(b)} where the network has ${nodeLabel(a)}`;
  if (!sameList(a.inputs, b.inputs) || !sameList(a.outputs, b.outputs)) return `${nodeLabel(b)} is wired differently`;
  const names = new Set([...a.attributes.keys(), ...b.attributes.keys()]);
  for (const name of names) {
    const value = a.attributes.get(name);
    if (value === undefined || !sameValue(value, b.attributes.get(name))) return `${nodeLabel(b)} has another '${name}'`;
  }
  return undefined;
}

/**
 * Checks that a checkpoint is of the same network: the same nodes, wiring and attributes, initializers of the same names and dims.
 * Integer initializers are sizes and axes and must be equal.
 * @throws TracinError ERR_TRACIN_CHECKPOINT naming the first difference
 */
export function assertSameNetwork(reference: Graph, checkpoint: Graph): void {
  const fail = (what: string): never => {
    throw mismatch(`${checkpoint.source}: not a checkpoint of the network in ${reference.source}: ${what}`);
  };
  for (const [name, tensor] of reference.initializers) {
    const other = checkpoint.initializers.get(name) ?? fail(`it has no initializer '${name}'`);
    if (!sameList(tensor.dims, other.dims)) fail(`initializer '${name}' is [${other.dims.join(', ')}], not [${tensor.dims.join(', ')}]`);
    const integers = tensor.data instanceof BigInt64Array || other.data instanceof BigInt64Array;
    if (integers && !sameTensor(tensor, other)) fail(`initializer '${name}' has other numbers`);
  }
  for (const name of checkpoint.initializers.keys()) if (!reference.initializers.has(name)) fail(`it has an initializer '${name}' more`);
  reference.nodes.forEach((node, index) => {
    const other = checkpoint.nodes[index];
    const difference = other ? nodeDifference(node, other) : `it lacks ${nodeLabel(node)}`;
    if (difference !== undefined) fail(other ? `node ${index} ${difference}` : difference);
  });
  const extra = checkpoint.nodes[reference.nodes.length];
  if (extra) fail(`it has ${nodeLabel(extra)} more`);
  const [image, otherImage] = [reference.inputs[0], checkpoint.inputs[0]];
  if (image?.name !== otherImage?.name || image?.dims[1] !== otherImage?.dims[1]) fail('its image input differs');
}
