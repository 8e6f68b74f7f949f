import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { openArrays } from '../../lib/dataset/arrays';
import { encodeNpy } from '../../lib/npy';
import { openArrayFile } from '../../lib/npz';
import { stringMatching, temporaryFolder } from './support';

// arrays.py beside these files made them with numpy.savez and numpy.savez_compressed.
const reference = (name: string) => resolve(__dirname, 'reference', `${name}.npz`);
const dir = temporaryFolder();
let files = 0;
function put(bytes: Uint8Array): string {
  const path = join(dir, `archive-${files++}.npz`);
  writeFileSync(path, bytes);
  return path;
}

interface Entry {
  readonly name?: string;
  readonly content: Uint8Array;
  readonly method?: number;
  readonly flags?: number;
  /** What the archive says, where it lies. */
  readonly size?: number;
  readonly crc?: number;
}

/** An archive of one member, written field by field. */
function zip({ name = 'images.npy', content, method = 0, flags = 0, size = content.length, crc = 0 }: Entry): Buffer {
  const packed = method === 8 ? deflateRawSync(content) : content;
  const local = Buffer.alloc(30);
  local.writeUInt32LE(0x04034b50, 0);
  local.writeUInt16LE(name.length, 26);
  const entry = Buffer.alloc(46);
  entry.writeUInt32LE(0x02014b50, 0);
  entry.writeUInt16LE(flags, 8);
  entry.writeUInt16LE(method, 10);
  entry.writeUInt32LE(crc, 16);
  entry.writeUInt32LE(packed.length, 20);
  entry.writeUInt32LE(size, 24);
  entry.writeUInt16LE(name.length, 28);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(46 + name.length, 12);
  end.writeUInt32LE(30 + name.length + packed.length, 16);
  return Buffer.concat([local, Buffer.from(name), packed, entry, Buffer.from(name), end]);
}

test.each(['stored', 'deflated'])('%s arrays are read by name and by rows', async (name) => {
  const images = await openArrayFile(`${reference(name)}#images`, 'labels');
  expect([images.dtype, images.shape, images.path]).toEqual(['f4', [3, 2, 2, 2], `${reference(name)}#images`]);
  expect([...(await images.read(1, 2))].map(Number)).toEqual([8, 9, 10, 11, 12, 13, 14, 15]);
  await images.close();
  const source = await openArrays({ images: reference(name), labels: reference(name) });
  expect([...(await source.read([2])).labels!]).toEqual([2, 0, 1, 2]);
  expect(await source.fingerprint()).toMatch(/^[0-9a-f]{64}$/);
  await source.close();
});

test('archives of more than 4 GiB have their sizes elsewhere', async () => {
  const content = encodeNpy([2], Float32Array.of(1, 2));
  const name = 'images.npy';
  const short = zip({ name, content });
  const start = 30 + name.length + content.length;
  // Sizes and place of the member in a zip64 field behind its name, those of the directory in a second end record.
  const extra = Buffer.alloc(28);
  extra.writeUInt16LE(1, 0);
  extra.writeUInt16LE(24, 2);
  [content.length, content.length, 0].forEach((value, i) => extra.writeBigUInt64LE(BigInt(value), 4 + 8 * i));
  const entry = Buffer.concat([short.subarray(start, short.length - 22), extra]);
  for (const field of [20, 24, 42]) entry.writeUInt32LE(0xffffffff, field);
  entry.writeUInt16LE(extra.length, 30);
  const record = Buffer.alloc(56);
  record.writeUInt32LE(0x06064b50, 0);
  [1, entry.length, start].forEach((value, i) => record.writeBigUInt64LE(BigInt(value), 32 + 8 * i));
  const locator = Buffer.alloc(20);
  locator.writeUInt32LE(0x07064b50, 0);
  locator.writeBigUInt64LE(BigInt(start + entry.length), 8);
  const end = Buffer.from(short.subarray(short.length - 22));
  end.writeUInt16LE(0xffff, 10);
  end.fill(0xff, 12, 20);
  const file = await openArrayFile(put(Buffer.concat([short.subarray(0, start), entry, record, locator, end])), 'images');
  expect([...(await file.read(0, 2))]).toEqual([1, 2]);
  await file.close();
});

test('the only array needs no name; otherwise one is asked for', async () => {
  const path = put(zip({ name: 'whatever.npy', content: encodeNpy([2], Float32Array.of(1, 2)) }));
  const file = await openArrayFile(path, 'images');
  expect([...(await file.read(0, 2))]).toEqual([1, 2]);
  await file.close();
  await expect(openArrayFile(reference('stored'), 'mask')).rejects.toMatchObject({
    code: 'ERR_TRACIN_DATA',
    message: stringMatching(/holds no array mask \(it holds images, labels\): name one as .*#NAME$/),
  });
});

describe('archives that lie or are damaged are one line', () => {
  const content = encodeNpy([1000], Float32Array.from({ length: 1000 }, Math.sin));
  const whole = readFileSync(reference('deflated'));
  test.each([
    ['no archive', Buffer.from('not a zip'), 'is no zip archive or is truncated'],
    ['empty', Buffer.alloc(0), 'is no zip archive'],
    ['its end cut off', whole.subarray(0, whole.length - 30), 'is no zip archive or is truncated'],
    ['its beginning cut off', whole.subarray(100), 'truncated or damaged|its directory is damaged|does not begin'],
    [
      'more bytes than can be packed',
      zip({ content, method: 8, size: 0xfffffff0 }),
      'says 4294967280 bytes in \\d+, which the archive cannot hold',
    ],
    ['stored with two sizes', zip({ content, size: 8000 }), 'says 8000 bytes in 4128'],
    [
      'another size than the array has',
      zip({ content, method: 8, size: 8000 }),
      'shape \\(1000\\) of f4 needs 4000 bytes but the file holds 7872',
    ],
    ['a wrong checksum', zip({ content, method: 8, crc: 1234 }), 'is damaged or has another size'],
    ['an encrypted member', zip({ content, flags: 1 }), 'is encrypted'],
    ['an unknown method', zip({ content, method: 14 }), 'is packed by method 14'],
    ['no array', zip({ name: 'notes.txt', content }), 'holds no array images \\(it holds none\\)'],
  ])('%s', async (_, bytes, message) => {
    const error = (await openArrayFile(put(bytes), 'images').catch((cause: unknown) => cause)) as Error;
    expect(error).toMatchObject({ code: 'ERR_TRACIN_DATA', message: stringMatching(new RegExp(message)) });
    expect(error.message).not.toMatch(/\n/);
  });

  test('a bomb that is no array is not inflated', async () => {
    // 64 MiB of zeros in 64 KiB.
    const bomb = put(zip({ content: Buffer.alloc(64 << 20), method: 8 }));
    const before = process.memoryUsage().arrayBuffers;
    await expect(openArrayFile(bomb, 'images')).rejects.toMatchObject({ code: 'ERR_TRACIN_DATA', message: stringMatching(/magic/) });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(48 << 20);
  });

  test('no change of bytes does more than be refused', async () => {
    const changes = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(changes, async (edits) => {
        const bytes = Buffer.from(whole);
        for (const [at, value] of edits) bytes[at] = value;
        const path = put(bytes);
        const result = await openArrayFile(path, 'images').then(
          async (file) => {
            await file.close();
            return 'read';
          },
          (error: { code?: string }) => error.code,
        );
        expect(['read', 'ERR_TRACIN_DATA']).toContain(result);
      }),
      { numRuns: 150, seed: 5 },
    );
  });
});
