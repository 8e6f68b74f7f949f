/** TensorProto to and from Tensor. */
import type { ElementType, Tensor } from '../graph';
import { graphError } from './errors';
import { decodeHalf, encodeHalf, type HalfType } from './half';
import type { TensorProto } from './schema';

type Data = Tensor['data'];
type Bytes = Uint8Array<ArrayBuffer>;

/** TensorProto.DataType, and bytes of an element in raw_data. */
const ELEMENTS: Record<ElementType, { readonly code: number; readonly bytes: number }> = {
  float32: { code: 1, bytes: 4 },
  uint8: { code: 2, bytes: 1 },
  int8: { code: 3, bytes: 1 },
  int16: { code: 5, bytes: 2 },
  int32: { code: 6, bytes: 4 },
  int64: { code: 7, bytes: 8 },
  bool: { code: 9, bytes: 1 },
  float16: { code: 10, bytes: 2 },
  float64: { code: 11, bytes: 8 },
  bfloat16: { code: 16, bytes: 2 },
};
const BY_CODE = new Map(Object.entries(ELEMENTS).map(([type, { code }]) => [code, type as ElementType]));

const INTEGER_ARRAYS = {
  int64: BigInt64Array,
  int32: Int32Array,
  int16: Int16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const;

export function elementCode(type: ElementType): number {
  return ELEMENTS[type].code;
}

/** @param what what has the type, for the message of an unknown one */
export function elementType(code: number | undefined, what: string, source: string): ElementType {
  const type = BY_CODE.get(code ?? 0);
  if (!type) throw graphError(source, `${what} has ONNX element type ${code ?? 0}: only ${[...BY_CODE.values()].join(', ')} are read`);
  return type;
}

function isHalf(type: ElementType): type is HalfType {
  return type === 'float16' || type === 'bfloat16';
}

/** Bytes in front of a field of 128 bytes and more: its number and its length, of 1 and 2 bytes at least. */
const HEAD = 3;

/**
 * Where typed arrays can see the numbers, which want their offset aligned: where they lie in the file's bytes, else moved over the head of
 * their field, which has been read, else in a copy.
 */
function aligned(raw: Bytes, width: number): Bytes {
  const askew = raw.byteOffset % width;
  if (askew === 0) return raw;
  if (askew > HEAD || raw.length < 128) return new Uint8Array(raw);
  const field = new Uint8Array(raw.buffer, raw.byteOffset - askew, askew + raw.length);
  return field.copyWithin(0, askew).subarray(0, raw.length);
}

/** @param raw aligned */
function fromRaw(type: ElementType, raw: Bytes): Data {
  const { buffer, byteOffset } = raw;
  const count = raw.length / ELEMENTS[type].bytes;
  if (type === 'float32') return new Float32Array(buffer, byteOffset, count);
  if (type === 'float64') return new Float64Array(buffer, byteOffset, count);
  if (isHalf(type)) return decodeHalf(type, new Uint16Array(buffer, byteOffset, count));
  if (type === 'int64') return new BigInt64Array(buffer, byteOffset, count);
  return BigInt64Array.from(Array.from<number, bigint>(new INTEGER_ARRAYS[type](buffer, byteOffset, count), BigInt));
}

function fromTyped(type: ElementType, proto: TensorProto): Data {
  if (type === 'float32') return Float32Array.from(proto.floatData);
  if (type === 'float64') return Float64Array.from(proto.doubleData);
  if (isHalf(type)) return decodeHalf(type, Uint16Array.from(proto.int32Data));
  if (type === 'int64') return BigInt64Array.from(proto.int64Data);
  return BigInt64Array.from(Array.from(proto.int32Data, BigInt));
}

/** Elements of a tensor; the dims are checked to be sizes whose product is a safe integer. */
function countOf(dims: readonly number[], what: string, source: string): number {
  const count = dims.reduce((product, size) => product * size, 1);
  if (dims.some((size) => !Number.isInteger(size) || size < 0) || !Number.isSafeInteger(count)) {
    throw graphError(source, `${what} has impossible dims [${dims.join(', ')}]`);
  }
  return count;
}

/** Bytes the tensor's numbers take as raw data. */
export function byteLength(proto: TensorProto, what: string, source: string): number {
  return countOf(proto.dims, what, source) * ELEMENTS[elementType(proto.dataType, what, source)].bytes;
}

/** The tensor, its numbers seen in the message's bytes where they are stored as they are held: those bytes belong to it from now on. */
export function decodeTensor(proto: TensorProto, what: string, source: string): Tensor {
  const type = elementType(proto.dataType, what, source);
  const count = countOf(proto.dims, what, source);
  const shape = `[${proto.dims.join(', ')}] ${type}`;
  if (proto.rawData !== undefined) {
    const expected = byteLength(proto, what, source);
    if (proto.rawData.length !== expected) {
      throw graphError(
        source,
        `${what} ${shape} needs ${expected} bytes but has ${proto.rawData.length}: the file is damaged, export it again`,
      );
    }
    const raw = aligned(proto.rawData as Bytes, ELEMENTS[type].bytes);
    proto.rawData = raw;
    return { type, dims: proto.dims, data: fromRaw(type, raw) };
  }
  if (proto.dataLocation === 1)
    throw graphError(source, `${what} is stored in another file, which was not read: open the model by its path`);
  const data = fromTyped(type, proto);
  if (data.length !== count) {
    throw graphError(source, `${what} ${shape} needs ${count} numbers but has ${data.length}: the file is damaged, export it again`);
  }
  return { type, dims: proto.dims, data };
}

function toRaw(type: ElementType, data: Data): Uint8Array {
  let numbers: ArrayBufferView;
  if (type === 'float32') numbers = data instanceof Float32Array ? data : Float32Array.from(data as Float64Array);
  else if (type === 'float64') numbers = data instanceof Float64Array ? data : Float64Array.from(data as Float32Array);
  else if (isHalf(type)) numbers = encodeHalf(type, data as Float32Array);
  else if (type === 'int64') numbers = data;
  else numbers = INTEGER_ARRAYS[type].from(Array.from(data as BigInt64Array, Number));
  return new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
}

export function encodeTensor(tensor: Tensor, name: string): TensorProto {
  return {
    name,
    dataType: elementCode(tensor.type),
    dims: [...tensor.dims],
    rawData: toRaw(tensor.type, tensor.data),
    floatData: [],
    int32Data: [],
    int64Data: [],
    doubleData: [],
    externalData: [],
  };
}
