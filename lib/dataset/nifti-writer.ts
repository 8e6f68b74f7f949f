/** Writes volumes on the grid of another one, or on a new grid. The header is written by nifti-reader-js, the gzip by node:zlib. */
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { NIFTI1, NIFTI2 } from 'nifti-reader-js' with { 'resolution-mode': 'import' };
import { replaceFile } from '../files';
import type { Affine } from './affine';
import { sformRows } from './nifti';

const TYPES = {
  uint8: { code: 2, bits: 8, Elements: Uint8Array },
  int16: { code: 4, bits: 16, Elements: Int16Array },
  float32: { code: 16, bits: 32, Elements: Float32Array },
};

interface Elements {
  readonly uint8: Uint8Array;
  readonly int16: Int16Array;
  readonly float32: Float32Array;
}

/** A volume to be written: fill `voxels` (x fastest, zero at first), then {@link writeVolume}. */
export interface NewVolume<T extends keyof Elements> {
  readonly voxels: Elements[T];
  /** Header and voxels, uncompressed. */
  readonly file: Uint8Array;
}

/** Rotation matrix to the quaternion's (b, c, d), with a ≥ 0, and the sign that makes the matrix proper (nifti1_io.c, mat44_to_quatern). */
function quaternionOf(affine: Affine): { quaternion: [number, number, number]; qfac: 1 | -1; edges: number[] } {
  const column = (axis: number): number[] => [affine[axis]!, affine[4 + axis]!, affine[8 + axis]!];
  const edges = [0, 1, 2].map((axis) => Math.hypot(...column(axis)));
  const [x, y, z] = [0, 1, 2].map((axis) => column(axis).map((value) => value / edges[axis]!)) as [number[], number[], number[]];
  const cross = [x[1]! * y[2]! - x[2]! * y[1]!, x[2]! * y[0]! - x[0]! * y[2]!, x[0]! * y[1]! - x[1]! * y[0]!];
  const qfac = cross.reduce((sum, value, i) => sum + value * z[i]!, 0) < 0 ? -1 : 1;
  const [r13, r23, r33] = z.map((value) => value * qfac) as [number, number, number];
  const [r11, r21, r31, r12, r22, r32] = [x[0]!, x[1]!, x[2]!, y[0]!, y[1]!, y[2]!];
  // The largest of the four squares is the one to divide by (Shepperd 1978).
  const squares = [1 + r11 + r22 + r33, 1 + r11 - r22 - r33, 1 - r11 + r22 - r33, 1 - r11 - r22 + r33];
  const largest = squares.indexOf(Math.max(...squares));
  const s = 2 * Math.sqrt(squares[largest]!);
  const [a, b, c, d] = [
    [s / 4, (r32 - r23) / s, (r13 - r31) / s, (r21 - r12) / s],
    [(r32 - r23) / s, s / 4, (r12 + r21) / s, (r13 + r31) / s],
    [(r13 - r31) / s, (r12 + r21) / s, s / 4, (r23 + r32) / s],
    [(r21 - r12) / s, (r13 + r31) / s, (r23 + r32) / s, s / 4],
  ][largest] as [number, number, number, number];
  const sign = a < 0 ? -1 : 1;
  return { quaternion: [sign * b, sign * c, sign * d], qfac, edges };
}

/** Header bytes (NIfTI-1) of a new grid: mm, sform and qform alike, both with code 1 (scanner anatomical). */
export async function headerOf(shape: readonly number[], affine: Affine): Promise<Uint8Array> {
  const { NIFTI1 } = await import('nifti-reader-js');
  const header = new NIFTI1();
  const { quaternion, qfac, edges } = quaternionOf(affine);
  Object.assign(header, {
    littleEndian: true,
    dims: [3, ...shape, 1, 1, 1, 1],
    pixDims: [qfac, ...edges, 0, 0, 0, 0],
    xyzt_units: NIFTI1.UNITS_MM,
    magic: 'n+1',
  });
  Object.assign(header, { qform_code: 1, sform_code: 1, quatern_b: quaternion[0], quatern_c: quaternion[1], quatern_d: quaternion[2] });
  Object.assign(header, { qoffset_x: affine[3], qoffset_y: affine[7], qoffset_z: affine[11] });
  header.affine = [0, 4, 8, 12].map((row) => affine.slice(row, row + 4));
  return new Uint8Array(header.toArrayBuffer()).subarray(0, 348);
}

/**
 * An empty volume with the geometry of a source header (shape, voxel sizes, units, qform and sform with their codes), byte for byte.
 * @param source the 348 or 540 header bytes; `description` at most 79 characters
 */
export async function newVolume<T extends keyof Elements>(source: Uint8Array, type: T, description: string): Promise<NewVolume<T>> {
  const nifti = await import('nifti-reader-js');
  const header: NIFTI1 | NIFTI2 = source.length === 348 ? new nifti.NIFTI1() : new nifti.NIFTI2();
  header.readHeader(Uint8Array.from(source).buffer);
  // The library keeps the affine it prefers; the file must keep the sform it had.
  const rows = sformRows(header, source);
  header.affine = [rows.slice(0, 4), rows.slice(4, 8), rows.slice(8, 12), [0, 0, 0, 1]];
  const { code, bits, Elements } = TYPES[type];
  const shape = header.dims.slice(1, 4);
  const offset = source.length === 348 ? 352 : 544;
  Object.assign(header, {
    littleEndian: true,
    dims: [3, ...shape, 1, 1, 1, 1],
    datatypeCode: code,
    numBitsPerVoxel: bits,
    vox_offset: offset,
  });
  Object.assign(header, { scl_slope: 1, scl_inter: 0, cal_min: 0, cal_max: 0, description, aux_file: '', intent_code: 0, intent_name: '' });
  const count = shape.reduce((product, n) => product * n, 1);
  const file = new Uint8Array(offset + count * Elements.BYTES_PER_ELEMENT);
  file.set(new Uint8Array(header.toArrayBuffer()).subarray(0, source.length));
  // The library writes the NIfTI-2 magic as UTF-8 of a shortened string; the standard has these eight bytes.
  if (source.length === 540) file.set([0x6e, 0x2b, 0x32, 0, 0x0d, 0x0a, 0x1a, 0x0a], 4);
  return { file, voxels: new Elements(file.buffer, offset, count) as unknown as Elements[T] };
}

const compress = promisify<Uint8Array, Buffer>(gzip);

/** Writes a volume as `path`: compressed when it ends in .gz, the same bytes for the same voxels on every system. */
export async function writeVolume(path: string, { file }: NewVolume<keyof Elements>): Promise<void> {
  if (!path.endsWith('.gz')) return replaceFile(path, file);
  const packed = await compress(file);
  // Byte 9 of a gzip header names the system that wrote it (RFC 1952); 255 is "unknown". The time is already 0.
  packed[9] = 255;
  await replaceFile(path, packed);
}
