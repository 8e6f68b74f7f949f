import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import fc from 'fast-check';
import { encodeNpy, openNpy, readNpy, writeNpy } from '../../lib/npy';
import { stringContaining, temporaryFolder } from './support';

const dir = temporaryFolder();
let files = 0;
function put(bytes: Uint8Array): string {
  const path = join(dir, `array-${files++}.npy`);
  writeFileSync(path, bytes);
  return path;
}

/** A header as numpy writes it, with any of its parts changed. */
function npy(parts: { descr?: string; fortran?: string; shape?: string; data?: Uint8Array; version?: number; header?: string }): Buffer {
  const { descr = "'<f4'", fortran = 'False', shape = '(2, 3)', data = new Uint8Array(24), version = 1 } = parts;
  const header = parts.header ?? `{'descr': ${descr}, 'fortran_order': ${fortran}, 'shape': ${shape}, }\n`;
  const start = Buffer.alloc(version === 1 ? 10 : 12);
  start.write('\x93NUMPY', 'latin1');
  start[6] = version;
  if (version === 1) start.writeUInt16LE(header.length, 8);
  else start.writeUInt32LE(header.length, 8);
  return Buffer.concat([start, Buffer.from(header, 'latin1'), data]);
}

test.each(['<f4', '>f4', '<f8', '>f8', '|i1', '<i2', '>i2', '<i4', '<i8', '>i8', '|u1', '<u2', '>u4', '<u8', '|b1'])(
  'reads what numpy wrote as %s',
  async (descr) => {
    // arrays.py beside these files made them: numpy.arange(6).reshape(2, 3).astype(descr), bool for b1.
    const name = descr.replace('<', 'little-').replace('>', 'big-').replace('|', '');
    const { shape, data, dtype } = await readNpy(resolve(__dirname, 'reference', `${name}.npy`));
    expect(dtype).toBe(descr.slice(1));
    expect(shape).toEqual([2, 3]);
    expect([...data].map(Number)).toEqual(descr === '|b1' ? [0, 1, 1, 1, 1, 1] : [0, 1, 2, 3, 4, 5]);
  },
);

test('writes the bytes numpy writes', () => {
  const reference = (name: string) => new Uint8Array(readFileSync(resolve(__dirname, 'reference', `${name}.npy`)));
  const count = [0, 1, 2, 3, 4, 5];
  expect(new Uint8Array(encodeNpy([2, 3], Float32Array.from(count)))).toEqual(reference('little-f4'));
  expect(new Uint8Array(encodeNpy([2, 3], Uint8Array.from(count)))).toEqual(reference('u1'));
  expect(new Uint8Array(encodeNpy([2, 3], Int16Array.from(count)))).toEqual(reference('little-i2'));
  expect(new Uint8Array(encodeNpy([], Float64Array.of(7)))).toEqual(reference('scalar'));
  expect(new Uint8Array(encodeNpy([6], Float64Array.from(count)))).toEqual(reference('vector'));
});

test('versions 2 and 3 of the format', async () => {
  for (const version of [2, 3]) expect((await readNpy(put(npy({ version })))).shape).toEqual([2, 3]);
});

test('any range of rows is the same as that part of the whole', async () => {
  const rows = fc.tuple(fc.nat(7), fc.nat(7)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
  const values = Float32Array.from({ length: 7 * 6 }, (_, i) => i / 3);
  const path = join(dir, 'rows.npy');
  await writeNpy(path, [7, 2, 3], values);
  const file = await openNpy(path);
  await fc.assert(
    fc.asyncProperty(rows, async ([start, end]) => {
      expect(await file.read(start, end)).toEqual(values.slice(start * 6, end * 6));
    }),
  );
  await expect(file.read(3, 8)).rejects.toMatchObject({ code: 'ERR_TRACIN_USAGE', message: stringContaining('7 rows') });
  await file.close();
});

test.each([
  ['magic', Buffer.from('no array at all')],
  ['magic', Buffer.alloc(3)],
  ['version', npy({ version: 9 })],
  ['header length', (() => npy({}).fill(0xff, 8, 10))()],
  ['descr', npy({ descr: "'<f2'" })],
  ['descr', npy({ descr: "'<c8'" })],
  ['descr', npy({ descr: "[('a', '<f4')]" })],
  ['fortran_order', npy({ fortran: 'True' })],
  ['fortran_order', npy({ fortran: 'perhaps' })],
  ['shape', npy({ shape: '(2, 4)' })],
  ['shape', npy({ shape: '(2, 2)' })],
  ['shape', npy({ shape: '(9007199254740993, 9007199254740993)' })],
  ['shape', npy({ shape: '(-2, 3)' })],
  ['shape', npy({ shape: '2' })],
  ['shape', npy({ data: new Uint8Array(20) })],
])('%s that cannot be is refused by name', async (field, bytes) => {
  const path = put(bytes);
  await expect(readNpy(path)).rejects.toMatchObject({ code: 'ERR_TRACIN_DATA', message: stringContaining(`${path}: ${field} `) });
});

test('a missing file says so', async () => {
  await expect(readNpy(join(dir, 'nothing.npy'))).rejects.toMatchObject({
    code: 'ERR_TRACIN_IO',
    message: stringContaining('nothing.npy'),
  });
});
