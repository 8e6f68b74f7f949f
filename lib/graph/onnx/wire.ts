/** Protocol buffers by table: decodes and encodes the messages of `schema.ts` with protobufjs' reader and writer, without generated code. */
import { Reader, Writer } from 'protobufjs/minimal';
import type { Field, Message, Scalar } from './schema';

const VARINT = 0;
const FIXED64 = 1;
const DELIMITED = 2;
const FIXED32 = 5;
const WIRE_TYPE: Record<Scalar, number> = {
  int: VARINT,
  int64: VARINT,
  float: FIXED32,
  double: FIXED64,
  string: DELIMITED,
  bytes: DELIMITED,
};

function wireType(field: Field): number {
  return typeof field.type === 'string' ? WIRE_TYPE[field.type] : DELIMITED;
}

type Plain = Record<string, unknown>;

/** By message: fields by their number. */
const TABLES = new WeakMap<Message, ReadonlyMap<number, Field>>();

function tableOf(message: Message): ReadonlyMap<number, Field> {
  let table = TABLES.get(message);
  if (!table) TABLES.set(message, (table = new Map(message.fields.map((field) => [field.id, field]))));
  return table;
}

function readInt64(reader: Reader): bigint {
  const { high, low } = reader.int64();
  return (BigInt(high) << 32n) | BigInt(low >>> 0);
}

function readValue(reader: Reader, type: Scalar | Message): unknown {
  switch (type) {
    case 'int':
      return Number(readInt64(reader));
    case 'int64':
      return readInt64(reader);
    case 'float':
      return reader.float();
    case 'double':
      return reader.double();
    case 'string':
      return reader.string();
    case 'bytes':
      return reader.bytes();
    default:
      return decode(type, reader.bytes());
  }
}

/**
 * The message as a plain object: repeated fields always there as arrays (packed or not), others absent when not in the file.
 * Bytes are views of the input. Throws a plain Error where the bytes are not such a message.
 */
export function decode<T>(message: Message, bytes: Uint8Array): T {
  const table = tableOf(message);
  const result: Plain = {};
  for (const field of message.fields) if (field.repeated) result[field.name] = [];
  const reader = Reader.create(bytes);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    const field = table.get(tag >>> 3);
    const wire = tag & 7;
    if (!field) {
      reader.skipType(wire);
    } else if (wire === wireType(field)) {
      const value = readValue(reader, field.type);
      if (field.repeated) (result[field.name] as unknown[]).push(value);
      else result[field.name] = value;
    } else if (field.repeated && wire === DELIMITED) {
      const packed = Reader.create(reader.bytes());
      const values = result[field.name] as unknown[];
      while (packed.pos < packed.len) values.push(readValue(packed, field.type));
    } else {
      throw new Error(`${message.name}.${field.name} has wire type ${wire}`);
    }
  }
  return result as T;
}

/** Read as a number it is 2^63, which is one more than fits. */
const LARGEST_INT64 = String(2n ** 63n - 1n);

function writeNumber(writer: Writer, type: Exclude<Scalar, 'string' | 'bytes'>, value: unknown): void {
  switch (type) {
    case 'int':
      writer.int64((value as number) >= 2 ** 63 ? LARGEST_INT64 : (value as number));
      break;
    case 'int64':
      writer.int64(String(value));
      break;
    case 'float':
      writer.float(value as number);
      break;
    case 'double':
      writer.double(value as number);
      break;
  }
}

/** Pieces of a file in order; large byte fields are the caller's own arrays, not copies. */
class Pieces {
  readonly chunks: Uint8Array[] = [];
  length = 0;
  #writer = Writer.create();

  get writer(): Writer {
    return this.#writer;
  }

  flush(): void {
    const bytes = this.#writer.finish();
    this.#writer = Writer.create();
    if (bytes.length > 0) this.append([bytes], bytes.length);
  }

  append(chunks: readonly Uint8Array[], length: number): void {
    for (const chunk of chunks) this.chunks.push(chunk);
    this.length += length;
  }
}

function writeDelimited(pieces: Pieces, id: number, chunks: readonly Uint8Array[], length: number): void {
  pieces.writer.uint32(((id << 3) | DELIMITED) >>> 0).uint32(length);
  pieces.flush();
  pieces.append(chunks, length);
}

function encodeInto(pieces: Pieces, message: Message, source: Plain): void {
  for (const { id, name, type, repeated } of message.fields) {
    const value = source[name];
    if (value === undefined) continue;
    const values = repeated ? (value as readonly unknown[]) : [value];
    if (typeof type === 'object') {
      for (const item of values) {
        const inner = new Pieces();
        encodeInto(inner, type, item as Plain);
        inner.flush();
        writeDelimited(pieces, id, inner.chunks, inner.length);
      }
    } else if (type === 'bytes') {
      for (const item of values as Uint8Array[]) writeDelimited(pieces, id, [item], item.length);
    } else if (type === 'string') {
      for (const item of values as string[]) pieces.writer.uint32(((id << 3) | DELIMITED) >>> 0).string(item);
    } else if (repeated && values.length > 0) {
      const packed = pieces.writer.uint32(((id << 3) | DELIMITED) >>> 0).fork();
      for (const item of values) writeNumber(packed, type, item);
      packed.ldelim();
    } else if (!repeated) {
      pieces.writer.uint32(((id << 3) | WIRE_TYPE[type]) >>> 0);
      writeNumber(pieces.writer, type, value);
    }
  }
}

/** The bytes of a message, in pieces to be written one after another. */
export function encode(message: Message, source: object): { readonly chunks: readonly Uint8Array[]; readonly length: number } {
  const pieces = new Pieces();
  encodeInto(pieces, message, source as Plain);
  pieces.flush();
  return pieces;
}
