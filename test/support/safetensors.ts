/** safetensors files byte by byte, right or wrong. */

const WIDTH: Record<string, number> = { F16: 2, BF16: 2, F32: 4, F64: 8, I64: 8 };

export interface StoredTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** A header as it is given and the bytes after it. */
export function safetensors(header: unknown, numbers: Uint8Array, length?: bigint): Buffer {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header), 'utf8');
  const head = Buffer.alloc(8);
  head.writeBigUInt64LE(length ?? BigInt(text.length));
  return Buffer.concat([head, text, numbers]);
}

/** A whole file of these tensors. */
export function encodeSafetensors(tensors: Readonly<Record<string, StoredTensor>>): Buffer {
  let offset = 0;
  const entries = Object.entries(tensors).map(([name, { dtype, shape, bytes }]) => {
    if (bytes.length !== shape.reduce((product, n) => product * n, WIDTH[dtype]!)) throw new Error(`${name}: ${bytes.length} bytes`);
    return [name, { dtype, shape, data_offsets: [offset, (offset += bytes.length)] }] as const;
  });
  return safetensors(Object.fromEntries(entries), Buffer.concat(Object.values(tensors).map(({ bytes }) => bytes)));
}
