/** numpy's .npy files (versions 1 to 3, https://numpy.org/neps/nep-0001-npy-format.html): whole, by rows, and written. */
import { open } from 'node:fs/promises';
import { TracinError } from './errors';
import { fileError, replaceFile } from './files';

/** The element types read and written, in numpy's naming without the byte order. */
const ELEMENTS = {
  f4: Float32Array,
  f8: Float64Array,
  i1: Int8Array,
  i2: Int16Array,
  i4: Int32Array,
  i8: BigInt64Array,
  u1: Uint8Array,
  u2: Uint16Array,
  u4: Uint32Array,
  u8: BigUint64Array,
  b1: Uint8Array,
} as const;

export type NpyType = keyof typeof ELEMENTS;
export type NpyData = InstanceType<(typeof ELEMENTS)[NpyType]>;

export interface Npy {
  readonly dtype: NpyType;
  /** [] for a scalar. */
  readonly shape: number[];
  /** C order, this machine's byte order. */
  readonly data: NpyData;
}

/** A .npy file held open, so that arrays larger than memory can be read by rows (the first axis). */
export interface NpyFile {
  /** Names the array in messages: the file, and the array in it where it is an archive. */
  readonly path: string;
  /** The file on the disk. */
  readonly file: string;
  readonly dtype: NpyType;
  readonly shape: readonly number[];
  /** Rows [rowStart, rowEnd) of the first axis, in C order. */
  read(rowStart: number, rowEnd: number): Promise<NpyData>;
  close(): Promise<void>;
}

const MAGIC = '\x93NUMPY';
const PREAMBLE = 12;
/** numpy itself refuses longer headers than this when it does not trust the file. */
const LONGEST_HEADER = 10_000;
/** Bytes read (and swapped, where the file's byte order is the other one) between two turns of the event loop. */
const PIECE = 4 << 20;

/** Where the bytes of a .npy file come from: a file, or a part of an archive. */
export interface NpyBytes {
  readonly file: string;
  /** For messages. */
  readonly name: string;
  readonly size: number;
  /** Fills as much of `target` as it can from `position`; gives the count, 0 at the end. */
  read(target: Uint8Array, position: number): Promise<number>;
  close(): Promise<void>;
}

interface Header {
  readonly dtype: NpyType;
  readonly shape: number[];
  readonly swap: boolean;
  /** Where the numbers begin. */
  readonly offset: number;
}

function refuse(path: string, field: string, what: string): TracinError {
  return new TracinError('ERR_TRACIN_DATA', `${path}: ${field} ${what}`);
}

/** Fills `target` from `position`; a file that ends early (it shrank while open) is an error. */
async function readFully(bytes: NpyBytes, target: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < target.length;) {
    const count = await bytes.read(target.subarray(done), position + done);
    if (count === 0) throw refuse(bytes.name, 'data', `ends at byte ${position + done}: the file is truncated, write it again`);
    done += count;
  }
}

async function readHeader(bytes: NpyBytes): Promise<Header> {
  const { size, name: path } = bytes;
  const preamble = Buffer.alloc(PREAMBLE);
  if (size < PREAMBLE || (await readFully(bytes, preamble, 0), preamble.toString('latin1', 0, 6) !== MAGIC)) {
    throw refuse(path, 'magic', 'is not that of a .npy file: save the array with numpy.save');
  }
  const version = preamble[6]!;
  if (version < 1 || version > 3) throw refuse(path, 'version', `${version} of the .npy format is unknown: save it with numpy.save`);
  const start = version === 1 ? 10 : 12;
  const length = version === 1 ? preamble.readUInt16LE(8) : preamble.readUInt32LE(8);
  if (length > LONGEST_HEADER || start + length > size) {
    throw refuse(path, 'header length', `${length} is more than the file can hold: the file is damaged, write it again`);
  }
  const raw = Buffer.alloc(length);
  await readFully(bytes, raw, start);
  const { descr, fortran, shape } = parseHeader(raw.toString(version === 3 ? 'utf8' : 'latin1'), path);
  if (fortran) throw refuse(path, 'fortran_order', 'is True: save numpy.ascontiguousarray(array) instead');
  const dtype = descr.slice(1);
  if (!'<>|='.includes(descr[0] ?? ' ') || !Object.hasOwn(ELEMENTS, dtype)) {
    throw refuse(path, 'descr', `'${descr}' is not supported: convert the array to one of ${Object.keys(ELEMENTS).join(', ')}`);
  }
  const type = dtype as NpyType;
  const needed = shape.reduce((product, n) => product * n, ELEMENTS[type].BYTES_PER_ELEMENT);
  const held = size - start - length;
  if (!Number.isSafeInteger(needed) || needed !== held) {
    throw refuse(path, 'shape', `(${shape.join(', ')}) of ${type} needs ${needed} bytes but the file holds ${held}: write it again`);
  }
  return { dtype: type, shape, swap: descr[0] === '>' && ELEMENTS[type].BYTES_PER_ELEMENT > 1, offset: start + length };
}

/** Reads the Python dictionary literal that numpy writes; anything else is refused. */
function parseHeader(text: string, path: string): { descr: string; fortran: boolean; shape: number[] } {
  const descr = /'descr'\s*:\s*'([^']*)'/.exec(text)?.[1];
  if (descr === undefined) throw refuse(path, 'descr', 'is missing or a structured type: save a plain numeric array');
  const fortran = /'fortran_order'\s*:\s*(True|False)/.exec(text)?.[1];
  if (fortran === undefined) throw refuse(path, 'fortran_order', 'is missing: save the array with numpy.save');
  const axes = /'shape'\s*:\s*\(([\d\s,]*)\)/.exec(text)?.[1];
  if (axes === undefined) throw refuse(path, 'shape', 'is missing or not a tuple of counts: save the array with numpy.save');
  const shape = axes
    .split(',')
    .map((axis) => axis.trim())
    .filter((axis) => axis !== '')
    .map(Number);
  return { descr, fortran: fortran === 'True', shape };
}

