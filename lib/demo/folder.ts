/** The folder of a demo: whose it is, and what an earlier run left in it. */
import { readdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { TracinError } from '../errors';
import { fileError, replaceFile } from '../files';
import { readJson, toJson } from '../json';
import type { Recipe } from './recipe';

const FORMAT_VERSION = 1;
const schema = z.strictObject({ formatVersion: z.literal(FORMAT_VERSION), tool: z.string(), engine: z.string(), recipe: z.json() });

export type DemoState = 'new' | 'resumed' | 'restarted';

export function demoPaths(out: string) {
  const dir = resolve(out);
  const networks = join(dir, 'networks');
  return {
    dir,
    record: join(dir, 'demo.json'),
    patients: join(dir, 'patients'),
    networks,
    page: join(dir, 'index.html'),
    network: (name: string) => ({
      run: join(networks, name, 'run'),
      predicted: join(networks, name, 'predicted'),
      study: join(networks, name, 'study'),
    }),
  };
}

/**
 * Takes a folder for a demo. What an unfinished or finished demo of the same recipe left stays and is gone on with; what one of another
 * recipe, version or engine left is removed.
 * @throws ERR_TRACIN_USAGE a folder with other things in it
 */
export async function claimFolder(
  out: string,
  asked: { readonly tool: string; readonly engine: string; readonly recipe: Recipe },
): Promise<DemoState> {
  const paths = demoPaths(out);
  const record = { formatVersion: FORMAT_VERSION, ...asked };
  const before = await readJson(paths.record, schema, FORMAT_VERSION, 'remove the folder and run the demo again');
  if (before && toJson(before) === toJson(schema.parse(record))) return 'resumed';
  if (!before) await assertEmpty(paths.dir);
  // The record goes last, so that an interruption here leaves a folder that is still known.
  for (const path of [paths.page, paths.networks, paths.patients]) {
    await rm(path, { recursive: true, force: true }).catch((error: unknown) => {
      throw fileError(error, 'remove', path);
    });
  }
  await replaceFile(paths.record, toJson(record));
  return before ? 'restarted' : 'new';
}

async function assertEmpty(dir: string): Promise<void> {
  const entries = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw fileError(error, 'read', dir);
  });
  if (entries.length > 0)
    throw new TracinError('ERR_TRACIN_USAGE', `${dir}: holds ${entries[0]} and is no folder of a demo: choose an empty one with --out`);
}
