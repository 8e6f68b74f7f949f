/** What a network is to this package: what it takes and gives, what of it can be run, and what of it is trainable. */
import { check, list, optional, shape, text, whole } from '../kinds';
import { anyGraph, type Graph, type Node, type ValueInfo } from './graph';
import { imageLayout } from './image';
import { lower, sizesOf } from './lower';
import type { Lowered, Parameter, ParameterKind } from './lowered';
import { nodeLabel } from './onnx/errors';
import { unsupported } from './operators';
import { isGraphError } from './view';

/** The size and the output that a network is looked at with. */
export interface InspectOptions {
  /** Spatial size of the images; the fixed one, or about 192 along each axis, when absent. */
  readonly size?: readonly number[] | undefined;
  /** Name of the output that is taken as logits; the first one of full size when absent. */
  readonly output?: string | undefined;
}

/** An operator that a network uses, and whether engines have it. */
export interface OperatorCount {
  readonly operator: string;
  readonly domain: string;
  readonly count: number;
  readonly supported: boolean;
  /** One node of it. */
  readonly node: string;
}

/** Plain data, fit for JSON. */
export interface Inspection {
  readonly file: string;
  readonly producer: string;
  readonly opset: number;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  /** Of the nodes that the logits need, in the order they first appear. */
  readonly operators: readonly OperatorCount[];
  /** undefined where the network cannot be run: see `failure`. */
  readonly network: InspectedNetwork | undefined;
  /** One line: why engines cannot run it. */
  readonly failure: string | undefined;
}

/** What the package sees in a network that it can run. */
export interface InspectedNetwork {
  /** Spatial size that was looked at. */
  readonly size: readonly number[];
  /** What spatial sizes must be divisible by. */
  readonly stride: readonly number[];
  /** Whether the stride is the one size that the network was exported for. */
  readonly oneSize: boolean;
  /** Name of the graph output taken as logits. */
  readonly output: string;
  readonly modalities: number;
  /** C, with the background. */
  readonly logits: number;
  readonly parameters: readonly Pick<Parameter, 'name' | 'role' | 'dims' | 'size'>[];
  readonly kinds: readonly { readonly role: ParameterKind; readonly tensors: number; readonly numbers: number }[];
  /** Numbers in all parameters. */
  readonly parameterCount: number;
  /** Names of running means and variances. */
  readonly statistics: readonly string[];
  /** Last hidden layer: the last convolution, the kernel that `head` selects and the maps it reads. */
  readonly head: { readonly node: string; readonly kernel: string | undefined; readonly features: readonly number[] };
  readonly notes: readonly string[];
}

const OPTIONS = shape<InspectOptions>({ size: optional(list(whole(1))), output: optional(text) });

/** Never throws for a graph that cannot be run: `failure` says why. @throws ERR_TRACIN_USAGE for an impossible size */
export function inspectGraph(graph: Graph, options: InspectOptions = {}): Inspection {
  check('inspectGraph', { graph, options }, { graph: anyGraph, options: OPTIONS });
  const { source: file, producer, opset, inputs, outputs } = graph;
  let network: InspectedNetwork | undefined;
  let failure: string | undefined;
  try {
    network = inspectNetwork(graph, options);
  } catch (error) {
    if (!isGraphError(error)) throw error;
    failure = error.message;
  }
  const chosen = network?.output ?? options.output;
  const operators = countOperators(nodesOf(graph, chosen === undefined ? outputs.map(({ name }) => name) : [chosen]));
  const missing = operators.filter(({ supported }) => !supported);
  if (failure !== undefined && missing.length > 0) failure = inTheWay(file, missing);
  return { file, producer, opset, inputs, outputs, operators, network, failure };
}

/** One line on all operators that are missing, with what to do about the first. */
function inTheWay(file: string, missing: readonly OperatorCount[]): string {
  const [first] = missing;
  const words = missing.map(({ operator, domain, node }) => `${domain === '' ? '' : `${domain}.`}${operator} (node '${node}')`);
  const what = missing.length === 1 ? 'an operator is' : `${missing.length} operators are`;
  return `${file}: ${what} not supported: ${words.join(', ')}: ${unsupported(first!.operator, first!.domain)}`;
}

