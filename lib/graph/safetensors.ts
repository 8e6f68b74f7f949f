/**
 * Named tensors in one file, in the safetensors layout (https://github.com/huggingface/safetensors#format): length of the header
 * (u64, little-endian), JSON header, numbers. Tensors are read one at a time, when asked for.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { z } from 'zod';
import { TracinError } from '../errors';
import { fileError } from '../files';
import { decodeHalf } from './onnx/half';

export type SafetensorsArray = Float32Array | Float64Array;

/** Bytes of an element. */
const WIDTHS = {
  ...{ BOOL: 1, U8: 1, I8: 1, F8_E5M2: 1, F8_E4M3: 1 },
  ...{ U16: 2, I16: 2, F16: 2, BF16: 2 },
  ...{ U32: 4, I32: 4, F32: 4 },
  ...{ U64: 8, I64: 8, F64: 8 },
} as const;
export type SafetensorsType = keyof typeof WIDTHS;

export interface SafetensorsTensor {
  readonly dtype: SafetensorsType;
  readonly shape: readonly number[];
}

interface Placed extends SafetensorsTensor {
  /** Bytes after the header, [from, to). */
  readonly data_offsets: readonly [number, number];
}

/** The most a header may have, as in the format's own implementation. */
const LARGEST_HEADER = 100_000_000;

const count = z.int().nonnegative();
const headerSchema = z.record(
  z.string(),
  z.strictObject({
    dtype: z.enum(Object.keys(WIDTHS) as SafetensorsType[]),
    shape: z.array(count),
    data_offsets: z.tuple([count, count]),
  }),
);
const metadataSchema = z.record(z.string(), z.string());

