import { appendFile, mkdtemp, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { TracinError } from '../../lib/errors';
import { replaceFile } from '../../lib/files';
import { openSafetensors, safetensorsChunks, type SafetensorsArray } from '../../lib/graph/safetensors';
import { safetensors } from '../support/safetensors';

/** The slow suite looks at more. */
const MUTATIONS = process.env.TRACIN_SLOW ? 10_000 : 300;

let dir: string;
let path: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tracin-'));
  path = join(dir, 'a.safetensors');
});
afterAll(() => rm(dir, { recursive: true }));

const arrays = new Map<string, SafetensorsArray>([
  ['network/conv.weight', Float32Array.of(1.5, -2, 3e-30)],
  ['optimiser/m/ünïcode: "quoted"', Float64Array.of(Math.PI)],
  ['empty', new Float32Array(0)],
]);

async function readAll(file: string): Promise<{ metadata: unknown; arrays: [string, SafetensorsArray][] }> {
  const opened = await openSafetensors(file);
  try {
    const all: [string, SafetensorsArray][] = [];
    for (const name of opened.tensors.keys()) all.push([name, await opened.read(name)]);
    return { metadata: opened.metadata, arrays: all };
  } finally {
    await opened.close();
  }
}

async function refusal(file: string): Promise<string> {
  const error: unknown = await readAll(file).catch((cause: unknown) => cause);
  expect(error).toMatchObject({ code: 'ERR_TRACIN_CHECKPOINT' });
  const { message } = error as Error;
  expect(message.startsWith(`${file}: `)).toBe(true);
  expect(message).not.toContain('\n');
  return message.slice(file.length + 2);
}

test('gives back what was written, bit by bit', async () => {
  await replaceFile(path, safetensorsChunks(arrays, { epoch: '3' }));
  expect(await readAll(path)).toEqual({ metadata: { epoch: '3' }, arrays: [...arrays] });
});

test('has the layout of the format: 8 bytes of length, JSON, little-endian numbers', () => {
  const bytes = Buffer.concat(safetensorsChunks(new Map([['w', Float32Array.of(1, 2)]])));
  const length = Number(bytes.readBigUInt64LE(0));
  expect(length % 8).toBe(0);
  expect(JSON.parse(bytes.toString('utf8', 8, 8 + length))).toEqual({
    __metadata__: {},
    w: { dtype: 'F32', shape: [2], data_offsets: [0, 8] },
  });
  expect([bytes.readFloatLE(8 + length), bytes.readFloatLE(12 + length), bytes.length]).toEqual([1, 2, 16 + length]);
});

test('reads what torch saves: every floating type; others are listed, not read', async () => {
  const file = await openSafetensors(join(__dirname, 'reference', 'state-dict.safetensors'));
  const exact = Array.from({ length: 6 }, (_, i) => (i - 2.5) / 3);
  expect(file.metadata).toEqual({ format: 'pt' });
  expect(Object.fromEntries(file.tensors)).toMatchObject({
    half: { dtype: 'F16', shape: [2, 3] },
    brain: { dtype: 'BF16', shape: [3, 2] },
    double: { dtype: 'F64', shape: [1, 6, 1, 1] },
    'norm.num_batches_tracked': { dtype: 'I64', shape: [] },
    flags: { dtype: 'BOOL', shape: [2] },
  });
  expect(await file.read('double')).toEqual(Float64Array.from(exact));
  expect(await file.read('single')).toEqual(Float32Array.from(exact));
  for (const [name, digits] of [
    ['half', 11],
    ['brain', 8],
  ] as const) {
    const read = await file.read(name);
    // Rounded to that many binary digits.
    expect(read.every((value, i) => Math.abs(value / exact[i]! - 1) <= 2 ** -digits)).toBe(true);
    expect([...read]).not.toEqual(exact.map(Math.fround));
  }
  await expect(file.read('flags')).rejects.toMatchObject({
    code: 'ERR_TRACIN_CHECKPOINT',
    message: expect.stringContaining('is BOOL') as string,
  });
  await expect(file.read('other')).rejects.toMatchObject({ message: expect.stringContaining("no tensor 'other'") as string });
  await file.close();
});

