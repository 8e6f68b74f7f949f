/** ModelProto to and from Graph. */
import type { Graph, Node, Tensor, ValueInfo } from '../graph';
import { decodeAttribute, encodeAttribute } from './attributes';
import { graphError, nodeLabel } from './errors';
import { inOrder } from './order';
import { MODEL, type GraphProto, type ModelProto, type NodeProto, type ValueInfoProto } from './schema';
import { elementCode, elementType, encodeTensor } from './tensor';
import { decode, encode } from './wire';

const OPSETS = { first: 9, last: 22 } as const;
/** The IR version of the ONNX release that brought each opset (onnx/docs/Versioning.md). */
const IR_VERSION = new Map([4, 5, 6, 7, 7, 7, 8, 8, 8, 8, 9, 9, 10, 10].map((version, i) => [OPSETS.first + i, version]));

/** The standard operators' domain has two spellings. */
const standard = (domain: string | undefined): string => (domain === 'ai.onnx' ? '' : (domain ?? ''));

export function decodeModel(bytes: Uint8Array, source: string): ModelProto {
  try {
    return decode<ModelProto>(MODEL, bytes);
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw graphError(source, `not a whole ONNX file (${reason}): export or copy it again`, error);
  }
}

export function graphOf(model: ModelProto, source: string): GraphProto {
  if (!model.graph || model.graph.node.length === 0) throw graphError(source, 'not an ONNX model: it holds no graph with nodes');
  if (model.graph.sparseInitializer.length > 0) throw graphError(source, 'sparse initializers are not supported: export dense ones');
  return model.graph;
}

function opsetOf(model: ModelProto, source: string): number {
  const opset = model.opsetImport.find(({ domain }) => standard(domain) === '')?.version;
  if (opset === undefined) throw graphError(source, 'names no opset of the standard operators: export it again');
  if (!IR_VERSION.has(opset)) {
    throw graphError(source, `uses opset ${opset}: export it with an opset from ${OPSETS.first} to ${OPSETS.last}`);
  }
  return opset;
}

function decodeNode(proto: NodeProto, source: string): Node {
  const head = {
    name: proto.name ?? '',
    operator: proto.opType ?? '',
    domain: standard(proto.domain),
    inputs: proto.input,
    outputs: proto.output,
  };
  const label = nodeLabel(head);
  const attributes = new Map(proto.attribute.map((attribute) => [attribute.name ?? '', decodeAttribute(attribute, label, source)]));
  if (attributes.size < proto.attribute.length) throw graphError(source, `${label} has the same attribute twice`);
  return { ...head, attributes };
}

function decodeValueInfo(proto: ValueInfoProto, source: string): ValueInfo {
  const name = proto.name ?? '';
  const tensor = proto.type?.tensorType;
  if (!tensor) throw graphError(source, `'${name}' is not a tensor`);
  // Some exporters write −1 for a free axis, and onnxruntime takes it for one.
  const dims = (tensor.shape?.dim ?? []).map(({ dimValue = -1, dimParam = '' }) => (dimValue < 0 ? dimParam : dimValue));
  return { name, type: elementType(tensor.elemType, `'${name}'`, source), dims };
}

/**
 * An Identity of an initializer becomes an initializer of the Identity's name. Exporters store tensors of equal value once and share
 * them so (torch shares a fresh scale with a running variance): the names, not the numbers of the day, say what is one parameter.
 */
function unshare(nodes: readonly Node[], initializers: Map<string, Tensor>, outputs: ReadonlySet<string>): Node[] {
  return nodes.filter(({ operator, domain, inputs, outputs: [output] }) => {
    const tensor = operator === 'Identity' && domain === '' ? initializers.get(inputs[0] ?? '') : undefined;
    if (!tensor || !output || outputs.has(output)) return true;
    initializers.set(output, tensor);
    return false;
  });
}

/** @param tensors the decoded initializers, in the order of the file */
export function assemble(model: ModelProto, tensors: readonly Tensor[], source: string): Graph {
  const proto = graphOf(model, source);
  const opset = opsetOf(model, source);
  const initializers = new Map<string, Tensor>();
  proto.initializer.forEach(({ name = '' }, index) => {
    if (initializers.has(name)) throw graphError(source, `initializer '${name}' is defined twice`);
    initializers.set(name, tensors[index]!);
  });
  const inputs = proto.input.filter(({ name = '' }) => !initializers.has(name)).map((info) => decodeValueInfo(info, source));
  const given = new Set(initializers.keys());
  for (const { name } of inputs) {
    if (given.has(name)) throw graphError(source, `input '${name}' is defined twice`);
    given.add(name);
  }
  const nodes = inOrder(
    proto.node.map((node) => decodeNode(node, source)),
    given,
    source,
  );
  const outputs = proto.output.map((info) => decodeValueInfo(info, source));
  const made = new Set(nodes.flatMap((node) => node.outputs));
  for (const { name } of outputs) {
    if (!made.has(name) && !given.has(name)) throw graphError(source, `output '${name}' is produced by nothing`);
  }
  return {
    name: proto.name ?? '',
    opset,
    producer: model.producerName ?? '',
    inputs,
    outputs,
    nodes: unshare(nodes, initializers, new Set(outputs.map(({ name }) => name))),
    initializers,
    metadata: new Map(model.metadataProps.map(({ key = '', value = '' }) => [key, value])),
    source,
  };
}

function encodeValueInfo({ name, type, dims }: ValueInfo): ValueInfoProto {
  const dim = dims.map((size) => (typeof size === 'number' ? { dimValue: size } : size === '' ? {} : { dimParam: size }));
  // No dims: the rank is not known (an image or a feature map has some).
  return { name, type: { tensorType: { elemType: elementCode(type), ...(dim.length > 0 ? { shape: { dim } } : {}) } } };
}

function encodeNode({ name, operator, domain, inputs, outputs, attributes }: Node): NodeProto {
  return {
    name,
    opType: operator,
    ...(domain === '' ? {} : { domain }),
    input: [...inputs],
    output: [...outputs],
    attribute: [...attributes].map(([key, value]) => encodeAttribute(key, value)),
  };
}

/** The file's bytes, in pieces to be written one after another; initializers of type float32 are not copied. */
export function encodeModel(graph: Graph): readonly Uint8Array[] {
  const irVersion = IR_VERSION.get(graph.opset);
  if (irVersion === undefined) throw graphError(graph.source, `opset ${graph.opset} cannot be written`);
  const customDomains = [...new Set(graph.nodes.map(({ domain }) => domain))].filter((domain) => domain !== '');
  const model: ModelProto = {
    irVersion,
    producerName: graph.producer,
    opsetImport: [{ domain: '', version: graph.opset }, ...customDomains.map((domain) => ({ domain, version: 1 }))],
    metadataProps: [...graph.metadata].map(([key, value]) => ({ key, value })),
    graph: {
      name: graph.name || 'network',
      node: graph.nodes.map(encodeNode),
      initializer: [...graph.initializers].map(([name, tensor]) => encodeTensor(tensor, name)),
      input: graph.inputs.map(encodeValueInfo),
      output: graph.outputs.map(encodeValueInfo),
      sparseInitializer: [],
    },
  };
  const { chunks, length } = encode(MODEL, model);
  if (length >= 2 ** 31) throw graphError(graph.source, `needs ${length} bytes, more than the 2 GiB an ONNX file can hold`);
  return chunks;
}
