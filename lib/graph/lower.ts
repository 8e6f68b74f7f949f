/** Graph and image size to Lowered: what the logits need, constants folded, shapes known, parameters found. */
import { TracinError } from '../errors';
import type { Graph, Node, Tensor, ValueInfo } from './graph';
import type { Lowered, Operation, Parameter, ParameterKind, Value } from './lowered';
import { graphError, nodeLabel } from './onnx/errors';
import { isOperatorType, operationEntry, VANISHING } from './operators';
import type { InputRole, Known, NodeView } from './operators/operator';
import { divides, findStride } from './stride';
import { isGraphError, knownTensor, viewNode, type ViewedInput } from './view';

/** What a name of the graph stands for. */
type Meaning =
  | { readonly kind: 'activation'; readonly value: number; readonly dims: readonly number[] }
  | { readonly kind: 'initializer'; readonly name: string; readonly tensor: Tensor }
  | { readonly kind: 'known'; readonly name: string; readonly known: Known };

const FLOATING = new Set(['float32', 'float64', 'float16', 'bfloat16']);

/** The nodes that a value needs, in their order. */
function coneOf(graph: Graph, output: string): Node[] {
  const needed = new Set([output]);
  const cone: Node[] = [];
  for (let index = graph.nodes.length - 1; index >= 0; index--) {
    const node = graph.nodes[index]!;
    if (!node.outputs.some((name) => name !== '' && needed.has(name))) continue;
    const extra = node.outputs.findIndex((name, position) => position > 0 && name !== '' && needed.has(name));
    if (extra > 0)
      throw graphError(graph.source, `${nodeLabel(node)}: its output ${extra} '${node.outputs[extra]!}' is used, which is not supported`);
    for (const input of node.inputs) needed.add(input);
    cone.push(node);
  }
  return cone.reverse();
}

class Lowering {
  readonly #graph: Graph;
  readonly #meanings = new Map<string, Meaning>();
  readonly #indices = new Map<string, number>();
  readonly #values: Value[] = [];
  readonly #operations: Operation[] = [];
  readonly #parameters: Parameter[] = [];

  constructor(graph: Graph, image: string, dims: readonly number[]) {
    this.#graph = graph;
    for (const [name, tensor] of graph.initializers) this.#meanings.set(name, { kind: 'initializer', name, tensor });
    this.#activation(image, dims);
  }

