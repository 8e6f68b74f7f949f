/** Graph and image size to Lowered: what the logits need, constants folded, shapes known, parameters found. */
import { TracinError } from '../errors';
import { asLogits, endingOf } from './ending';
import type { Graph, Node } from './graph';
import { channelsFirst, FLOATING, imageLayout, otherSize, type ImageLayout } from './image';
import type { Lowered, Parameter } from './lowered';
import { inverse } from './lowering/arrangement';
import { Emitter } from './lowering/emitter';
import { prune } from './lowering/prune';
import { initializer } from './lowering/initializer';
import type { Term } from './lowering/term';
import { graphError, nodeLabel } from './onnx/errors';
import { OPERATORS, unsupported } from './operators';
import { headOf } from './parameters';
import { findSizes, takes, type Sizes } from './sizes';
import { isGraphError, viewNode } from './view';

export interface LowerOptions {
  /** Name of the graph output that is taken as logits; the first one of full size when absent. */
  readonly output?: string | undefined;
}

/** The nodes that a value needs, in their order. */
function coneOf(graph: Graph, value: string): Node[] {
  const needed = new Set([value]);
  const cone: Node[] = [];
  for (const node of graph.nodes.toReversed()) {
    if (!node.outputs.some((name) => name !== '' && needed.has(name))) continue;
    for (const input of node.inputs) needed.add(input);
    cone.push(node);
  }
  return cone.reverse();
}

/** What the initializers and nodes of a graph stand for, worked out node by node. */
class Lowering {
  readonly emit = new Emitter();
  readonly #graph: Graph;
  readonly #terms = new Map<string, Term>();
  /** Outputs of nodes that are not supported, and why. */
  readonly #missing = new Map<string, string>();

  constructor(graph: Graph, image: ImageLayout, size: readonly number[]) {
    this.#graph = graph;
    for (const [name, tensor] of graph.initializers) this.#terms.set(name, initializer(this.emit, name, tensor));
    this.emit.begin(image.name, '', (message) => {
      throw graphError(graph.source, `input '${image.name}' ${message}`);
    });
    const maps = this.emit.image(image.name, [1, image.modalities, ...size]);
    const order = channelsFirst(size.length + 2);
    this.#terms.set(image.name, image.channelsLast ? this.emit.transpose(maps, inverse(order)) : maps);
  }

