/**
 * PNG images: grey, colours or indexed, up to 16 bit, not interlaced. fast-png undoes the filters; what it leaves out is done here: the
 * check of every size the header claims before memory is taken for it, and numbers of fewer than 8 bits. Rows (H) run along the first
 * voxel axis, columns (W) along the second, as slices of volumes do.
 */
import { open, readFile } from 'node:fs/promises';
import { constants, inflateSync } from 'node:zlib';
import { TracinError } from '../errors';
import { fileError } from '../files';

export interface PngHeader {
  /** Pixels. */
  readonly height: number;
  readonly width: number;
  readonly bits: number;
  readonly kind: 'grey' | 'colour' | 'indexed';
  /** Numbers a pixel has, opacity included. */
  readonly samples: number;
  /** Colours a pixel has: 1 or 3. */
  readonly channels: number;
}

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
/** Signature and IHDR chunk. */
const HEAD = 33;
/** Deflate cannot shrink anything by more than this (zlib's technical notes). */
const DEFLATE_LIMIT = 1032;
/** Memory taken at a time while inflating. */
const INFLATE_STEP = 1 << 20;

/** Colour types of the PNG specification, 11.2.2, with the numbers of bits each may have. */
const KINDS: Readonly<Record<number, Pick<PngHeader, 'kind' | 'samples' | 'channels'> & { readonly bits: readonly number[] }>> = {
  0: { kind: 'grey', samples: 1, channels: 1, bits: [1, 2, 4, 8, 16] },
  2: { kind: 'colour', samples: 3, channels: 3, bits: [8, 16] },
  3: { kind: 'indexed', samples: 1, channels: 1, bits: [1, 2, 4, 8] },
  4: { kind: 'grey', samples: 2, channels: 1, bits: [8, 16] },
  6: { kind: 'colour', samples: 4, channels: 3, bits: [8, 16] },
};

function refuse(path: string, what: string, cause?: unknown): TracinError {
  return new TracinError('ERR_TRACIN_DATA', `${path}: ${what}`, { cause });
}

/**
 * Reads and checks a header without reading the pixels.
 * @throws ERR_TRACIN_DATA naming file and field; ERR_TRACIN_IO when the file cannot be read
 */
