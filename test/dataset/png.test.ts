import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { encode } from 'fast-png';
import fc from 'fast-check';
import { encodeGreyPng, readPng, readPngHeader } from '../../lib/dataset/png';
import { crc32, png, stringMatching, temporaryFolder } from './support';

const dir = temporaryFolder();
let files = 0;
function put(bytes: Uint8Array): string {
  const path = join(dir, `image-${files++}.png`);
  writeFileSync(path, bytes);
  return path;
}

describe('pixels', () => {
  test.each([1, 2, 4, 8, 16])('grey of %i bits: rows are H, columns W, H fastest', async (bits) => {
    const [height, width] = [3, 5];
    const numbers = Array.from({ length: 15 }, (_, i) => (i * 7919) % 2 ** bits);
    const { header, pixels } = await readPng(put(png({ height, width, bits, samples: numbers })));
    expect([header.height, header.width, header.channels]).toEqual([3, 5, 1]);
    for (let h = 0; h < height; h++) for (let w = 0; w < width; w++) expect(pixels[w * height + h]).toBe(numbers[h * width + w]);
  });

  test('colours come apart, opacity is left out', async () => {
    const samples = Array.from({ length: 24 }, (_, i) => i);
    const colours = await readPng(put(png({ height: 2, width: 4, type: 2, samples })));
    expect([...colours.pixels]).toEqual([0, 1, 2].flatMap((c) => [0, 4, 1, 5, 2, 6, 3, 7].map((pixel) => 3 * pixel + c)));
    const clear = await readPng(put(png({ height: 2, width: 3, type: 6, samples })));
    expect([clear.header.channels, clear.pixels.length, clear.pixels[1]]).toEqual([3, 18, 12]);
    const grey = await readPng(put(png({ height: 2, width: 6, type: 4, samples })));
    expect([...grey.pixels.subarray(0, 3)]).toEqual([0, 12, 2]);
  });

  test('an indexed image gives its indices', async () => {
    const { header, pixels } = await readPng(put(png({ height: 1, width: 4, type: 3, bits: 2, samples: [3, 0, 1, 2] })));
    expect([header.kind, ...pixels]).toEqual(['indexed', 3, 0, 1, 2]);
  });

  test('what another encoder filtered is read, and what is written is read back', async () => {
    const data = Uint16Array.from({ length: 40 * 30 }, (_, i) => (i * i) % 65_521);
    const { pixels } = await readPng(put(encode({ width: 40, height: 30, data, channels: 1, depth: 16 })));
    expect(pixels[5 * 30 + 7]).toBe(data[7 * 40 + 5]);
    for (const most of [200, 20_000]) {
      const numbers = Int16Array.from({ length: 35 }, (_, i) => (i * most) / 34);
      const written = await readPng(put(await encodeGreyPng(numbers, 5, 7)));
      expect([...written.pixels]).toEqual([...numbers]);
      expect(written.header.bits).toBe(most > 255 ? 16 : 8);
    }
  });
});

describe('files that lie or are damaged are one line', () => {
  const whole = png({ height: 20, width: 20, samples: Array.from({ length: 400 }, (_, i) => i % 251) });
  const edited = (at: number, value: number): Buffer => {
    const bytes = Buffer.from(whole);
    bytes.writeUInt32BE(value, at);
    bytes.writeUInt32BE(crc32(bytes.subarray(12, 29)), 29);
    return bytes;
  };
  test.each([
    ['no PNG', Buffer.from('not an image'), 'does not begin as a PNG does'],
    ['empty', Buffer.alloc(0), 'does not begin as a PNG does'],
    ['truncated', whole.subarray(0, whole.length - 20), 'ends before the image does: the file is truncated'],
    ['a size that cannot be packed so small', edited(16, 100_000_000), 'size 100000000 × 20 does not fit the \\d+ bytes'],
    ['no pixels', edited(16, 0), 'size 0 × 20 does not fit'],
    ['more rows than it has', edited(20, 21), 'size 20 × 21 needs 441 bytes but the file holds 420'],
    ['fewer rows than it has', edited(20, 19), 'holds more than the 20 × 19 pixels it says'],
    ['interlaced', png({ height: 1, width: 1, samples: [1], interlaced: true }), 'is interlaced'],
    ['a colour type that is none', png({ height: 1, width: 1, samples: [1], type: 5 }), 'colour type 5 with 8 bits is no PNG'],
    ['a bomb', png({ height: 2, width: 2, samples: [], pixels: deflateSync(Buffer.alloc(64 << 20)) }), 'holds more than the 2 × 2 pixels'],
    [
      'a filter that is none',
      png({ height: 1, width: 2, samples: [], pixels: deflateSync(Buffer.from([9, 1, 2])) }),
      'the image is damaged \\(Unsupported filter',
    ],
    [
      'half an image',
      png({ height: 1, width: 2, samples: [], pixels: deflateSync(Buffer.from([0, 1, 2])).subarray(0, 6) }),
      'ends too early',
    ],
    ['a wrong checksum', Buffer.from(whole.map((byte, i) => (i === whole.length - 14 ? byte ^ 1 : byte))), 'damaged'],
  ])('%s', async (_, bytes, message) => {
    const error = (await readPng(put(bytes)).catch((cause: unknown) => cause)) as Error;
    expect(error).toMatchObject({ code: 'ERR_TRACIN_DATA', message: stringMatching(new RegExp(`image-\\d+.png: .*${message}`)) });
    expect(error.message).not.toMatch(/\n/);
  });

  test('a file that is not there', async () => {
    await expect(readPngHeader(join(dir, 'nothing.png'))).rejects.toMatchObject({ code: 'ERR_TRACIN_IO' });
    await expect(readPng(join(dir, 'nothing.png'))).rejects.toMatchObject({ code: 'ERR_TRACIN_IO' });
  });

  test('no change of bytes does more than be refused', async () => {
    const source = readFileSync(put(whole));
    const changes = fc.array(fc.tuple(fc.nat(source.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(changes, async (edits) => {
        const bytes = Buffer.from(source);
        for (const [at, value] of edits) bytes[at] = value;
        const result = await readPng(put(bytes)).then(
          () => 'read',
          (error: { code?: string }) => error.code,
        );
        expect(['read', 'ERR_TRACIN_DATA']).toContain(result);
      }),
      { numRuns: 150, seed: 5 },
    );
  });
});
