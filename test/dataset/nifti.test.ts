import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { composeAffine, rotationOf } from '../../lib/dataset/affine';
import { readNiftiHeader, readVolume } from '../../lib/dataset/nifti';
import { headerOf, newVolume, writeVolume } from '../../lib/dataset/nifti-writer';
import { rawNifti, stringMatching, temporaryFolder } from './support';

const dir = temporaryFolder();
let files = 0;
function put(bytes: Uint8Array, suffix = '.nii'): string {
  const path = join(dir, `file-${files++}${suffix}`);
  writeFileSync(path, bytes);
  return path;
}
const refusal = (field: string) => ({ code: 'ERR_TRACIN_DATA', message: stringMatching(new RegExp(`file-\\d+\\.nii.*: ${field}`)) });

describe('voxels', () => {
  const values = [0, 1, 2, 100, 127, 5];
  const shape = [3, 2, 1];
  test.each([2, 256, 4, 512, 8, 768, 16, 64, 1024, 1280])('datatype %i, both byte orders, plain and gzip', async (datatype) => {
    for (const bigEndian of [false, true]) {
      const bytes = rawNifti({ shape, datatype, bigEndian, voxels: values });
      expect([...(await readVolume(put(bytes))).voxels]).toEqual(values);
      expect([...(await readVolume(put(gzipSync(bytes), '.nii.gz'))).voxels]).toEqual(values);
    }
  });

  test('slope and intercept are applied, a slope of 0 or NaN means none', async () => {
    const scaled = await readVolume(put(rawNifti({ shape, voxels: values, slope: 0.5, inter: -3 })));
    expect([...scaled.voxels]).toEqual(values.map((value) => value * 0.5 - 3));
    for (const slope of [0, NaN])
      expect([...(await readVolume(put(rawNifti({ shape, voxels: values, slope, inter: 9 })))).voxels]).toEqual(values);
  });

  test('a voxel offset that is no multiple of the voxel size is read', async () => {
    const bytes = rawNifti({ shape, voxels: values });
    bytes.writeFloatLE(353, 108);
    const moved = Buffer.concat([bytes.subarray(0, 352), Buffer.alloc(1), bytes.subarray(352)]);
    expect([...(await readVolume(put(moved))).voxels]).toEqual(values);
  });

  test.each([NaN, Infinity, -Infinity])('%d is refused with its place', async (odd) => {
    const path = put(rawNifti({ shape, datatype: 16, voxels: [1, 1, 1, 1, odd, 1] }));
    await expect(readVolume(path)).rejects.toMatchObject(refusal('voxel \\(1, 1, 0\\) is'));
  });

  test('trailing axes of one are one volume, one more axis holds channels, two are refused', async () => {
    expect((await readVolume(put(rawNifti({ shape: [3, 2, 1, 1, 1], voxels: values })))).voxels).toHaveLength(6);
    for (const more of [[2], [1, 2]]) {
      const { header, voxels } = await readVolume(put(rawNifti({ shape: [3, 1, 1, ...more], voxels: values })));
      expect([header.shape, header.channels, [...voxels]]).toEqual([[3, 1, 1], 2, values]);
    }
    const several = rawNifti({ shape: [3, 2, 1, 1, 2, 2] });
    await expect(readVolume(put(several))).rejects.toMatchObject(refusal('dim \\[6, 3, 2, 1, 1, 2, 2\\]'));
    await expect(readVolume(put(rawNifti({ shape: [3, 2] })))).rejects.toMatchObject(refusal('dim'));
  });
});

