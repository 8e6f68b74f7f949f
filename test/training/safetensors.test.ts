import { appendFile, mkdtemp, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { replaceFile } from '../../lib/files';
import { readSafetensors, safetensorsChunks } from '../../lib/training/safetensors';

describe('safetensors', () => {
  let dir: string;
  beforeEach(async () => (dir = await mkdtemp(join(tmpdir(), 'tracin-'))));
  afterEach(() => rm(dir, { recursive: true }));

  const arrays = new Map<string, Float32Array | Float64Array>([
    ['network/conv.weight', Float32Array.of(1.5, -2, 3e-30)],
    ['optimiser/m/ünïcode', Float64Array.of(Math.PI)],
    ['empty', new Float32Array(0)],
  ]);

  it('gives back what was written, bit by bit', async () => {
    const path = join(dir, 'a.safetensors');
    await replaceFile(path, safetensorsChunks({ arrays, metadata: { epoch: '3' } }));
    const read = await readSafetensors(path);
    expect(read.metadata).toEqual({ epoch: '3' });
    expect([...read.arrays]).toEqual([...arrays]);
  });

  it('has the layout of the format: 8 bytes of length, JSON, little-endian numbers', () => {
    const bytes = Buffer.concat(safetensorsChunks({ arrays: new Map([['w', Float32Array.of(1, 2)]]), metadata: {} }));
    const length = Number(bytes.readBigUInt64LE(0));
    expect(length % 8).toBe(0);
    expect(JSON.parse(bytes.toString('utf8', 8, 8 + length))).toEqual({
      __metadata__: {},
      w: { dtype: 'F32', shape: [2], data_offsets: [0, 8] },
    });
    expect([bytes.readFloatLE(8 + length), bytes.readFloatLE(12 + length), bytes.length]).toEqual([1, 2, 16 + length]);
  });

  it.each([
    ['cut off in its numbers', async (path: string) => truncate(path, (await stat(path)).size - 1)],
    ['longer than its header says', (path: string) => appendFile(path, 'x')],
    ['cut off in its header', (path: string) => truncate(path, 40)],
    ['empty', (path: string) => truncate(path, 0)],
    ['something else', (path: string) => writeFile(path, Buffer.alloc(64))],
  ])('refuses a file that is %s', async (_, damage) => {
    const path = join(dir, 'a.safetensors');
    await replaceFile(path, safetensorsChunks({ arrays, metadata: {} }));
    await damage(path);
    await expect(readSafetensors(path)).rejects.toMatchObject({
      code: 'ERR_TRACIN_STUDY',
      message: expect.stringContaining(path) as string,
    });
  });
});
