/**
 * Members of zip archives, stored or deflated, also of more than 4 GiB (APPNOTE.TXT of PKWARE, sections 4.3 and 4.5.3). No size that the
 * archive claims is believed before it is checked against the file.
 */
import type { FileHandle } from 'node:fs/promises';
import { promisify } from 'node:util';
import { constants, gunzip, inflateRaw } from 'node:zlib';
import { TracinError } from './errors';

export interface ZipMember {
  readonly name: string;
  readonly deflated: boolean;
  /** Bytes in the archive, and of the member itself. */
  readonly packed: number;
  readonly size: number;
  readonly crc: number;
  /** Where its local header begins. */
  readonly header: number;
}

const END = Buffer.from([0x50, 0x4b, 0x05, 0x06]);
const END_LENGTH = 22;
const END64 = 0x06064b50;
const LOCATOR64 = 0x07064b50;
const LOCATOR64_LENGTH = 20;
const ENTRY = 0x02014b50;
const ENTRY_LENGTH = 46;
const LOCAL = 0x04034b50;
const LOCAL_LENGTH = 30;
const LONGEST_COMMENT = 65_535;
/** Marks a number that stands in the zip64 field. */
const ELSEWHERE = 0xffffffff;
/** Deflate cannot shrink anything by more than this (zlib's technical notes). */
const DEFLATE_LIMIT = 1032;

function refuse(path: string, what: string, cause?: unknown): TracinError {
  return new TracinError('ERR_TRACIN_DATA', `${path}: ${what}`, { cause });
}

async function readAt(file: FileHandle, path: string, position: number, length: number): Promise<Buffer> {
  const { size } = await file.stat();
  if (!(position >= 0 && position + length <= size)) throw refuse(path, 'the archive is truncated or damaged: write it again');
  const bytes = Buffer.alloc(length);
  for (let done = 0; done < length;) {
    const { bytesRead } = await file.read(bytes, done, length - done, position + done);
    if (bytesRead === 0) throw refuse(path, 'the archive is truncated: write it again');
    done += bytesRead;
  }
  return bytes;
}

/**
 * The members by the central directory.
 * @throws ERR_TRACIN_DATA when the file is no archive, is truncated, or lies about its sizes
 */
export async function listZip(file: FileHandle, path: string): Promise<ZipMember[]> {
  const { size } = await file.stat();
  const tailLength = Math.min(size, END_LENGTH + LONGEST_COMMENT);
  const tail = await readAt(file, path, size - tailLength, tailLength);
  const end = tail.lastIndexOf(END);
  if (end < 0 || end + END_LENGTH > tail.length) throw refuse(path, 'is no zip archive or is truncated: save it again with numpy.savez');
  const { count, offset, length } = await directoryOf(file, path, tail, end, size - tailLength);
  const directory = await readAt(file, path, offset, length);
  const members: ZipMember[] = [];
  for (let at = 0, i = 0; i < count; i++) {
    if (at + ENTRY_LENGTH > directory.length || directory.readUInt32LE(at) !== ENTRY)
      throw refuse(path, 'its directory is damaged: write it again');
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((field) => directory.readUInt16LE(at + field)) as [
      number,
      number,
      number,
    ];
    const next = at + ENTRY_LENGTH + nameLength + extraLength + commentLength;
    if (next > directory.length) throw refuse(path, 'its directory is damaged: write it again');
    const name = directory.toString('utf8', at + ENTRY_LENGTH, at + ENTRY_LENGTH + nameLength);
    const extra = directory.subarray(at + ENTRY_LENGTH + nameLength, at + ENTRY_LENGTH + nameLength + extraLength);
    members.push(memberOf(directory.subarray(at), extra, name, size, path));
    at = next;
  }
  return members;
}

