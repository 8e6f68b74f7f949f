/** A network as its ONNX file holds it: named tensors, nodes in topological order, initializers, metadata. */
import { anything, either, list, mapping, shape, text, whole, type Kind } from '../kinds';

/** Element types of ONNX that are read. */
export type ElementType = 'float32' | 'float64' | 'float16' | 'bfloat16' | 'int64' | 'int32' | 'int16' | 'int8' | 'uint8' | 'bool';

/**
 * Values in row-major order. Floating types are held as Float32Array (float64 as Float64Array),
 * integers and booleans as BigInt64Array; `type` is what the file says and what is written back.
 */
export interface Tensor {
  readonly type: ElementType;
  readonly dims: readonly number[];
  readonly data: Float32Array | Float64Array | BigInt64Array;
}

/** What an attribute of a node may be. */
export type AttributeValue = number | string | readonly number[] | readonly string[] | Tensor;

/** One operator of a graph, its inputs and outputs by name. */
export interface Node {
  readonly name: string;
  /** ONNX operator name, e.g. `Conv`; a custom domain is kept in `domain`. */
  readonly operator: string;
  readonly domain: string;
  /** Value names; an omitted optional input is ''. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, AttributeValue>;
}

/** An input or output of a graph. */
export interface ValueInfo {
  readonly name: string;
  readonly type: ElementType;
  /** A named or unknown dimension is a string ('' when unnamed). */
  readonly dims: readonly (number | string)[];
}

/** A network as its ONNX file has it: nodes in the order they run, and the numbers of a checkpoint. */
export interface Graph {
  readonly name: string;
  readonly opset: number;
  readonly producer: string;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  readonly initializers: ReadonlyMap<string, Tensor>;
  readonly nodes: readonly Node[];
  /** `metadata_props`: checkpoints of ours carry `tracin.epoch`, `tracin.learning_rate`, `tracin.network`. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Where it was read from, for messages. */
  readonly source: string;
}

const values = list(shape<ValueInfo>({ name: text, type: text as Kind<never>, dims: list(either(Number.isInteger, anything, text)) }));
/** A network, as far as its numbers need not be looked at. */
export const anyGraph: Kind<Graph> = shape<Graph>(
  {
    name: text,
    opset: whole(1),
    producer: text,
    inputs: values,
    outputs: values,
    initializers: mapping,
    nodes: list(shape<Node>({ name: text, operator: text, domain: text, inputs: list(text), outputs: list(text), attributes: mapping })),
    metadata: mapping,
    source: text,
  },
  'a network, as readOnnx or buildNetwork gives it',
);
