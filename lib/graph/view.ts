/** A node as its operator's entry sees it: attributes checked for their kind, inputs as terms. */
import { TracinError } from '../errors';
import type { AttributeValue, Node, Tensor } from './graph';
import type { Emitter } from './lowering/emitter';
import { known, type Known, type Term } from './lowering/term';
import { isTensor } from './onnx/attributes';
import { graphError, nodeLabel } from './onnx/errors';
import type { NodeView } from './operators/operator';

export function knownTensor({ dims, data }: Pick<Tensor, 'dims' | 'data'>, name: string): Known {
  const integer = data instanceof BigInt64Array;
  return known(dims, integer ? Float64Array.from(data, Number) : Float64Array.from(data), integer, name);
}

const WHOLE = 'a list of whole numbers';

/** @param inputs undefined where an optional input is absent */
export function viewNode(
  node: Node,
  inputs: readonly (Term | undefined)[],
  { source, opset, emit }: { readonly source: string; readonly opset: number; readonly emit: Emitter },
): NodeView {
  const fail = (message: string): never => {
    throw graphError(source, `${nodeLabel(node)} ${message}`);
  };
  const read = <T>(name: string, kind: string, fallback: T, check: (value: AttributeValue) => T | undefined): T => {
    const value = node.attributes.get(name);
    return value === undefined ? fallback : (check(value) ?? fail(`has an attribute '${name}' that is not ${kind}`));
  };
  const integer = (value: unknown): value is number => Number.isSafeInteger(value);
  const numbers = (value: AttributeValue): readonly number[] | undefined =>
    Array.isArray(value) && value.every((item) => typeof item === 'number') ? value : undefined;
  const wholes = (value: AttributeValue, each: (item: unknown) => boolean): readonly number[] | undefined =>
    numbers(value)?.every(each) ? numbers(value) : undefined;
  const within = (axis: number, rank: number, what: string): number =>
    integer(axis) && axis >= -rank && axis < rank ? (axis + rank) % rank : fail(`has ${what} ${axis} for a tensor of rank ${rank}`);

  return {
    opset,
    emit,
    inputCount: inputs.length,
    outputCount: node.outputs.length,
    get image() {
      const { dims } = this.term(0);
      if (dims.length < 3) fail(`works on [${dims.join(', ')}], where a feature map [N, C, …] is needed`);
      if (dims[0] !== 1) fail(`works on [${dims.join(', ')}]: windows folded into the batch axis are not supported here`);
      return dims.slice(1);
    },
    term: (index) => inputs[index] ?? fail('lacks an input'),
    input: (index) => inputs[index],
    known(index) {
      const term = inputs[index];
      if (!term) return undefined;
      if (term.kind === 'computed') return fail(`needs its input ${index} before the network runs, but it depends on the image`);
      const value = term.kind === 'weights' ? term.numbers() : term;
      return value.data.length > 0 ? value : undefined;
    },
    list(attribute, index) {
      // The largest int64, which is not exact here, says "to the end".
      if (node.attributes.has(attribute)) return read(attribute, WHOLE, [], (value) => wholes(value, Number.isInteger));
      const value = this.known(index);
      return value && Array.from(value.data);
    },
    has: (name) => node.attributes.has(name),
    int: (name, fallback) => read(name, 'a whole number', fallback, (value) => (integer(value) ? value : undefined)),
    float: (name, fallback) => read(name, 'a finite number', fallback, (value) => (Number.isFinite(value) ? (value as number) : undefined)),
    ints: (name, fallback) => read(name, WHOLE, fallback, (value) => wholes(value, integer)),
    floats: (name) => read<readonly number[] | undefined>(name, 'a list of numbers', undefined, numbers),
    tensor: (name) =>
      read<Known | undefined>(name, 'a tensor', undefined, (value) => (isTensor(value) ? knownTensor(value, '') : undefined)),
    text: (name) => read(name, 'a text', '', (value) => (typeof value === 'string' ? value : undefined)),
    string(name, allowed, fallback) {
      const value = this.has(name) ? this.text(name) : fallback;
      return allowed.find((item) => item === value) ?? fail(`has ${name} '${value}', which is not supported: only ${allowed.join(', ')}`);
    },
    axis(name, fallback, rank) {
      return within(this.int(name, fallback), rank, name);
    },
    axes(axes, rank) {
      const result = axes.map((axis) => within(axis, rank, 'axis'));
      return new Set(result).size === result.length ? result : fail(`names an axis twice, [${axes.join(', ')}]`);
    },
    fail,
  };
}

/** Whether an error says that a graph cannot be read or run. */
export function isGraphError(error: unknown): error is TracinError {
  return error instanceof TracinError && error.code === 'ERR_TRACIN_GRAPH';
}
