/** The messages of onnx.proto3 that are read and written here (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto), as data for `wire.ts`. */

/** `int` is an int32/int64/enum held as number, `int64` the same held as bigint; `bytes` also stands for messages that are left unread. */
export type Scalar = 'int' | 'int64' | 'float' | 'double' | 'string' | 'bytes';

export interface Field {
  readonly id: number;
  readonly name: string;
  readonly type: Scalar | Message;
  readonly repeated: boolean;
}

export interface Message {
  readonly name: string;
  readonly fields: readonly Field[];
}

const one = (id: number, name: string, type: Scalar | Message): Field => ({ id, name, type, repeated: false });
const many = (id: number, name: string, type: Scalar | Message): Field => ({ id, name, type, repeated: true });
const message = (name: string, ...fields: Field[]): Message => ({ name, fields });

export interface EntryProto {
  key?: string;
  value?: string;
}
const ENTRY = message('StringStringEntryProto', one(1, 'key', 'string'), one(2, 'value', 'string'));

export interface TensorProto {
  name?: string;
  dataType?: number;
  dims: number[];
  floatData: number[];
  int32Data: number[];
  int64Data: bigint[];
  doubleData: number[];
  rawData?: Uint8Array;
  externalData: EntryProto[];
  /** 1: the numbers are in another file. */
  dataLocation?: number;
}
const TENSOR = message(
  'TensorProto',
  many(1, 'dims', 'int'),
  one(2, 'dataType', 'int'),
  many(4, 'floatData', 'float'),
  many(5, 'int32Data', 'int'),
  many(7, 'int64Data', 'int64'),
  one(8, 'name', 'string'),
  one(9, 'rawData', 'bytes'),
  many(10, 'doubleData', 'double'),
  many(13, 'externalData', ENTRY),
  one(14, 'dataLocation', 'int'),
);

/** AttributeProto.AttributeType. */
export const ATTRIBUTE_TYPE = { float: 1, int: 2, string: 3, tensor: 4, graph: 5, floats: 6, ints: 7, strings: 8 } as const;

export interface AttributeProto {
  name?: string;
  type?: number;
  f?: number;
  i?: number;
  s?: string;
  t?: TensorProto;
  g?: Uint8Array;
  floats: number[];
  ints: number[];
  strings: string[];
}
const ATTRIBUTE = message(
  'AttributeProto',
  one(1, 'name', 'string'),
  one(2, 'f', 'float'),
  one(3, 'i', 'int'),
  one(4, 's', 'string'),
  one(5, 't', TENSOR),
  one(6, 'g', 'bytes'),
  many(7, 'floats', 'float'),
  many(8, 'ints', 'int'),
  many(9, 'strings', 'string'),
  one(20, 'type', 'int'),
);

export interface NodeProto {
  name?: string;
  opType?: string;
  domain?: string;
  input: string[];
  output: string[];
  attribute: AttributeProto[];
}
const NODE = message(
  'NodeProto',
  many(1, 'input', 'string'),
  many(2, 'output', 'string'),
  one(3, 'name', 'string'),
  one(4, 'opType', 'string'),
  many(5, 'attribute', ATTRIBUTE),
  one(7, 'domain', 'string'),
);

export interface DimensionProto {
  dimValue?: number;
  dimParam?: string;
}
export interface ValueInfoProto {
  name?: string;
  type?: { tensorType?: { elemType?: number; shape?: { dim: DimensionProto[] } } };
}
const DIMENSION = message('TensorShapeProto.Dimension', one(1, 'dimValue', 'int'), one(2, 'dimParam', 'string'));
const TENSOR_TYPE = message(
  'TypeProto.Tensor',
  one(1, 'elemType', 'int'),
  one(2, 'shape', message('TensorShapeProto', many(1, 'dim', DIMENSION))),
);
const VALUE_INFO = message(
  'ValueInfoProto',
  one(1, 'name', 'string'),
  one(2, 'type', message('TypeProto', one(1, 'tensorType', TENSOR_TYPE))),
);

export interface GraphProto {
  name?: string;
  node: NodeProto[];
  initializer: TensorProto[];
  input: ValueInfoProto[];
  output: ValueInfoProto[];
  sparseInitializer: Uint8Array[];
}
const GRAPH = message(
  'GraphProto',
  many(1, 'node', NODE),
  one(2, 'name', 'string'),
  many(5, 'initializer', TENSOR),
  many(11, 'input', VALUE_INFO),
  many(12, 'output', VALUE_INFO),
  many(15, 'sparseInitializer', 'bytes'),
);

export interface ModelProto {
  irVersion?: number;
  producerName?: string;
  graph?: GraphProto;
  opsetImport: { domain?: string; version?: number }[];
  metadataProps: EntryProto[];
}
export const MODEL = message(
  'ModelProto',
  one(1, 'irVersion', 'int'),
  one(2, 'producerName', 'string'),
  one(7, 'graph', GRAPH),
  many(8, 'opsetImport', message('OperatorSetIdProto', one(1, 'domain', 'string'), one(2, 'version', 'int'))),
  many(14, 'metadataProps', ENTRY),
);