  /** @param value a name that the graph's nodes make */
  lower(value: string): Term {
    const cone = coneOf(this.#graph, value);
    // Before anything is computed: an operator that is missing is missing at every trial size.
    for (const node of cone) this.#checkSupported(node);
    for (const node of cone) this.#lowerNode(node);
    return this.#terms.get(value) ?? this.#unknown(`output '${value}'`, value);
  }

  #checkSupported({ operator, domain, name, outputs }: Node): void {
    const reason = unsupported(operator, domain);
    if (reason === undefined) return;
    throw graphError(this.#graph.source, `operator ${operator} (node '${name || (outputs[0] ?? '')}') is not supported: ${reason}`);
  }

  #unknown(what: string, name: string): never {
    throw graphError(this.#graph.source, `${what} reads '${name}', ${this.#missing.get(name) ?? 'which nothing known produces'}`);
  }

  #lowerNode(node: Node): void {
    const { source, opset } = this.#graph;
    const inputs = node.inputs.map((name) => (name === '' ? undefined : (this.#terms.get(name) ?? this.#unknown(nodeLabel(node), name))));
    const output = node.outputs[0] ?? '';
    const entry = OPERATORS.get(node.operator)!;
    const view = viewNode(node, inputs, { source, opset, emit: this.emit });
    const [least, most] = entry.inputs;
    if (inputs.length > most && inputs.slice(most).some((term) => term)) view.fail('has too many inputs');
    if (inputs.length < least) view.fail('lacks an input');
    this.emit.begin(node.name || output, output, view.fail);
    const lowered = entry.lower(view);
    const terms = Array.isArray(lowered) ? (lowered as readonly Term[]) : [lowered as Term];
    node.outputs.forEach((name, index) => {
      const term = terms[index];
      if (name === '') return;
      if (term) this.#terms.set(name, this.emit.named(term, name));
      else this.#missing.set(name, `output ${index} of ${nodeLabel(node)}, which is not supported`);
    });
  }
}

/** Every trainable initializer, in the order operations first use them. */
function parametersOf({ values, operations }: Pick<Lowered, 'values' | 'operations'>): Parameter[] {
  const order = new Set(operations.flatMap(({ inputs }) => inputs));
  return [...order].flatMap((value) => {
    const found = values[value];
    if (found?.kind !== 'parameter') return [];
    const { name, role, dims } = found;
    return [{ name, role, dims, size: dims.reduce((all, length) => all * length, 1), value }];
  });
}

/** The network up to the logits of one output. */
function lowerOutput(graph: Graph, image: ImageLayout, size: readonly number[], output: string): Lowered {
  const lowering = new Lowering(graph, image, size);
  const { emit } = lowering;
  const ending = endingOf(graph, output);
  const term = lowering.lower(ending.value);
  if (!emit.isActivation(term)) throw graphError(graph.source, `output '${output}' does not depend on the image`);
  emit.begin('logits', ending.value, (message) => {
    throw graphError(graph.source, `output '${output}' ${message}`);
  });
  const logits = emit.featureMap(asLogits(emit, term, output, ending, graph, image, size));
  const { values, operations, ...ends } = prune(emit, 0, logits);
  const head = headOf({ values, operations });
  if (head < 0) throw graphError(graph.source, `output '${output}' comes from no convolution and no product with a matrix: it has no head`);
  return { values, operations, ...ends, parameters: parametersOf({ values, operations }), head, notes: [...emit.notes] };
}

function checkSize(graph: Graph, size: readonly number[]): ImageLayout {
  const image = imageLayout(graph);
  const { name, spatial } = image;
  const wanted = `[${size.join(', ')}]`;
  if (size.length !== spatial.length)
    throw graphError(graph.source, `input '${name}' has ${spatial.length} spatial axes, the image size ${wanted} has not`);
  if (size.some((length) => !Number.isSafeInteger(length) || length < 1))
    throw new TracinError('ERR_TRACIN_USAGE', `image size ${wanted} is not possible`);
  if (spatial.some((length, axis) => typeof length === 'number' && length !== size[axis]))
    throw graphError(graph.source, otherSize(spatial, size));
  return image;
}

/** The outputs that may be logits: the one asked for, else floating-point ones before labels. */
function candidates(graph: Graph, asked: string | undefined): string[] {
  const names = graph.outputs.map(({ name }) => name);
  if (asked === undefined)
    return graph.outputs.toSorted((a, b) => Number(FLOATING.has(b.type)) - Number(FLOATING.has(a.type))).map(({ name }) => name);
  if (!names.includes(asked))
    throw new TracinError('ERR_TRACIN_USAGE', `${graph.source}: has no output '${asked}': its outputs are ${names.join(', ')}`);
  return [asked];
}

/** As `lower`, without advice on sizes. */
function lowerAt(graph: Graph, size: readonly number[], { output: asked }: LowerOptions): Lowered {
  const image = checkSize(graph, size);
  let failure: TracinError | undefined;
  for (const output of candidates(graph, asked)) {
    try {
      const lowered = lowerOutput(graph, image, size, output);
      const others = graph.outputs.flatMap(({ name }) => (name === output ? [] : [name]));
      const taken = `output '${output}' is taken, the network also has ${others.join(', ')}: choose with --output`;
      return asked === undefined && others.length > 0 ? { ...lowered, notes: [taken, ...lowered.notes] } : lowered;
    } catch (error) {
      if (!isGraphError(error)) throw error;
      failure ??= error;
    }
  }
  throw failure ?? graphError(graph.source, 'has no output');
}

/**
 * Fixes a graph to an image size. The logits are the first output that is [N, C, …size] (or that with channels last, or one channel), before
 * its softmax, sigmoid or argmax; what they do not need is dropped.
 * @param size spatial sizes of the images
 * @throws TracinError ERR_TRACIN_GRAPH naming file and node: an operator that is not supported, shapes that do not fit, a size the
 *   network's stride does not divide; ERR_TRACIN_USAGE for an output that is not there
 */
export function lower(graph: Graph, size: readonly number[], options: LowerOptions = {}): Lowered {
  checkSize(graph, size);
  try {
    return lowerAt(graph, size, options);
  } catch (error) {
    const sizes = isGraphError(error) ? findSizes(graph, (trial) => lowerAt(graph, trial, options)) : undefined;
    if (!sizes || takes(sizes, size)) throw error;
    const { stride, only } = sizes;
    const divisible = `image size [${size.join(', ')}] does not fit the network: sizes must be divisible by [${stride.join(', ')}]`;
    throw graphError(graph.source, only ? otherSize(stride, size) : divisible, error);
  }
}

/**
 * What image sizes the network takes.
 * @throws TracinError as `lower`
 */
export function sizesOf(graph: Graph, options: LowerOptions = {}): Sizes {
  const sizes = findSizes(graph, (trial) => lowerAt(graph, trial, options));
  if (sizes) return sizes;
  // No size works: say why, for one that most networks take.
  const size = imageLayout(graph).spatial.map((length) => (typeof length === 'number' ? length : 256));
  lowerAt(graph, size, options);
  throw graphError(graph.source, 'fits no usual image size');
}