  /** The network up to `output`; its dims are not checked yet. */
  lower(output: string): Lowered {
    for (const node of coneOf(this.#graph, output)) this.#lowerNode(node);
    const logits = this.#meanings.get(output);
    if (logits?.kind !== 'activation') throw graphError(this.#graph.source, `output '${output}' does not depend on the image`);
    const head = this.#operations.findLastIndex(({ type }) => type === 'Conv');
    if (head < 0) throw graphError(this.#graph.source, `output '${output}' comes from no Conv: a segmentation network ends in one`);
    return { values: this.#values, operations: this.#operations, parameters: this.#parameters, input: 0, logits: logits.value, head };
  }

  #push(name: string, value: Value): number {
    this.#values.push(value);
    this.#indices.set(name, this.#values.length - 1);
    return this.#values.length - 1;
  }

  #activation(name: string, dims: readonly number[]): number {
    const value = this.#push(name, { kind: 'activation', name, dims });
    this.#meanings.set(name, { kind: 'activation', value, dims });
    return value;
  }

  #numbers(meaning: Meaning): Known | undefined {
    if (meaning.kind === 'activation') return undefined;
    return meaning.kind === 'known' ? meaning.known : knownTensor(meaning.tensor);
  }

  #viewed(meaning: Meaning | undefined): ViewedInput | undefined {
    if (!meaning) return undefined;
    const dims = meaning.kind === 'known' ? meaning.known.dims : meaning.kind === 'initializer' ? meaning.tensor.dims : meaning.dims;
    return { operand: { dims, batch: meaning.kind === 'activation' }, numbers: () => this.#numbers(meaning) };
  }

  #lowerNode(node: Node): void {
    const { source } = this.#graph;
    const meanings = node.inputs.map((name) => {
      const meaning = name === '' ? undefined : this.#meanings.get(name);
      if (name !== '' && !meaning) throw graphError(source, `${nodeLabel(node)} reads '${name}', which nothing known produces`);
      return meaning;
    });
    const name = node.outputs[0] ?? '';
    const view = viewNode(
      node,
      meanings.map((meaning) => this.#viewed(meaning)),
      source,
    );
    const vanishing = node.domain === '' ? VANISHING.get(node.operator) : undefined;
    if (vanishing) {
      const meaning: Meaning | undefined = 'passes' in vanishing ? meanings[0] : { kind: 'known', name, known: vanishing.fold(view) };
      this.#meanings.set(name, meaning ?? view.fail('has no input'));
      return;
    }
    if (node.domain !== '' || !isOperatorType(node.operator)) {
      const domain = node.domain === '' ? '' : ` of the domain '${node.domain}'`;
      throw graphError(source, `operator ${node.operator}${domain} (node '${node.name || name}') is not supported`);
    }
    const entry = operationEntry(node.operator);
    if (entry.fold && meanings.every((meaning) => meaning && meaning.kind !== 'activation')) {
      this.#meanings.set(name, { kind: 'known', name, known: entry.fold(view) });
      return;
    }
    this.#operation(node, name, meanings, view);
  }

  #operation(node: Node, name: string, meanings: readonly (Meaning | undefined)[], view: NodeView): void {
    if (!isOperatorType(node.operator)) return;
    const entry = operationEntry(node.operator);
    const roleOf = (index: number): InputRole =>
      entry.inputs[index] ?? (entry.variadic ? entry.inputs.at(-1)! : view.fail(`has too many inputs`));
    const present = meanings.filter((meaning, index) => meaning ?? (index >= entry.required && !entry.variadic)).length;
    if (meanings.length < entry.required || present < meanings.length) view.fail('lacks an input');
    const inputs = meanings.flatMap((meaning, index) => {
      const role = roleOf(index);
      return role === 'setting' ? [] : [meaning ? this.#value(meaning, role, index, view) : -1];
    });
    const attributes = entry.attributes(view);
    const dims = entry.shape(
      attributes,
      meanings.map((_, index) => view.input(index)),
      view.fail,
    );
    const output = this.#activation(name, dims);
    this.#operations.push({ type: node.operator, attributes, name: node.name || name, inputs, output } as Operation);
  }

  /** The value of an input by what its operator does with it. */
  #value(meaning: Meaning, role: InputRole, index: number, view: NodeView): number {
    if (meaning.kind === 'activation') {
      if (role === 'activation' || role === 'operand') return meaning.value;
      return view.fail(`computes its input ${index} (${role}) from the image, which is not supported`);
    }
    if (role === 'activation') return view.fail(`has a constant for its input ${index}, which is not supported`);
    const kind = role === 'operand' ? 'constant' : role === 'statistic' ? 'statistic' : 'parameter';
    const old = this.#indices.get(meaning.name);
    if (old !== undefined) {
      const { kind: oldKind } = this.#values[old]!;
      return oldKind === kind ? old : view.fail(`uses '${meaning.name}' as a ${kind}, but another node uses it as a ${oldKind}`);
    }
    if (kind === 'constant') {
      const known = this.#numbers(meaning)!;
      return this.#push(meaning.name, { kind, name: meaning.name, dims: known.dims, data: known.data });
    }
    if (meaning.kind === 'known')
      return view.fail(`takes its ${role} from '${meaning.name}', which is computed: store it as an initializer`);
    const { name, tensor } = meaning;
    if (!FLOATING.has(tensor.type))
      view.fail(`takes its ${role} from '${name}', which is ${tensor.type}: export a network of floating-point weights`);
    if (kind === 'statistic') return this.#push(name, { kind, name, dims: tensor.dims });
    const value = this.#push(name, { kind: 'parameter', name, dims: tensor.dims, role: role as ParameterKind });
    this.#parameters.push({ name, role: role as ParameterKind, dims: tensor.dims, size: tensor.data.length, value });
    return value;
  }
}

/** The one image input, [N, M, …spatial]. */
export function imageInput(graph: Graph): ValueInfo {
  const names = graph.inputs.map(({ name }) => `'${name}'`).join(', ');
  const [input, second] = graph.inputs;
  if (!input || second)
    throw graphError(graph.source, `has ${graph.inputs.length} inputs (${names || 'none'}): a network of one image input is needed`);
  if (!FLOATING.has(input.type)) throw graphError(graph.source, `input '${input.name}' is ${input.type}: a floating-point image is needed`);
  if (input.dims.length < 3)
    throw graphError(graph.source, `input '${input.name}' has ${input.dims.length} dims: [N, M, …spatial] are needed`);
  if (typeof input.dims[1] !== 'number' || input.dims[1] < 1) {
    throw graphError(graph.source, `input '${input.name}' does not say how many modalities it has: export it with a fixed channel axis`);
  }
  return input;
}

function imageDims(graph: Graph, size: readonly number[]): readonly number[] {
  const { name, dims } = imageInput(graph);
  const spatial = dims.slice(2);
  const wanted = `[${size.join(', ')}]`;
  if (size.length !== spatial.length)
    throw graphError(graph.source, `input '${name}' has ${spatial.length} spatial axes, the image size ${wanted} has not`);
  if (size.some((length) => !Number.isSafeInteger(length) || length < 1))
    throw new TracinError('ERR_TRACIN_USAGE', `image size ${wanted} is not possible`);
  if (spatial.some((length, axis) => typeof length === 'number' && length !== size[axis])) {
    throw graphError(
      graph.source,
      `input '${name}' is fixed to [${spatial.join(', ')}], not ${wanted}: use images of that size or export with free axes`,
    );
  }
  return [dims[1] as number, ...size];
}

/** As `lower`, without advice on sizes. */
function lowerAt(graph: Graph, size: readonly number[]): Lowered {
  const dims = imageDims(graph, size);
  const outputs = graph.outputs.filter(({ type }) => FLOATING.has(type));
  let failure = graphError(graph.source, 'has no floating-point output');
  let first = true;
  for (const { name } of outputs) {
    try {
      const lowered = new Lowering(graph, imageInput(graph).name, dims).lower(name);
      const { dims: made } = lowered.values[lowered.logits]!;
      if (made.length === dims.length && made[0]! >= 2 && size.every((length, axis) => made[axis + 1] === length)) return lowered;
      throw graphError(graph.source, `output '${name}' is [N, ${made.join(', ')}] where logits [N, C ≥ 2, ${size.join(', ')}] are needed`);
    } catch (error) {
      if (!isGraphError(error)) throw error;
      if (first) failure = error;
      first = false;
    }
  }
  throw failure;
}

/**
 * Fixes a graph to an image size. The logits are the first floating-point output of shape [N, C ≥ 2, …size]; what they do not need is dropped.
 * @param size spatial sizes of the images
 * @throws TracinError ERR_TRACIN_GRAPH naming file and node: an operator that is not supported, shapes that do not fit, a size the
 *   network's stride does not divide
 */
export function lower(graph: Graph, size: readonly number[]): Lowered {
  imageDims(graph, size);
  try {
    return lowerAt(graph, size);
  } catch (error) {
    const stride = isGraphError(error) ? findStride(graph, lowerAt) : undefined;
    if (!stride || divides(stride, size)) throw error;
    const message = `image size [${size.join(', ')}] does not fit the network: sizes must be divisible by [${stride.join(', ')}]`;
    throw graphError(graph.source, message, error);
  }
}

/**
 * What the spatial sizes of images must be divisible by, for each axis; for an axis the file fixes, that size.
 * @throws TracinError as `lower`
 */
export function strideOf(graph: Graph): number[] {
  const stride = findStride(graph, lowerAt);
  if (stride) return stride;
  const fixed = imageInput(graph).dims.slice(2);
  // No size works: say why, for one that most networks take.
  lowerAt(
    graph,
    fixed.map((length) => (typeof length === 'number' ? length : 256)),
  );
  throw graphError(graph.source, 'fits no usual image size');
}
