import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TileFolder } from '../../lib/influence/tiles';

test('a tile is whole and of its study, or is not there', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tracin-tiles-'));
  const tiles = new TileFolder(dir, 'a study');
  const path = join(dir, 'one.tile');
  expect(await tiles.has('one.tile', 12)).toBe(false);
  await tiles.write('one.tile', Uint32Array.of(7), Float32Array.of(-2, 3e-20));
  expect(await tiles.has('one.tile', 12)).toBe(true);
  expect(await tiles.read('one.tile', 0, new Uint32Array(1))).toEqual(Uint32Array.of(7));
  expect(await tiles.numbers('one.tile', 1, 2)).toEqual(Float32Array.of(-2, 3e-20));
  expect(await tiles.has('one.tile', 8)).toBe(false);
  expect(await new TileFolder(dir, 'another').has('one.tile', 12)).toBe(false);
  const bytes = await readFile(path);
  bytes[5]! ^= 1;
  await writeFile(path, bytes);
  expect(await tiles.has('one.tile', 12)).toBe(false);
  bytes[5]! ^= 1;
  await writeFile(path, bytes);
  expect(await tiles.has('one.tile', 12)).toBe(true);
  await truncate(path, 40);
  expect(await tiles.has('one.tile', 12)).toBe(false);
  await truncate(path, 10);
  await expect(tiles.numbers('one.tile', 1, 2)).rejects.toMatchObject({ code: 'ERR_TRACIN_STUDY' });
  await rm(path);
  await expect(tiles.numbers('one.tile', 1, 2)).rejects.toMatchObject({
    code: 'ERR_TRACIN_STUDY',
    message: expect.stringContaining('another process may have completed the study') as string,
  });
  await rm(dir, { recursive: true });
});