function swapBytes(bytes: Uint8Array, width: number): void {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (width === 2) buffer.swap16();
  else if (width === 4) buffer.swap32();
  else buffer.swap64();
}

/**
 * Opens a .npy file and checks its header against the file's size.
 * @throws ERR_TRACIN_DATA naming file and field: magic, version, descr, fortran_order, shape (more or fewer bytes than it says)
 */
export async function openNpy(path: string): Promise<NpyFile> {
  const file = await open(path, 'r').catch((error: unknown) => {
    throw fileError(error, 'read', path);
  });
  try {
    const { size } = await file.stat();
    const read: NpyBytes['read'] = async (target, position) => (await file.read(target, 0, target.length, position)).bytesRead;
    return await openNpyIn({ file: path, name: path, size, read, close: () => file.close() });
  } catch (error) {
    await file.close();
    throw fileError(error, 'read', path);
  }
}

/** The array in some bytes; errors as {@link openNpy}, after which the caller closes the bytes. */
export async function openNpyIn(bytes: NpyBytes): Promise<NpyFile> {
  const header = await readHeader(bytes);
  return {
    path: bytes.name,
    file: bytes.file,
    dtype: header.dtype,
    shape: header.shape,
    read: (rowStart, rowEnd) => readRows(bytes, header, rowStart, rowEnd),
    close: () => bytes.close(),
  };
}

async function readRows(source: NpyBytes, header: Header, rowStart: number, rowEnd: number): Promise<NpyData> {
  const path = source.name;
  const rows = header.shape[0] ?? 1;
  if (!(Number.isInteger(rowStart) && Number.isInteger(rowEnd) && rowStart >= 0 && rowStart <= rowEnd && rowEnd <= rows)) {
    throw new TracinError('ERR_TRACIN_USAGE', `${path}: rows ${rowStart} to ${rowEnd} are outside its ${rows} rows`);
  }
  const Elements = ELEMENTS[header.dtype];
  const width = Elements.BYTES_PER_ELEMENT;
  const row = header.shape.slice(1).reduce((product, n) => product * n, 1);
  let data: NpyData;
  try {
    data = new Elements((rowEnd - rowStart) * row);
  } catch (cause) {
    const message = `${path}: ${(rowEnd - rowStart) * row * width} bytes at once do not fit the memory: read fewer rows`;
    throw new TracinError('ERR_TRACIN_MEMORY', message, { cause });
  }
  const bytes = new Uint8Array(data.buffer);
  try {
    for (let at = 0; at < bytes.length; at += PIECE) {
      const piece = bytes.subarray(at, at + PIECE);
      await readFully(source, piece, header.offset + rowStart * row * width + at);
      if (header.swap) swapBytes(piece, width);
    }
  } catch (error) {
    throw fileError(error, 'read', path);
  }
  return data;
}

/** Reads a whole .npy file; errors as {@link openNpy}. */
export async function readNpy(path: string): Promise<Npy> {
  const file = await openNpy(path);
  try {
    return { dtype: file.dtype, shape: [...file.shape], data: await file.read(0, file.shape[0] ?? 1) };
  } finally {
    await file.close();
  }
}

/** The bytes that come before the numbers: version 1.0, padded as numpy does so that the data is aligned to 64 bytes. */
export function npyHeader(dtype: NpyType, shape: readonly number[]): Uint8Array {
  const descr = `${ELEMENTS[dtype].BYTES_PER_ELEMENT === 1 ? '|' : '<'}${dtype}`;
  const axes = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const dictionary = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${axes}), }`;
  const length = Math.ceil((10 + dictionary.length + 1) / 64) * 64 - 10;
  const header = Buffer.alloc(10 + length, ' ', 'latin1');
  header.write(MAGIC, 0, 'latin1');
  header[6] = 1;
  header[7] = 0;
  header.writeUInt16LE(length, 8);
  header.write(dictionary, 10, 'latin1');
  header[10 + length - 1] = 0x0a;
  return header;
}

function typeOf(data: NpyData): NpyType {
  const found = (Object.keys(ELEMENTS) as NpyType[]).find((type) => data instanceof ELEMENTS[type]);
  if (!found) throw new TracinError('ERR_TRACIN_INTERNAL', `no .npy type for ${Object.prototype.toString.call(data)}`);
  return found;
}

/** Header and numbers as they lie in the file; the numbers are a view, not a copy. */
function npyChunks(shape: readonly number[], data: NpyData): [Uint8Array, Uint8Array] {
  const count = shape.reduce((product, n) => product * n, 1);
  if (count !== data.length) {
    throw new TracinError('ERR_TRACIN_INTERNAL', `shape (${shape.join(', ')}) does not hold ${data.length} numbers`);
  }
  return [npyHeader(typeOf(data), shape), new Uint8Array(data.buffer, data.byteOffset, data.byteLength)];
}

/** A whole .npy file in memory. `data` is in C order and has as many numbers as `shape` says. */
export function encodeNpy(shape: readonly number[], data: NpyData): Uint8Array {
  return Buffer.concat(npyChunks(shape, data));
}

/** Writes a .npy file in one rename, without copying `data`. */
export async function writeNpy(path: string, shape: readonly number[], data: NpyData): Promise<void> {
  await replaceFile(path, npyChunks(shape, data));
}