/** The file as pieces to write one after another; the numbers are views, not copies. Every array is stored as one dimension. */
export function safetensorsChunks(
  arrays: ReadonlyMap<string, SafetensorsArray>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array[] {
  const header: Record<string, unknown> = { __metadata__: metadata };
  const chunks: Uint8Array[] = [];
  let offset = 0;
  for (const [name, data] of arrays) {
    header[name] = {
      dtype: data.BYTES_PER_ELEMENT === 4 ? 'F32' : 'F64',
      shape: [data.length],
      data_offsets: [offset, offset + data.byteLength],
    };
    offset += data.byteLength;
    chunks.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  const text = Buffer.from(JSON.stringify(header), 'utf8');
  const padded = Math.ceil(text.length / 8) * 8; // so that the numbers are aligned
  const head = Buffer.alloc(8 + padded, ' ', 'latin1');
  head.writeBigUInt64LE(BigInt(padded), 0);
  text.copy(head, 8);
  return [head, ...chunks];
}

/** An open file. Close it. */
export class SafetensorsFile {
  readonly path: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly #handle: FileHandle;
  /** Where the numbers begin. */
  readonly #start: number;
  readonly #tensors: ReadonlyMap<string, Placed>;

  /** Use {@link openSafetensors}, which checks the header first. */
  constructor(path: string, handle: FileHandle, start: number, header: Header) {
    this.path = path;
    this.metadata = header.metadata;
    this.#handle = handle;
    this.#start = start;
    this.#tensors = header.tensors;
  }

  /** What there is, by name. */
  get tensors(): ReadonlyMap<string, SafetensorsTensor> {
    return this.#tensors;
  }

  /**
   * The numbers of a tensor, row-major: float64 from F64, float32 from F32, F16 and BF16.
   * @throws ERR_TRACIN_CHECKPOINT when there is none of that name, it is not of floating point, or the file has become shorter
   */
  async read(name: string): Promise<SafetensorsArray> {
    const tensor = this.#tensors.get(name);
    if (!tensor) throw refusal(this.path, `has no tensor '${name}'`);
    const { dtype, data_offsets } = tensor;
    if (!isFloating(dtype)) throw refusal(this.path, `tensor '${name}' is ${dtype}: one of F16, BF16, F32, F64 is needed`);
    const [from, to] = data_offsets;
    const { buffer } = await readBytes(this.#handle, this.path, this.#start + from, to - from);
    if (dtype === 'F32') return new Float32Array(buffer);
    if (dtype === 'F64') return new Float64Array(buffer);
    return decodeHalf(dtype === 'F16' ? 'float16' : 'bfloat16', new Uint16Array(buffer));
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

export function isFloating(dtype: SafetensorsType): dtype is 'F16' | 'BF16' | 'F32' | 'F64' {
  return ['F16', 'BF16', 'F32', 'F64'].includes(dtype);
}

/**
 * Opens a file and checks that its header describes its bytes exactly: no tensor beyond them, over another, or between gaps.
 * @throws ERR_TRACIN_CHECKPOINT for a file that is damaged or none of safetensors, ERR_TRACIN_IO when it cannot be read
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  const handle = await open(path, 'r').catch((error: unknown) => {
    throw fileError(error, 'read', path);
  });
  try {
    const { size } = await handle.stat();
    if (size < 8) throw damage(path, `has ${size} bytes, too few for a header`);
    const first = Buffer.from(await readBytes(handle, path, 0, 8));
    const length = Number(first.readBigUInt64LE());
    if (length > size - 8) throw damage(path, `says its header has ${first.readBigUInt64LE()} bytes, but the file has ${size}`);
    if (length > LARGEST_HEADER) throw damage(path, `says its header has ${length} bytes, more than a header may have`);
    const text = Buffer.from(await readBytes(handle, path, 8, length)).toString('utf8');
    return new SafetensorsFile(path, handle, 8 + length, parseHeader(text, size - 8 - length, path));
  } catch (error) {
    await handle.close();
    throw fileError(error, 'read', path);
  }
}

interface Header {
  readonly tensors: ReadonlyMap<string, Placed>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** @param held bytes after the header */
function parseHeader(text: string, held: number, path: string): Header {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw damage(path, 'has a header that is not JSON', cause);
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw damage(path, 'has a header that is not a JSON object');
  const { __metadata__: given = {}, ...entries } = json as Record<string, unknown>;
  const metadata = metadataSchema.safeParse(given);
  if (!metadata.success) throw damage(path, 'has metadata that are not texts by name');
  const header = headerSchema.safeParse(entries);
  if (!header.success) {
    const [name = '', ...field] = header.error.issues[0]!.path.map(String);
    throw damage(path, `describes tensor '${name}' in an unknown form (${field.join('.') || 'its fields'})`);
  }
  const tensors = new Map<string, Placed>(Object.entries(header.data));
  // JSON.parse keeps the last of two equal names without a word; every colon outside a text must have left a name.
  const names = Object.keys(json).length + 3 * tensors.size + Object.keys(metadata.data).length;
  if (names !== countColons(text)) throw damage(path, 'has a header in which a name stands twice');
  checkPlaces(tensors, held, path);
  return { tensors, metadata: metadata.data };
}

/** Colons outside of texts. */
function countColons(json: string): number {
  return json.replace(/"(?:[^"\\]|\\.)*"/gs, '').split(':').length - 1;
}

/** Tensors must fill the bytes without overlaps and gaps, each as long as its shape says. */
function checkPlaces(tensors: ReadonlyMap<string, Placed>, held: number, path: string): void {
  const inOrder = [...tensors].sort(([, a], [, b]) => a.data_offsets[0] - b.data_offsets[0] || a.data_offsets[1] - b.data_offsets[1]);
  let end = 0;
  for (const [name, { dtype, shape, data_offsets }] of inOrder) {
    const [from, to] = data_offsets;
    const needed = shape.reduce((product, length) => product * length, WIDTHS[dtype]);
    if (to - from !== needed) {
      throw damage(path, `gives tensor '${name}' ${to - from} bytes where [${shape.join(', ')}] ${dtype} needs ${needed}`);
    }
    if (to > held) throw damage(path, `places tensor '${name}' at bytes ${from} to ${to} of ${held}`);
    if (from !== end) throw damage(path, `${from < end ? 'places two tensors over each other' : 'leaves a gap'} at tensor '${name}'`);
    end = to;
  }
  if (end !== held) throw damage(path, `has ${held} bytes of numbers, its header describes ${end}`);
}

/** The caller has seen to it that the file is that long, so no more is allocated than there is. */
async function readBytes(handle: FileHandle, path: string, offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  for (let filled = 0; filled < length;) {
    const { bytesRead } = await handle.read(bytes, filled, length - filled, offset + filled);
    if (bytesRead === 0) throw refusal(path, 'became shorter while it was read');
    filled += bytesRead;
  }
  return bytes;
}

function refusal(path: string, what: string, cause?: unknown): TracinError {
  return new TracinError('ERR_TRACIN_CHECKPOINT', `${path}: ${what}`, { cause });
}

function damage(path: string, what: string, cause?: unknown): TracinError {
  return refusal(path, `${what}: no whole safetensors file, save or copy it again`, cause);
}
