import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readTile, tilePath, writeTile } from '../../lib/influence/tiles';

test('a tile is whole or is not there', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tracin-tiles-'));
  const path = tilePath(dir, { checkpoint: 1, pass: 0, start: 64 });
  expect(path).not.toBe(tilePath(dir, { checkpoint: 1, pass: 0, start: undefined }));
  expect(await readTile(path, 3)).toBeUndefined();
  const numbers = Float32Array.of(1.5, -2, 3e-20);
  await writeTile(path, numbers);
  expect(await readTile(path, 3)).toEqual(numbers);
  expect(await readTile(path, 2)).toBeUndefined();
  const bytes = await readFile(path);
  bytes[5]! ^= 1;
  await writeFile(path, bytes);
  expect(await readTile(path, 3)).toBeUndefined();
  await writeTile(path, numbers);
  await truncate(path, 40);
  expect(await readTile(path, 3)).toBeUndefined();
  await rm(dir, { recursive: true });
});