/** The nodes that some values need, in their order. */
function nodesOf(graph: Graph, names: readonly string[]): Node[] {
  const needed = new Set(names);
  const nodes = graph.nodes.toReversed().filter(({ inputs, outputs }) => {
    if (!outputs.some((name) => name !== '' && needed.has(name))) return false;
    inputs.forEach((name) => needed.add(name));
    return true;
  });
  return nodes.reverse();
}

function countOperators(nodes: readonly Node[]): OperatorCount[] {
  const counts = new Map<string, OperatorCount>();
  for (const { operator, domain, name, outputs } of nodes) {
    const key = `${domain}:${operator}`;
    const known = counts.get(key) ?? {
      operator,
      domain,
      count: 0,
      supported: unsupported(operator, domain) === undefined,
      node: name || (outputs[0] ?? ''),
    };
    counts.set(key, { ...known, count: known.count + 1 });
  }
  return [...counts.values()];
}

function inspectNetwork(graph: Graph, { size: wanted, output: asked }: InspectOptions): InspectedNetwork {
  const { stride, only } = sizesOf(graph, { output: asked });
  const { spatial } = imageLayout(graph);
  const size = wanted ?? stride.map((step, axis) => (only || typeof spatial[axis] === 'number' ? step : Math.ceil(192 / step) * step));
  const lowered = lower(graph, size, { output: asked });
  const output = asked ?? outputOf(graph, lowered);
  const { parameters, values, operations } = lowered;
  const head = operations[lowered.head]!;
  return {
    size,
    stride,
    oneSize: only,
    output,
    modalities: values[lowered.input]!.dims[0]!,
    logits: values[lowered.logits]!.dims[0]!,
    parameters: parameters.map(({ name, role, dims, size: numbers }) => ({ name, role, dims, size: numbers })),
    kinds: kindsOf(parameters),
    parameterCount: parameters.reduce((sum, { size: numbers }) => sum + numbers, 0),
    statistics: values.flatMap(({ kind, name }) => (kind === 'statistic' ? [name] : [])),
    head: {
      node: head.name,
      kernel: parameters.find(({ value }) => value === head.inputs[1])?.name,
      features: values[head.inputs[0]!]!.dims,
    },
    notes: [...lowered.notes, ...foldingNotes(nodesOf(graph, [output]))],
  };
}

function kindsOf(parameters: readonly Parameter[]): InspectedNetwork['kinds'] {
  const roles = [...new Set(parameters.map(({ role }) => role))];
  return roles.map((role) => {
    const those = parameters.filter((parameter) => parameter.role === role);
    return { role, tensors: those.length, numbers: those.reduce((sum, { size }) => sum + size, 0) };
  });
}

/** The first output that is, or is made from, the logits. */
function outputOf(graph: Graph, lowered: Lowered): string {
  const logits = lowered.values[lowered.logits]!.name;
  const made = graph.outputs.find(({ name }) => name === logits || nodesOf(graph, [name]).some(({ outputs }) => outputs.includes(logits)));
  return (made ?? graph.outputs[0]!).name;
}

/**
 * Exporters that fold a BatchNormalization into the convolution before it leave a trace in names: torch's tracer calls the new kernel
 * and bias `onnx::Conv_12`; the optimizer of its newer exporter (onnxscript) calls the new node `node_Conv_12`, where others are
 * called after torch's operators (`node_conv2d`), and a bias that was not there before after its kernel.
 */
export function foldingNotes(nodes: readonly Node[]): string[] {
  const folded = nodes.filter(({ operator, name, inputs: [, kernel = '', bias = ''] }) => {
    if ((operator !== 'Conv' && operator !== 'ConvTranspose') || bias === '') return false;
    return (
      bias === `${kernel}_bias` ||
      /^node_Conv(Transpose)?_\d+$/.test(name) ||
      [kernel, bias].every((input) => /^onnx::Conv(Transpose)?_\d+$/.test(input))
    );
  });
  const [first] = folded;
  if (!first) return [];
  return [`normalisation scales folded into ${folded.length} convolutions (${nodeLabel(first)}): influence is over the folded kernels`];
}
