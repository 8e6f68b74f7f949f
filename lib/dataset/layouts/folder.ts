/** Listing folders, the same way for every layout: entries whose names begin with a dot are not data. */
import type { Dirent } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { TracinError } from '../../errors';
import { fileError } from '../../files';

async function entries(dir: string): Promise<Dirent[]> {
  const found = await readdir(dir, { withFileTypes: true }).catch((error: unknown) => {
    throw fileError(error, 'read', dir);
  });
  return found.filter((entry) => !entry.name.startsWith('.'));
}

/** Names of the folders (and links to folders) in `dir`. */
export async function folders(dir: string): Promise<string[]> {
  const isFolder = async (entry: Dirent): Promise<boolean> =>
    entry.isDirectory() || (entry.isSymbolicLink() && (await stat(join(dir, entry.name)).catch(() => undefined))?.isDirectory() === true);
  const found = await entries(dir);
  const kept = await Promise.all(found.map(isFolder));
  return found.filter((_, i) => kept[i]).map((entry) => entry.name);
}

/** Names of all that lies in `dir`. */
export async function names(dir: string): Promise<Set<string>> {
  return new Set((await entries(dir)).map((entry) => entry.name));
}

/** The same, empty where there is no such folder. */
export async function namesIfThere(dir: string): Promise<Set<string>> {
  return (await isFolder(dir)) ? names(dir) : new Set();
}

export async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true;
}

export async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() === true;
}

export async function readText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((error: unknown) => {
    throw fileError(error, 'read', path);
  });
}

/** @throws ERR_TRACIN_DATA when the file is not JSON */
export async function readJsonText(path: string): Promise<unknown> {
  const text = await readText(path);
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (cause) {
    throw new TracinError('ERR_TRACIN_DATA', `${path}: is not JSON: ${(cause as Error).message.replaceAll(/\s+/g, ' ')}`, { cause });
  }
}
