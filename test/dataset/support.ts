/** Small NIfTI files and BraTS folders, built byte by byte and so independent of the package's own writer. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { deflateSync, gzipSync } from 'node:zlib';

/** A folder that is removed after the tests of the file. */
export function temporaryFolder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'tracin-dataset-'));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Two real patients, where they are. */
export function realPatients(): string | undefined {
  const candidates = [process.env.TRACIN_BRATS_DIR, resolve(__dirname, '../../../shared/data/BraTS')];
  return candidates.find((dir) => dir !== undefined && existsSync(dir));
}

const WIDTHS: Record<number, number> = { 2: 1, 256: 1, 4: 2, 512: 2, 8: 4, 768: 4, 16: 4, 64: 8, 1024: 8, 1280: 8, 128: 3, 32: 8 };

export interface RawNifti {
  readonly shape?: readonly number[];
  /** Datatype code of nifti1.h. */
  readonly datatype?: number;
  readonly voxels?: readonly number[];
  readonly bigEndian?: boolean;
  readonly slope?: number;
  readonly inter?: number;
  readonly sform?: readonly number[];
  readonly sformCode?: number;
  readonly qform?: {
    readonly code: number;
    readonly quaternion: readonly number[];
    readonly offset: readonly number[];
    readonly qfac: number;
  };
  readonly pixdim?: readonly number[];
  /** Changes the finished header: (view, littleEndian). */
  readonly patch?: (header: DataView, little: boolean) => void;
}

/** A NIfTI-1 file; voxels are 0 where none are given. */
export function rawNifti(options: RawNifti = {}): Buffer {
  const { shape = [4, 5, 3], datatype = 4, bigEndian = false, slope = 1, inter = 0, sformCode = 1, pixdim = [1, 1, 1] } = options;
  const { sform = [-1, 0, 0, 3, 0, -1, 0, 4, 0, 0, 1, 0], qform } = options;
  const width = WIDTHS[datatype]!;
  const count = shape.reduce((a, b) => a * b, 1);
  const file = Buffer.alloc(352 + count * width);
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  const little = !bigEndian;
  view.setInt32(0, 348, little);
  [shape.length, ...shape].forEach((n, i) => view.setInt16(40 + 2 * i, n, little));
  view.setInt16(70, datatype, little);
  view.setInt16(72, width * 8, little);
  [qform?.qfac ?? 1, ...pixdim].forEach((edge, i) => view.setFloat32(76 + 4 * i, edge, little));
  view.setFloat32(108, 352, little);
  view.setFloat32(112, slope, little);
  view.setFloat32(116, inter, little);
  view.setUint8(123, 2);
  view.setInt16(252, qform?.code ?? 0, little);
  view.setInt16(254, sformCode, little);
  [...(qform?.quaternion ?? []), ...(qform?.offset ?? [])].forEach((value, i) => view.setFloat32(256 + 4 * i, value, little));
  sform.forEach((value, i) => view.setFloat32(280 + 4 * i, value, little));
  file.write('n+1\0', 344, 'latin1');
  (options.voxels ?? []).forEach((value, i) => {
    const at = 352 + i * width;
    if (datatype === 2) view.setUint8(at, value);
    else if (datatype === 256) view.setInt8(at, value);
    else if (datatype === 4) view.setInt16(at, value, little);
    else if (datatype === 512) view.setUint16(at, value, little);
    else if (datatype === 8) view.setInt32(at, value, little);
    else if (datatype === 768) view.setUint32(at, value, little);
    else if (datatype === 16) view.setFloat32(at, value, little);
    else if (datatype === 64) view.setFloat64(at, value, little);
    else if (datatype === 1024) view.setBigInt64(at, BigInt(value), little);
    else view.setBigUint64(at, BigInt(value), little);
  });
  options.patch?.(view, little);
  return file;
}

export const SUFFIXES = ['t1', 't1ce', 't2', 'flair', 'seg'] as const;

/** Writes CASE/CASE_{t1,…,seg}.nii.gz; `change` gives other bytes for a file, or none at all for null. */
export function writeCase(
  parent: string,
  name: string,
  options: {
    readonly shape?: readonly number[];
    readonly change?: Partial<Record<(typeof SUFFIXES)[number], Buffer | null>>;
    readonly plain?: boolean;
  } = {},
): void {
  const { shape = [4, 5, 3], change = {}, plain = false } = options;
  const count = shape.reduce((a, b) => a * b, 1);
  mkdirSync(join(parent, name), { recursive: true });
  SUFFIXES.forEach((suffix, m) => {
    const image = Array.from({ length: count }, (_, i) => (i % 7 === 0 ? 0 : ((i * (m + 3)) % 101) + 1));
    const labels = Array.from({ length: count }, (_, i) => [0, 0, 1, 2, 4][i % 5]!);
    const made = suffix === 'seg' ? rawNifti({ shape, datatype: 2, voxels: labels }) : rawNifti({ shape, voxels: image });
    const bytes = change[suffix] === undefined ? made : change[suffix];
    if (bytes === null) return;
    const packed = plain || (bytes[0] === 0x1f && bytes[1] === 0x8b) ? bytes : gzipSync(bytes);
    writeFileSync(join(parent, name, `${name}_${suffix}.nii${plain ? '' : '.gz'}`), packed);
  });
}

/** jest's asymmetric matchers, typed: what an error's message holds. */
export const stringContaining = (text: string): string => expect.stringContaining(text) as string;
export const stringMatching = (pattern: RegExp): string => expect.stringMatching(pattern) as string;

/** The checksum of PNG chunks (ISO 3309), bit by bit. */
export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

export interface RawPng {
  readonly height: number;
  readonly width: number;
  /** Colour type of the specification: 0 grey, 2 colours, 3 indexed, 4 and 6 with opacity. */
  readonly type?: number;
  readonly bits?: number;
  /** Row by row, the samples of a pixel together. */
  readonly samples: readonly number[];
  readonly interlaced?: boolean;
  /** In place of the samples: the compressed bytes. */
  readonly pixels?: Uint8Array;
}

/** A PNG without filters. */
export function png({ height, width, type = 0, bits = 8, samples, interlaced = false, pixels }: RawPng): Buffer {
  const each = [1, 0, 3, 1, 2, 0, 4][type] ?? 1;
  const rows = Array.from({ length: height }, (_, h) => {
    const row = Buffer.alloc(1 + Math.ceil((width * each * bits) / 8));
    samples.slice(h * width * each, (h + 1) * width * each).forEach((value, i) => {
      if (bits === 16) row.writeUInt16BE(value, 1 + 2 * i);
      else row[1 + Math.floor((i * bits) / 8)]! |= value << (8 - bits - ((i * bits) % 8));
    });
    return row;
  });
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([bits, type, 0, 0, interlaced ? 1 : 0], 8);
  const chunk = (name: string, data: Uint8Array): Buffer => {
    const bytes = Buffer.alloc(12 + data.length);
    bytes.writeUInt32BE(data.length, 0);
    bytes.write(name, 4, 'latin1');
    bytes.set(data, 8);
    bytes.writeUInt32BE(crc32(bytes.subarray(4, 8 + data.length)), 8 + data.length);
    return bytes;
  };
  const palette =
    type === 3
      ? [
          chunk(
            'PLTE',
            Uint8Array.from({ length: 3 << bits }, (_, i) => i),
          ),
        ]
      : [];
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    ...palette,
    chunk('IDAT', pixels ?? deflateSync(Buffer.concat(rows))),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}