export async function readPngHeader(path: string): Promise<PngHeader> {
  try {
    const file = await open(path, 'r');
    try {
      const start = Buffer.alloc(HEAD);
      const { bytesRead } = await file.read(start, 0, HEAD, 0);
      return parse(start.subarray(0, bytesRead), (await file.stat()).size, path);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw fileError(error, 'read', path);
  }
}

function parse(bytes: Buffer, fileSize: number, path: string): PngHeader {
  if (bytes.length < HEAD || !SIGNATURE.equals(bytes.subarray(0, SIGNATURE.length)) || bytes.toString('latin1', 12, 16) !== 'IHDR') {
    throw refuse(path, 'does not begin as a PNG does: it is damaged or another format, write it again');
  }
  const [width, height, bits, type] = [bytes.readUInt32BE(16), bytes.readUInt32BE(20), bytes[24]!, bytes[25]!];
  const kind = KINDS[type];
  if (!kind?.bits.includes(bits)) throw refuse(path, `colour type ${type} with ${bits} bits is no PNG: write the file again`);
  if (bytes[28] !== 0) throw refuse(path, 'the image is interlaced: save it without interlacing');
  const header = { height, width, bits, kind: kind.kind, samples: kind.samples, channels: kind.channels };
  if (width < 1 || height < 1 || rowsOf(header) > fileSize * DEFLATE_LIMIT) {
    throw refuse(path, `size ${width} × ${height} does not fit the ${fileSize} bytes of the file: it is truncated or its header wrong`);
  }
  return header;
}

/** Bytes of one row, its filter first. */
function rowOf({ width, samples, bits }: PngHeader): number {
  return 1 + Math.ceil((width * samples * bits) / 8);
}

function rowsOf(header: PngHeader): number {
  return header.height * rowOf(header);
}

/**
 * The numbers of a PNG, [channels, W, H] with H fastest; opacity is left out, the numbers of an indexed image are its indices.
 * It inflates and converts at once: call it in a worker thread.
 * @throws ERR_TRACIN_DATA on a file that is truncated, damaged, or holds more or less than its header says
 */
export async function readPng(path: string): Promise<{ header: PngHeader; pixels: Uint8Array | Uint16Array }> {
  const file = await readFile(path).catch((error: unknown) => {
    throw fileError(error, 'read', path);
  });
  const header = parse(file, file.length, path);
  const { decode } = await import('fast-png');
  const critical = criticalChunks(file, path);
  assertSize(critical.data, header, path);
  try {
    const { data } = decode(critical.file, { checkCrc: true });
    return { header, pixels: planes(header.bits < 8 ? unpack(data, header) : data, header) };
  } catch (error) {
    throw damaged(path, error);
  }
}

function damaged(path: string, error: unknown): TracinError {
  return refuse(path, `the image is damaged (${(error as Error).message.replaceAll(/\s+/g, ' ')}): write it again`, error);
}

/** The file without its ancillary chunks (texts and colour profiles, compressed too), and the compressed image by itself. */
function criticalChunks(bytes: Buffer, path: string): { file: Buffer; data: Buffer } {
  const chunks: Buffer[] = [bytes.subarray(0, SIGNATURE.length)];
  const data: Buffer[] = [];
  for (let at = SIGNATURE.length; ;) {
    const length = at + 12 <= bytes.length ? bytes.readUInt32BE(at) : Infinity;
    if (at + 12 + length > bytes.length) throw refuse(path, 'ends before the image does: the file is truncated, fetch it again');
    const type = bytes.toString('latin1', at + 4, at + 8);
    if (['IHDR', 'PLTE', 'IDAT', 'IEND'].includes(type)) chunks.push(bytes.subarray(at, at + 12 + length));
    if (type === 'IDAT') data.push(bytes.subarray(at + 8, at + 8 + length));
    if (type === 'IEND') return { file: Buffer.concat(chunks), data: Buffer.concat(data) };
    at += 12 + length;
  }
}

/** A few kilobytes can inflate to gigabytes: no more is inflated than the header says. */
function assertSize(data: Buffer, header: PngHeader, path: string): void {
  const expected = rowsOf(header);
  const size = `${header.width} × ${header.height}`;
  let held: number;
  try {
    held = inflateSync(data, {
      maxOutputLength: expected,
      chunkSize: Math.max(constants.Z_MIN_CHUNK, Math.min(expected, INFLATE_STEP)),
    }).length;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'Z_BUF_ERROR') throw refuse(path, 'the image ends too early: the file is truncated, fetch it again', error);
    if (code === 'ERR_BUFFER_TOO_LARGE') throw refuse(path, `holds more than the ${size} pixels it says: write it again`, error);
    throw damaged(path, error);
  }
  if (held < expected) throw refuse(path, `size ${size} needs ${expected} bytes but the file holds ${held}: write it again`);
}

/** Numbers of 1, 2 or 4 bits, one for each pixel; rows begin at whole bytes. */
function unpack(packed: ArrayLike<number>, { width, height, bits }: PngHeader): Uint8Array {
  const numbers = new Uint8Array(width * height);
  const row = Math.ceil((width * bits) / 8);
  const mask = (1 << bits) - 1;
  for (let h = 0; h < height; h++) {
    for (let w = 0; w < width; w++) {
      const bit = w * bits;
      numbers[h * width + w] = (packed[h * row + (bit >> 3)]! >> (8 - bits - (bit & 7))) & mask;
    }
  }
  return numbers;
}

function planes(pixels: ArrayLike<number>, { height, width, samples, channels, bits }: PngHeader): Uint8Array | Uint16Array {
  const area = height * width;
  const turned = bits === 16 ? new Uint16Array(channels * area) : new Uint8Array(channels * area);
  for (let h = 0; h < height; h++) {
    for (let w = 0; w < width; w++) {
      for (let c = 0; c < channels; c++) turned[c * area + w * height + h] = pixels[(h * width + w) * samples + c]!;
    }
  }
  return turned;
}

/** A grey PNG of numbers [W, H] with H fastest, 8 bit where they fit. */
export async function encodeGreyPng(numbers: Int16Array, height: number, width: number): Promise<Uint8Array> {
  const { encode } = await import('fast-png');
  const wide = numbers.some((value) => value > 255);
  const data = wide ? new Uint16Array(numbers.length) : new Uint8Array(numbers.length);
  for (let h = 0; h < height; h++) for (let w = 0; w < width; w++) data[h * width + w] = numbers[w * height + h]!;
  return encode({ width, height, data, channels: 1, depth: wide ? 16 : 8 });
}
