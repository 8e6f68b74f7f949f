/** A node as its operator's entry sees it: attributes checked for their kind, inputs by their dims or numbers. */
import { TracinError } from '../errors';
import type { AttributeValue, Node } from './graph';
import { isTensor } from './onnx/attributes';
import { graphError, nodeLabel } from './onnx/errors';
import type { Known, NodeView, Operand } from './operators/operator';

export interface ViewedInput {
  readonly operand: Operand;
  /** Its numbers, undefined where they depend on the image. */
  readonly numbers: () => Known | undefined;
}

export function knownTensor({ dims, data }: { readonly dims: readonly number[]; readonly data: ArrayLike<number | bigint> }): Known {
  return { dims, data: Float64Array.from(data, Number) };
}

/** @param inputs undefined where an optional input is absent */
export function viewNode(node: Node, inputs: readonly (ViewedInput | undefined)[], source: string): NodeView {
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

  return {
    inputCount: inputs.length,
    get image() {
      return inputs[0]?.operand.dims ?? fail('has no input');
    },
    input: (index) => inputs[index]?.operand,
    known(index) {
      const input = inputs[index];
      if (!input) return undefined;
      const value = input.numbers() ?? fail(`needs its input ${index} before the network runs, but it depends on the image`);
      return value.data.length > 0 ? value : undefined;
    },
    has: (name) => node.attributes.has(name),
    int: (name, fallback) => read(name, 'a whole number', fallback, (value) => (integer(value) ? value : undefined)),
    float: (name, fallback) => read(name, 'a finite number', fallback, (value) => (Number.isFinite(value) ? (value as number) : undefined)),
    ints: (name, fallback) =>
      read(name, 'a list of whole numbers', fallback, (value) => (numbers(value)?.every(integer) ? numbers(value) : undefined)),
    floats: (name) => read<readonly number[] | undefined>(name, 'a list of numbers', undefined, numbers),
    tensor: (name) => read<Known | undefined>(name, 'a tensor', undefined, (value) => (isTensor(value) ? knownTensor(value) : undefined)),
    string(name, allowed, fallback) {
      const value = read(name, 'a text', fallback as string, (text) => (typeof text === 'string' ? text : undefined));
      return allowed.find((item) => item === value) ?? fail(`has ${name} '${value}', which is not supported: only ${allowed.join(', ')}`);
    },
    axis(name, fallback, rank) {
      const axis = this.int(name, fallback);
      return axis >= -rank && axis < rank ? (axis + rank) % rank : fail(`has ${name} ${axis} for a tensor of rank ${rank}`);
    },
    fail,
  };
}

/** Whether an error says that a graph cannot be read or run. */
export function isGraphError(error: unknown): error is TracinError {
  return error instanceof TracinError && error.code === 'ERR_TRACIN_GRAPH';
}