/** Where the central directory lies; in large archives a second end record says so. */
async function directoryOf(file: FileHandle, path: string, tail: Buffer, end: number, tailStart: number) {
  const small = { count: tail.readUInt16LE(end + 10), length: tail.readUInt32LE(end + 12), offset: tail.readUInt32LE(end + 16) };
  if (small.count !== 0xffff && small.length !== ELSEWHERE && small.offset !== ELSEWHERE) return small;
  const at = tailStart + end - LOCATOR64_LENGTH;
  const locator = await readAt(file, path, at, LOCATOR64_LENGTH);
  if (locator.readUInt32LE(0) !== LOCATOR64) return small;
  const record = await readAt(file, path, Number(locator.readBigUInt64LE(8)), 56);
  if (record.readUInt32LE(0) !== END64) throw refuse(path, 'its directory is damaged: write it again');
  const [count, length, offset] = [32, 40, 48].map((field) => Number(record.readBigUInt64LE(field))) as [number, number, number];
  return { count, length, offset };
}

function memberOf(entry: Buffer, extra: Buffer, name: string, archive: number, path: string): ZipMember {
  const method = entry.readUInt16LE(10);
  const where = `${path}: ${name}`;
  if ((entry.readUInt16LE(8) & 1) !== 0) throw refuse(where, 'is encrypted: save it without a password');
  if (method !== 0 && method !== 8) throw refuse(where, `is packed by method ${method}: save it stored or deflated`);
  const long = zip64Of(extra);
  // The zip64 field holds, in this order, those that do not fit the entry.
  const [size, packed, header] = [24, 20, 42].map((field) => {
    const value = entry.readUInt32LE(field);
    return value === ELSEWHERE ? (long.shift() ?? value) : value;
  }) as [number, number, number];
  const deflated = method === 8;
  if (header + LOCAL_LENGTH + packed > archive || (deflated ? size > packed * DEFLATE_LIMIT : size !== packed)) {
    throw refuse(where, `says ${size} bytes in ${packed}, which the archive cannot hold: it is truncated or damaged`);
  }
  return { name, deflated, size, packed, header, crc: entry.readUInt32LE(16) };
}

function zip64Of(extra: Buffer): number[] {
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    const end = at + 4 + extra.readUInt16LE(at + 2);
    if (extra.readUInt16LE(at) !== 1 || end > extra.length) continue;
    return Array.from({ length: Math.floor((end - at - 4) / 8) }, (_, i) => Number(extra.readBigUInt64LE(at + 4 + 8 * i)));
  }
  return [];
}

/** Where the bytes of a member begin in the archive. */
export async function memberStart(file: FileHandle, path: string, member: ZipMember): Promise<number> {
  const local = await readAt(file, path, member.header, LOCAL_LENGTH);
  if (local.readUInt32LE(0) !== LOCAL) throw refuse(path, `${member.name} does not begin where the directory says: write it again`);
  return member.header + LOCAL_LENGTH + local.readUInt16LE(26) + local.readUInt16LE(28);
}

const inflateStart = promisify<Buffer, { finishFlush: number }, Buffer>(inflateRaw);
const inflateGzip = promisify<Buffer, { maxOutputLength: number }, Buffer>(gunzip);

/** The first bytes of a deflated member: what `packed` bytes of it inflate to. */
export async function peekMember(file: FileHandle, path: string, member: ZipMember, packed: number): Promise<Buffer> {
  const start = await memberStart(file, path, member);
  const bytes = await readAt(file, path, start, Math.min(packed, member.packed));
  return inflateStart(bytes, { finishFlush: constants.Z_SYNC_FLUSH }).catch((error: unknown) => {
    throw refuse(path, `${member.name} is damaged: write it again`, error);
  });
}

/**
 * A whole deflated member, inflated off the JS thread.
 * @throws ERR_TRACIN_DATA when it is damaged (its checksum is checked) or has another size than the archive says
 */
export async function inflateMember(file: FileHandle, path: string, member: ZipMember): Promise<Buffer> {
  const packed = await readAt(file, path, await memberStart(file, path, member), member.packed);
  // As a gzip stream (RFC 1952), so that zlib compares checksum and size.
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(member.crc, 0);
  trailer.writeUInt32LE(member.size % 2 ** 32, 4);
  const stream = Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]), packed, trailer]);
  return inflateGzip(stream, { maxOutputLength: Math.max(1, member.size) }).catch((error: unknown) => {
    throw refuse(path, `${member.name} is damaged or has another size than the archive says: write it again`, error);
  });
}