test.each([
  ['cut off in its numbers', async () => truncate(path, (await stat(path)).size - 1)],
  ['longer than its header says', () => appendFile(path, 'x')],
  ['cut off in its header', () => truncate(path, 40)],
  ['empty', () => truncate(path, 0)],
  ['something else', () => writeFile(path, Buffer.alloc(64))],
])('refuses a file that is %s', async (_, damage) => {
  await replaceFile(path, safetensorsChunks(arrays));
  await damage();
  expect(await refusal(path)).toMatch(/no whole safetensors file, save or copy it again$/);
});

const tensor = (from: number, to: number, shape: unknown = [(to - from) / 4], dtype = 'F32'): object => ({
  dtype,
  shape,
  data_offsets: [from, to],
});

test.each<[string, unknown, bigint | undefined, RegExp]>([
  ['a header longer than memory', {}, 2n ** 63n, /says its header has 9223372036854775808 bytes/],
  ['a header that is a list', [], undefined, /not a JSON object/],
  ['deep nesting', '['.repeat(200_000), undefined, /not JSON/],
  ['bad JSON', '{"a":', undefined, /not JSON/],
  ['a name twice', `{"a":${JSON.stringify(tensor(0, 8))},"a":${JSON.stringify(tensor(0, 8))}}`, undefined, /name stands twice/],
  ['a field twice', '{"a":{"dtype":"F64","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', undefined, /name stands twice/],
  ['an unknown type', { a: tensor(0, 8, [2], 'F31') }, undefined, /tensor 'a' in an unknown form \(dtype\)/],
  ['a negative size', { a: tensor(0, 8, [-2]) }, undefined, /tensor 'a' in an unknown form/],
  ['a size that is none', { a: tensor(0, 8, ['2']) }, undefined, /tensor 'a' in an unknown form/],
  ['an extra field', { a: { ...tensor(0, 8), stride: [1] } }, undefined, /tensor 'a' in an unknown form/],
  ['metadata of numbers', { __metadata__: { epoch: 1 }, a: tensor(0, 8) }, undefined, /metadata/],
  ['other bytes than dims × type', { a: tensor(0, 8, [3]) }, undefined, /'a' 8 bytes where \[3\] F32 needs 12/],
  ['dims beyond numbers', { a: tensor(0, 8, [1e15, 1e15]) }, undefined, /'a' 8 bytes where/],
  ['an end before its begin', { a: tensor(8, 0, [0]) }, undefined, /'a' -8 bytes/],
  ['numbers beyond the file', { a: tensor(0, 4e12) }, undefined, /places tensor 'a' at bytes 0 to 4000000000000 of 8/],
  ['overlapping numbers', { a: tensor(0, 8), b: tensor(4, 8) }, undefined, /over each other at tensor 'b'/],
  ['a gap', { a: tensor(4, 8) }, undefined, /leaves a gap at tensor 'a'/],
  ['numbers that nobody has', { a: tensor(0, 4) }, undefined, /has 8 bytes of numbers, its header describes 4/],
])('refuses %s in one line', async (_, header, length, message) => {
  await writeFile(path, safetensors(header, new Uint8Array(8), length));
  expect(await refusal(path)).toMatch(message);
});

test('mutated files end in one line or in numbers that are there', async () => {
  const whole = Buffer.concat(safetensorsChunks(arrays, { epoch: '3' }));
  const random = xoroshiro128plus(7);
  const below = (limit: number): number => uniformInt(random, 0, limit - 1);
  const outcomes = { read: 0, refused: 0 };
  for (let i = 0; i < MUTATIONS; i++) {
    const bytes = Buffer.from(whole);
    const changes = 1 + below(2);
    for (let change = 0; change < changes; change++) bytes[below(i % 3 === 0 ? 12 : bytes.length)] = below(256);
    await writeFile(path, i % 5 === 0 ? bytes.subarray(0, below(bytes.length)) : bytes);
    try {
      const { arrays: read } = await readAll(path);
      expect(read.reduce((sum, [, { byteLength }]) => sum + byteLength, 0)).toBeLessThanOrEqual(bytes.length);
      outcomes.read++;
    } catch (error) {
      if (!(error instanceof TracinError)) throw new Error(`mutation ${i}: ${(error as Error).stack}`, { cause: error });
      expect(error.code).toBe('ERR_TRACIN_CHECKPOINT');
      outcomes.refused++;
    }
  }
  expect(outcomes.read).toBeGreaterThan(20);
  expect(outcomes.refused).toBeGreaterThan(100);
});
