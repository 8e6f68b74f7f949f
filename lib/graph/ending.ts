/** How a network ends: the logits are what its last softmax, sigmoid or argmax reads. */
import type { AttributeValue, Graph, Node } from './graph';
import { channelsFirst, type ImageLayout } from './image';
import { graphError, nodeLabel } from './onnx/errors';
import { sameDims, sizeOf, type Term } from './lowering/term';
import type { Emitter } from './lowering/emitter';

export interface Ending {
  /** The value that holds the logits, under whatever dims. */
  readonly value: string;
  /** The operator that reads it, where one was taken off. */
  readonly node: Node | undefined;
  /** How what it makes is transposed on the way to the output, or to the next ending, in that order. */
  readonly transposes: readonly AttributeValue[];
}

const ENDINGS = new Set(['Softmax', 'LogSoftmax', 'Sigmoid', 'ArgMax']);
/** May stand between an ending and the output: what they do does not matter to the logits. */
const PASSING = new Set(['Identity', 'Cast', 'Squeeze', 'Unsqueeze', 'Transpose', 'Reshape', 'Greater', 'GreaterOrEqual', 'Round', 'Log']);

/** Of an ending they leave a part, and the logits of some classes do not tell its numbers. */
const PARTING = new Set(['Slice', 'Split', 'Gather']);

/** Axes are others after these. */
const RESHAPING = new Set(['Squeeze', 'Unsqueeze', 'Reshape']);

/** The last softmax, sigmoid or argmax on the way to an output, and what it reads. @throws ERR_TRACIN_GRAPH for a part of one */
export function endingOf(graph: Graph, output: string): Ending {
  const producers = new Map(graph.nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  let ending: Ending = { value: output, node: undefined, transposes: [] };
  let transposes: readonly AttributeValue[] = [];
  for (let name = output; ;) {
    const node = producers.get(name);
    if (!node || node.domain !== '') return ending;
    const written = softmaxWrittenOut(node, producers);
    if (ENDINGS.has(node.operator) || written !== undefined) {
      ending = { value: written ?? node.inputs[0]!, node, transposes };
      transposes = [];
    } else if (PARTING.has(node.operator)) {
      const { node: whole } = endingOf(graph, node.inputs[0]!);
      if (whole) throw graphError(graph.source, `output '${output}' is a part of what ${nodeLabel(whole)} makes: export the whole of it`);
      return ending;
    } else if (!PASSING.has(node.operator)) return ending;
    else if (node.operator === 'Transpose') transposes = [node.attributes.get('perm') ?? [], ...transposes];
    else if (RESHAPING.has(node.operator)) transposes = [];
    name = written ?? node.inputs[0]!;
  }
}

/** What Exp(x) / ReduceSum(Exp(x)) is the softmax of. */
function softmaxWrittenOut(node: Node, producers: ReadonlyMap<string, Node>): string | undefined {
  if (node.operator !== 'Div') return undefined;
  const [powers, sum] = node.inputs.map((name) => producers.get(name));
  const isSoftmax = powers?.operator === 'Exp' && sum?.operator === 'ReduceSum' && sum.inputs[0] === node.inputs[0];
  return isSoftmax ? powers.inputs[0] : undefined;
}

/** Where the classes are in a value [N, C, …size], [N, …size, C], either with its spatial axes as one, or [N, …size] of one channel. */
function classAxis(dims: readonly number[], size: readonly number[], image: ImageLayout): { axis: number | undefined } | undefined {
  if (dims[0] !== 1) return undefined;
  const first = [dims.slice(2), 1] as const;
  const last = [dims.slice(1, -1), dims.length - 1] as const;
  for (const [rest, axis] of image.channelsLast ? [last, first] : [first, last]) {
    if (dims.length > 2 && (sameDims(rest, size) || sameDims(rest, [sizeOf(size)]))) return { axis };
  }
  return sameDims(dims.slice(1), size) ? { axis: undefined } : undefined;
}

/** The axis an ending runs along, undefined for one that runs along none. */
function axisOf({ operator, attributes }: Node, rank: number, opset: number): number | undefined {
  if (operator === 'Sigmoid' || operator === 'Div') return undefined;
  const standard = operator === 'ArgMax' ? 0 : opset < 13 ? 1 : -1;
  const stated = attributes.get('axis') ?? standard;
  return typeof stated === 'number' ? (stated + rank) % rank : undefined;
}

/**
 * The axes of an ending's value in the order they have at the output: exporters put the classes last for a softmax, and back behind it,
 * and of [N, W, H, C] in between nobody could tell which axis is which.
 */
function orderAtOutput(rank: number, transposes: readonly AttributeValue[]): number[] {
  const standing = Array.from({ length: rank }, (_, axis) => axis);
  return transposes.reduce<number[]>((order, stated) => {
    const perm = Array.isArray(stated) && stated.length > 0 ? (stated as number[]) : standing.toReversed();
    return perm.length === rank && standing.every((axis) => perm.includes(axis)) ? perm.map((axis) => order[axis]!) : order;
  }, standing);
}

/**
 * The term of an ending's value as logits [1, C ≥ 2, …size]: one channel is the logit of class 1 against the background.
 * What was done is noted.
 */
export function asLogits(
  emit: Emitter,
  value: Term,
  output: string,
  ending: Ending,
  graph: Graph,
  image: ImageLayout,
  size: readonly number[],
): Term {
  const { node } = ending;
  const order = orderAtOutput(value.dims.length, ending.transposes);
  const term = emit.transpose(value, order);
  const shape = `[N, ${term.dims.slice(1).join(', ')}]`;
  const wrong = (what: string): never => {
    throw graphError(graph.source, `output '${output}' ${what}`);
  };
  const found = classAxis(term.dims, size, image) ?? wrong(`is ${shape} where logits [N, C, ${size.join(', ')}] are needed`);
  const { axis } = found;
  const stated = node && axisOf(node, term.dims.length, graph.opset);
  const along = stated === undefined ? undefined : order.indexOf(stated);
  if (along !== undefined && along !== axis)
    wrong(`ends in ${nodeLabel(node!)} along axis ${along} of ${shape}, which is not that of the classes`);
  const lying =
    axis === undefined ? term : emit.transpose(term, axis === 1 ? Array.from(term.dims.keys()) : channelsFirst(term.dims.length));
  const classes = axis === undefined ? 1 : term.dims[axis]!;
  const maps = emit.reshape(lying, [1, classes, ...size]);
  if (node)
    emit.notes.add(`output '${output}' ends in ${node.operator === 'Div' ? 'Softmax' : node.operator}: the logits before it are used`);
  if (classes > 1) {
    if (node?.operator === 'Sigmoid')
      emit.notes.add(
        `output '${output}' has ${classes} channels of Sigmoid: they are taken as classes that exclude each other, the first as the background; for labels that overlap the losses do not fit`,
      );
    return maps;
  }
  if (along !== undefined) wrong(`ends in ${nodeLabel(node!)} over one channel: two classes at least are needed`);
  emit.notes.add(`output '${output}' has one channel: it is taken as the logit of class 1, the background's being 0`);
  return emit.take(maps, 1, [-1, 0], 0);
}