describe('files that lie or are damaged', () => {
  const whole = gzipSync(rawNifti({ shape: [30, 30, 30], voxels: Array.from({ length: 27000 }, (_, i) => (i * 7919) % 997) }));

  test('truncated gzip', async () => {
    await expect(readVolume(put(whole.subarray(0, whole.length - 500), '.nii.gz'))).rejects.toMatchObject(
      refusal('gzip stream ends too early'),
    );
  });

  test('damaged gzip', async () => {
    const bytes = Buffer.from(whole);
    bytes.fill(0xff, 1000, 1100);
    await expect(readVolume(put(bytes, '.nii.gz'))).rejects.toMatchObject(refusal('gzip stream is damaged'));
  });

  test('truncated header and empty file', async () => {
    await expect(readNiftiHeader(put(rawNifti().subarray(0, 200)))).rejects.toMatchObject(refusal('header ends after 200'));
    await expect(readNiftiHeader(put(Buffer.alloc(0)))).rejects.toMatchObject(refusal('file is empty'));
    await expect(readNiftiHeader(put(Buffer.from('not an image at all')))).rejects.toMatchObject(refusal('sizeof_hdr'));
  });

  test('dims that need more than the file holds, even absurdly more, take no memory', async () => {
    const claim = (n: number) => rawNifti({ patch: (header) => [42, 44, 46].forEach((at) => header.setInt16(at, n, true)) });
    const before = process.memoryUsage().arrayBuffers;
    for (const n of [6, 600, 32767]) {
      await expect(readVolume(put(claim(n)))).rejects.toMatchObject(refusal('dim'));
      await expect(readVolume(put(gzipSync(claim(n)), '.nii.gz'))).rejects.toMatchObject(refusal('dim'));
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 << 20);
  });

  test('dims that say less than the file holds', async () => {
    const bytes = Buffer.concat([rawNifti(), Buffer.alloc(200_000)]);
    await expect(readVolume(put(bytes))).rejects.toMatchObject(refusal('dim says less'));
    await expect(readVolume(put(gzipSync(bytes), '.nii.gz'))).rejects.toMatchObject(refusal('dim says less'));
  });

  test('negative dims, wrong bitpix, offset inside the header, infinite scaling, affine that is not finite', async () => {
    const patched = (patch: (header: DataView) => void) => readVolume(put(rawNifti({ patch })));
    await expect(patched((header) => header.setInt16(44, -5, true))).rejects.toMatchObject(refusal('dim'));
    await expect(patched((header) => header.setInt16(72, 8, true))).rejects.toMatchObject(refusal('bitpix'));
    await expect(patched((header) => header.setFloat32(108, 100, true))).rejects.toMatchObject(refusal('vox_offset'));
    await expect(patched((header) => header.setFloat32(112, Infinity, true))).rejects.toMatchObject(refusal('scl_slope'));
    await expect(patched((header) => header.setFloat32(280, NaN, true))).rejects.toMatchObject(refusal('affine'));
  });

  test.each([
    [128, 'RGB'],
    [32, 'complex64'],
    [12345, 'unknown'],
  ])('datatype %i is refused by name', async (code, name) => {
    const path = put(rawNifti({ patch: (header) => header.setInt16(70, code, true) }));
    await expect(readVolume(path)).rejects.toMatchObject(refusal(`datatype ${code} \\(${name}\\)`));
  });

  test('a .hdr/.img pair, a foreign magic, a missing file', async () => {
    const magic = (text: string) => rawNifti({ patch: (header) => [...text].forEach((c, i) => header.setUint8(344 + i, c.charCodeAt(0))) });
    await expect(readVolume(put(magic('ni1')))).rejects.toMatchObject(refusal('magic ni1 means'));
    await expect(readVolume(put(magic('abc')))).rejects.toMatchObject(refusal('magic'));
    await expect(readVolume(join(dir, 'nothing.nii'))).rejects.toMatchObject({ code: 'ERR_TRACIN_IO' });
  });

  test('every message is one line', async () => {
    const error: unknown = await readVolume(put(rawNifti({ shape: [3, 2] }))).catch((cause: unknown) => cause);
    expect((error as Error).message).not.toMatch(/\n/);
  });
});

describe('affine', () => {
  const qform = { code: 2, quaternion: [0, 0, 1], offset: [7, 8, 9], qfac: -1 };
  test('sform first, else qform, else voxel sizes', async () => {
    const both = await readNiftiHeader(put(rawNifti({ qform, pixdim: [2, 3, 4] })));
    expect(both.affine).toEqual([-1, 0, 0, 3, 0, -1, 0, 4, 0, 0, 1, 0, 0, 0, 0, 1]);
    // (b, c, d) = (0, 0, 1) turns by 180° about z; qfac −1 flips the third axis.
    const onlyQ = await readNiftiHeader(put(rawNifti({ qform, pixdim: [2, 3, 4], sformCode: 0 })));
    expect(onlyQ.affine).toEqual([-2, 0, -0, 7, 0, -3, -0, 8, 0, 0, -4, 9, 0, 0, 0, 1]);
    const neither = await readNiftiHeader(put(rawNifti({ pixdim: [2, 3, 4], sformCode: 0 })));
    expect(neither.affine).toEqual([2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 4, 0, 0, 0, 0, 1]);
  });

  test('a header written for an affine has it as sform and as qform', async () => {
    const angle = fc.double({ min: -0.57, max: 0.57, noNaN: true });
    const edge = fc.double({ min: 0.3, max: 5, noNaN: true });
    await fc.assert(
      fc.asyncProperty(fc.tuple(angle, angle, angle), fc.tuple(edge, edge, edge), fc.boolean(), async (turn, edges, flip) => {
        const affine = composeAffine(rotationOf(...turn), [edges[0], edges[1], flip ? -edges[2] : edges[2]], [1, -2, 30]);
        const header = Buffer.from(await headerOf([4, 5, 3], affine));
        const volume = (bytes: Buffer) => put(Buffer.concat([bytes, Buffer.alloc(4)]));
        header.writeInt16LE(4, 70);
        header.writeInt16LE(16, 72);
        header.writeFloatLE(352, 108);
        const withVoxels = (bytes: Buffer) => volume(Buffer.concat([bytes, Buffer.alloc(120)]));
        const sform = (await readNiftiHeader(withVoxels(header))).affine;
        const onlyQ = Buffer.from(header);
        onlyQ.writeInt16LE(0, 254);
        const q = (await readNiftiHeader(withVoxels(onlyQ))).affine;
        for (let i = 0; i < 16; i++) {
          expect(Math.abs(sform[i]! - affine[i]!)).toBeLessThan(1e-5);
          expect(Math.abs(q[i]! - affine[i]!)).toBeLessThan(1e-4);
        }
      }),
      { numRuns: 50 },
    );
  });
});

