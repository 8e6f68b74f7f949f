/**
 * NIfTI-1 and NIfTI-2 volumes (.nii, .nii.gz). nifti-reader-js reads the header fields; what it leaves out is done here:
 * byte order and scaling of the voxels, gzip by node:zlib, the check of every size a header claims before memory is taken for it,
 * and the affine (sform, else qform, else voxel sizes).
 */
import { open, readFile } from 'node:fs/promises';
import { constants, gunzipSync } from 'node:zlib';
import type { NIFTI1, NIFTI2 } from 'nifti-reader-js' with { 'resolution-mode': 'import' };
import { TracinError } from '../errors';
import { fileError } from '../files';
import { composeAffine, rotationOf, type Affine } from './affine';

export interface NiftiHeader {
  readonly path: string;
  /** Voxels along x, y, z. */
  readonly shape: readonly [number, number, number];
  /** Volumes along the fourth axis (or the fifth, where vectors stand); 1 for a plain volume. */
  readonly channels: number;
  readonly affine: Affine;
  /** The header as it stands in the file: 348 bytes (NIfTI-1) or 540 (NIfTI-2). */
  readonly bytes: Uint8Array;
}

/** 8- and 16-bit integers stay as they are stored when no scaling asks for more: a case has nine million voxels five times. */
export type Voxels = Float32Array | Uint8Array | Int8Array | Int16Array | Uint16Array;

export interface Volume {
  readonly header: NiftiHeader;
  /** x fastest, then y, then z, then channels; slope and intercept applied; finite. */
  readonly voxels: Voxels;
}

/** How the voxels lie in the file. */
interface Layout {
  readonly Elements: (typeof TYPES)[keyof typeof TYPES];
  readonly count: number;
  readonly offset: number;
  readonly swap: boolean;
  readonly slope: number;
  readonly inter: number;
}

/** Datatype codes of nifti1.h that hold one real number a voxel. */
const TYPES = {
  2: Uint8Array,
  256: Int8Array,
  4: Int16Array,
  512: Uint16Array,
  8: Int32Array,
  768: Uint32Array,
  16: Float32Array,
  64: Float64Array,
  1024: BigInt64Array,
  1280: BigUint64Array,
} as const;
const REFUSED = new Map([
  [1, 'binary'],
  [32, 'complex64'],
  [128, 'RGB'],
  [1536, 'float128'],
  [1792, 'complex128'],
  [2048, 'complex256'],
  [2304, 'RGBA'],
]);

/** Enough of a file, compressed or not, to hold the longest header. */
const HEAD = 4096;
/** Deflate cannot shrink anything by more than this (zlib's technical notes), so a header that needs more is lying. */
const DEFLATE_LIMIT = 1032;
/** Padding that some writers leave behind the last voxel, bytes. */
const TRAILING = 1 << 16;
/** Memory taken at a time while inflating, so that a lying header cannot take more than the file can fill. */
const INFLATE_STEP = 32 << 20;

function refuse(path: string, field: string, what: string, cause?: unknown): TracinError {
  return new TracinError('ERR_TRACIN_DATA', `${path}: ${field} ${what}`, { cause });
}

function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

function inflate(bytes: Uint8Array, path: string, options: Parameters<typeof gunzipSync>[1]): Buffer {
  try {
    return gunzipSync(bytes, options);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'Z_BUF_ERROR') throw refuse(path, 'gzip stream', 'ends too early: the file is truncated, fetch it again', error);
    if (code === 'ERR_BUFFER_TOO_LARGE') throw refuse(path, 'dim', 'says less than the file holds: write the file again', error);
    throw refuse(path, 'gzip stream', 'is damaged: fetch the file again', error);
  }
}

type Fields = NIFTI1 | NIFTI2;

/** @param start the first bytes of the file, inflated */
async function readFields(start: Buffer, path: string): Promise<{ fields: Fields; bytes: Uint8Array }> {
  if (start.length === 0) throw refuse(path, 'file', 'is empty: fetch it again');
  const nifti = await import('nifti-reader-js');
  const sizes = start.length >= 4 ? [start.readInt32LE(0), start.readInt32BE(0)] : [];
  const length = [348, 540].find((size) => sizes.includes(size));
  if (length === undefined) throw refuse(path, 'sizeof_hdr', 'is not that of a NIfTI file: convert the image to .nii.gz');
  if (start.length < length)
    throw refuse(path, 'header', `ends after ${start.length} of ${length} bytes: the file is truncated, fetch it again`);
  const bytes = Uint8Array.from(start.subarray(0, length));
  const fields = length === 348 ? new nifti.NIFTI1() : new nifti.NIFTI2();
  fields.readHeader(bytes.buffer);
  const magic = fields.magic.slice(0, 3);
  if (magic === 'ni1' || magic === 'ni2') throw refuse(path, 'magic', `${magic} means a .hdr/.img pair: convert it to one .nii.gz`);
  if (magic !== 'n+1' && magic !== 'n+2') throw refuse(path, 'magic', 'is not that of a NIfTI file: convert the image to .nii.gz');
  return { fields, bytes };
}

