/** Named arrays in one file, in the safetensors layout (https://github.com/huggingface/safetensors): header length, JSON header, numbers. */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { TracinError } from '../errors';
import { fileError } from '../files';

export type SafetensorsArray = Float32Array | Float64Array;

export interface Safetensors {
  /** Arrays by name, each as one dimension. */
  readonly arrays: ReadonlyMap<string, SafetensorsArray>;
  readonly metadata: Readonly<Record<string, string>>;
}

const WIDTH = { F32: 4, F64: 8 } as const;
const headerSchema = z.record(
  z.string(),
  z.object({
    dtype: z.enum(['F32', 'F64']),
    shape: z.tuple([z.int().nonnegative()]),
    data_offsets: z.tuple([z.int().nonnegative(), z.int().nonnegative()]),
  }),
);

/** The file as pieces to write one after another; the numbers are views, not copies. */
export function safetensorsChunks({ arrays, metadata }: Safetensors): Uint8Array[] {
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

/**
 * Reads what {@link safetensorsChunks} wrote (or any file of flat F32 and F64 arrays).
 * @throws ERR_TRACIN_STUDY when the file is damaged, ERR_TRACIN_IO when it cannot be read
 */
export async function readSafetensors(path: string): Promise<Safetensors> {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw fileError(error, 'read', path);
  });
  const damaged = (what: string): TracinError => new TracinError('ERR_TRACIN_STUDY', `${path}: ${what}: the file is damaged`);
  const length = bytes.length < 8 ? Infinity : Number(bytes.readBigUInt64LE(0));
  if (8 + length > bytes.length) throw damaged('header is longer than the file');
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString('utf8', 8, 8 + length));
  } catch {
    throw damaged('header is not JSON');
  }
  if (typeof json !== 'object' || json === null) throw damaged('header is not a JSON object');
  const { __metadata__: metadata = {}, ...entries } = json as Record<string, unknown>;
  const header = headerSchema.safeParse(entries);
  const texts = z.record(z.string(), z.string()).safeParse(metadata);
  if (!header.success || !texts.success) throw damaged('header has an unknown form');
  const held = Math.max(0, ...Object.values(header.data).map(({ data_offsets }) => data_offsets[1]));
  if (8 + length + held !== bytes.length) throw damaged(`holds ${bytes.length} bytes, its header says ${8 + length + held}`);
  const arrays = new Map<string, SafetensorsArray>();
  for (const [name, { dtype, shape, data_offsets }] of Object.entries(header.data)) {
    const [begin, end] = data_offsets;
    if (end - begin !== shape[0] * WIDTH[dtype]) throw damaged(`${name} has another size than its shape says`);
    const start = bytes.byteOffset + 8 + length;
    const copy = bytes.buffer.slice(start + begin, start + end);
    arrays.set(name, dtype === 'F32' ? new Float32Array(copy) : new Float64Array(copy));
  }
  return { arrays, metadata: texts.data };
}