describe('writing', () => {
  test('keeps every geometry field of a source where sform and qform disagree', async () => {
    const qform = { code: 2, quaternion: [0.1, 0.2, 0.3], offset: [7, 8, 9], qfac: -1 };
    for (const bigEndian of [false, true]) {
      const source = await readNiftiHeader(put(rawNifti({ qform, pixdim: [2, 3, 4], bigEndian })));
      const volume = await newVolume(source.bytes, 'float32', 'a map');
      volume.voxels[7] = 2.5;
      const path = join(dir, `written-${String(bigEndian)}.nii.gz`);
      await writeVolume(path, volume);
      const written = await readVolume(path);
      expect(written.header.shape).toEqual(source.shape);
      expect(written.header.affine).toEqual(source.affine);
      expect(written.voxels[7]).toBe(2.5);
      // pixdim, units, codes, quaternion, offsets and sform rows, as a little-endian header has them.
      const expected = rawNifti({ qform, pixdim: [2, 3, 4] });
      for (const [from, to] of [
        [76, 108],
        [123, 124],
        [252, 328],
      ] as const) {
        expect(Buffer.from(written.header.bytes.subarray(from, to))).toEqual(expected.subarray(from, to));
      }
    }
  });

  test('NIfTI-2 in, NIfTI-2 out', async () => {
    const bytes = Buffer.alloc(544 + 12);
    bytes.writeInt32LE(540, 0);
    Buffer.from([0x6e, 0x2b, 0x32, 0, 0x0d, 0x0a, 0x1a, 0x0a]).copy(bytes, 4);
    bytes.writeInt16LE(4, 12);
    bytes.writeInt16LE(16, 14);
    [3, 3, 2, 1, 1, 1, 1, 1].forEach((n, i) => bytes.writeBigInt64LE(BigInt(n), 16 + 8 * i));
    [1, 2, 2, 2].forEach((edge, i) => bytes.writeDoubleLE(edge, 104 + 8 * i));
    bytes.writeBigInt64LE(544n, 168);
    bytes.writeDoubleLE(1, 176);
    bytes.writeInt32LE(1, 348);
    [2, 0, 0, 5, 0, 2, 0, 6, 0, 0, 2, 7].forEach((value, i) => bytes.writeDoubleLE(value, 400 + 8 * i));
    [9, 8, 7, 6, 5, 4].forEach((value, i) => bytes.writeInt16LE(value, 544 + 2 * i));
    const source = await readVolume(put(bytes));
    expect([...source.voxels]).toEqual([9, 8, 7, 6, 5, 4]);
    const copy = await newVolume(source.header.bytes, 'uint8', 'labels');
    copy.voxels.set([1, 2, 3]);
    await writeVolume(join(dir, 'two.nii'), copy);
    const written = await readVolume(join(dir, 'two.nii'));
    expect(written.header.bytes.subarray(0, 12)).toEqual(Uint8Array.from(bytes.subarray(0, 12)));
    expect(written.header.affine).toEqual([2, 0, 0, 5, 0, 2, 0, 6, 0, 0, 2, 7, 0, 0, 0, 1]);
    expect([...written.voxels]).toEqual([1, 2, 3, 0, 0, 0]);
  });
});