function shapeOf(fields: Fields, path: string): { shape: [number, number, number]; channels: number } {
  const [rank = 0, ...dims] = fields.dims;
  const spatial = dims.slice(0, 3);
  const beyond = dims.slice(3, rank).filter((n) => n !== 1);
  const written = `[${fields.dims.slice(0, Math.min(Math.max(rank, 0), 7) + 1).join(', ')}]`;
  if (rank < 3 || rank > 7 || [...spatial, ...beyond].some((n) => n < 1) || beyond.length > 1) {
    throw refuse(path, 'dim', `${written} is neither a 3-D volume nor 3-D volumes along one axis: give one volume a file`);
  }
  return { shape: spatial as [number, number, number], channels: beyond[0] ?? 1 };
}

function layoutOf(fields: Fields, dims: readonly number[], path: string): Layout {
  const code = fields.datatypeCode;
  if (!(code in TYPES)) {
    throw refuse(
      path,
      'datatype',
      `${code} (${REFUSED.get(code) ?? 'unknown'}) is not one real number a voxel: convert the image to int16 or float32`,
    );
  }
  const Elements = TYPES[code as keyof typeof TYPES];
  if (fields.numBitsPerVoxel !== Elements.BYTES_PER_ELEMENT * 8) {
    throw refuse(path, 'bitpix', `${fields.numBitsPerVoxel} does not fit datatype ${code}: the header is wrong, write the file again`);
  }
  const least = fields.magic.startsWith('n+1') ? 352 : 544;
  const offset = fields.vox_offset === 0 ? least : fields.vox_offset;
  if (!Number.isInteger(offset) || offset < least)
    throw refuse(path, 'vox_offset', `${offset} lies inside the header: write the file again`);
  // nifti1.h: a slope of 0 means no scaling; some writers leave NaN there.
  const scaled = fields.scl_slope !== 0 && !Number.isNaN(fields.scl_slope);
  const [slope, inter] = scaled ? [fields.scl_slope, fields.scl_inter] : [1, 0];
  if (!Number.isFinite(slope) || !Number.isFinite(inter)) {
    throw refuse(path, 'scl_slope, scl_inter', `are ${slope}, ${inter}: write the file again with finite scaling`);
  }
  return { Elements, count: dims.reduce((product, n) => product * n, 1), offset, swap: !fields.littleEndian, slope, inter };
}

/** sform, else qform, else voxel sizes: the order in which nibabel and ITK-SNAP take them. */
function affineOf(fields: Fields, bytes: Uint8Array, path: string): number[] {
  const affine = ((): number[] => {
    if (fields.sform_code > 0) return [...sformRows(fields, bytes), 0, 0, 0, 1];
    const edges = fields.pixDims.slice(1, 4);
    if (fields.qform_code <= 0) return composeAffine([1, 0, 0, 0, 1, 0, 0, 0, 1], edges, [0, 0, 0]);
    const rotation = rotationOf(fields.quatern_b, fields.quatern_c, fields.quatern_d);
    const qfac = fields.pixDims[0]! < 0 ? -1 : 1;
    return composeAffine(rotation, [edges[0]!, edges[1]!, edges[2]! * qfac], [fields.qoffset_x, fields.qoffset_y, fields.qoffset_z]);
  })();
  if (!affine.every(Number.isFinite)) throw refuse(path, 'affine', 'holds a number that is not finite: write the file again');
  return affine;
}

/** srow_x, srow_y, srow_z from the header's bytes: the library puts its own choice of affine in their place. */
export function sformRows(fields: Pick<Fields, 'littleEndian'>, bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: 12 }, (_, i) =>
    bytes.length === 348 ? view.getFloat32(280 + 4 * i, fields.littleEndian) : view.getFloat64(400 + 8 * i, fields.littleEndian),
  );
}

/** @param fileStart at least the first 4096 bytes of the file, or all of it; `fileSize` its whole size */
async function parse(fileStart: Uint8Array, fileSize: number, path: string): Promise<{ header: NiftiHeader; layout: Layout }> {
  const packed = isGzip(fileStart);
  const first = fileStart.subarray(0, HEAD);
  const start = packed ? inflate(first, path, { finishFlush: constants.Z_SYNC_FLUSH }) : Buffer.from(first);
  const { fields, bytes } = await readFields(start, path);
  const { shape, channels } = shapeOf(fields, path);
  const dims = channels === 1 ? shape : [...shape, channels];
  const layout = layoutOf(fields, dims, path);
  const needed = layout.offset + layout.count * layout.Elements.BYTES_PER_ELEMENT;
  if (needed > fileSize * (packed ? DEFLATE_LIMIT : 1)) {
    throw refuse(
      path,
      'dim',
      `${dims.join(' × ')} of ${fields.numBitsPerVoxel} bits needs more than the file holds: the file is truncated or its header wrong`,
    );
  }
  return { header: { path, shape, channels, affine: affineOf(fields, bytes, path), bytes }, layout };
}

/**
 * Reads and checks a header without reading the voxels.
 * @throws ERR_TRACIN_DATA naming file and header field; ERR_TRACIN_IO when the file cannot be read
 */
export async function readNiftiHeader(path: string): Promise<NiftiHeader> {
  try {
    const file = await open(path, 'r');
    try {
      const start = Buffer.alloc(HEAD);
      const { bytesRead } = await file.read(start, 0, HEAD, 0);
      const { size } = await file.stat();
      return (await parse(start.subarray(0, bytesRead), size, path)).header;
    } finally {
      await file.close();
    }
  } catch (error) {
    throw fileError(error, 'read', path);
  }
}

/**
 * Reads a whole volume, or several that stand in one file. It inflates and converts at once: call it in a worker thread.
 * @throws ERR_TRACIN_DATA naming file and field: truncated or damaged gzip, a header that says more than the file holds,
 *   a datatype without one real number a voxel, a voxel that is NaN or infinite
 */
export async function readVolume(path: string): Promise<Volume> {
  const file = await readFile(path).catch((error: unknown) => {
    throw fileError(error, 'read', path);
  });
  const { header, layout } = await parse(file, file.length, path);
  const needed = layout.offset + layout.count * layout.Elements.BYTES_PER_ELEMENT;
  const content = isGzip(file)
    ? inflate(file, path, { chunkSize: Math.min(needed, INFLATE_STEP), maxOutputLength: needed + TRAILING })
    : file;
  if (content.length < needed) {
    throw refuse(
      path,
      'dim',
      `${header.shape.join(' × ')}${header.channels === 1 ? '' : ` × ${header.channels}`} needs ${needed} bytes but the file holds ${content.length}: it is truncated or its header wrong`,
    );
  }
  if (content.length > needed + TRAILING) throw refuse(path, 'dim', 'says less than the file holds: write the file again');
  return { header, voxels: toVoxels(content, layout, header) };
}

function toVoxels(content: Buffer, layout: Layout, header: NiftiHeader): Voxels {
  const { Elements, count, offset, slope, inter } = layout;
  const width = Elements.BYTES_PER_ELEMENT;
  const at = content.byteOffset + offset;
  const memory = content.buffer as ArrayBuffer;
  const buffer = at % width === 0 ? memory : memory.slice(at, at + count * width);
  const start = at % width === 0 ? at : 0;
  if (layout.swap && width > 1) {
    const bytes = Buffer.from(buffer, start, count * width);
    if (width === 2) bytes.swap16();
    else if (width === 4) bytes.swap32();
    else bytes.swap64();
  }
  const raw = new Elements(buffer, start, count);
  const narrow = raw instanceof Uint8Array || raw instanceof Int8Array || raw instanceof Int16Array || raw instanceof Uint16Array;
  if (narrow && slope === 1 && inter === 0) return raw;
  const voxels = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const value = Math.fround(Number(raw[i]) * slope + inter);
    voxels[i] = value;
    // x − x is 0 for every finite number and NaN for the others.
    if (value - value === 0) continue;
    const [nx, ny, nz] = header.shape;
    const voxel = [i % nx, Math.floor(i / nx) % ny, Math.floor(i / (nx * ny)) % nz];
    throw refuse(header.path, `voxel (${voxel.join(', ')})`, `is ${value}: replace NaN and infinite voxels`);
  }
  return voxels;
}
