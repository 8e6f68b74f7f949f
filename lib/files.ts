/** Files are written aside and renamed, so a name either holds a whole file or nothing new. */
import { open, rename, rm, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { TracinError } from './errors';

const ADVICE: Record<string, string> = {
  ENOSPC: 'the disk is full: free some space and run again',
  EDQUOT: 'the disk quota is used up: free some space and run again',
  EACCES: 'permission denied: choose a folder you may write to',
  EPERM: 'permission denied: choose a folder you may write to',
  EROFS: 'the file system is read-only: choose another folder',
  ENOENT: 'it does not exist: check the path',
  EISDIR: 'it is a folder: name a file',
  ENOTDIR: 'a part of the path is not a folder: check the path',
  EMFILE: 'too many open files: raise `ulimit -n`',
};

/** Turns a Node file error into one line with the path and the advice. */
export function fileError(error: unknown, doing: string, path: string): TracinError {
  if (error instanceof TracinError) return error;
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const reason = ADVICE[code] ?? (error instanceof Error ? error.message : String(error));
  return new TracinError('ERR_TRACIN_IO', `cannot ${doing} ${path}: ${reason}`, { cause: error });
}

/** Replaces `path` by `chunks` in one rename; on any failure the old content stays and nothing is left beside it. */
export async function replaceFile(
  path: string,
  chunks: string | Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  const aside = `${path}.partial-${process.pid}`;
  try {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(aside, 'w');
    try {
      if (typeof chunks === 'string' || chunks instanceof Uint8Array) await file.writeFile(chunks);
      else for await (const chunk of chunks) await file.writeFile(chunk);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(aside, path);
  } catch (error) {
    await rm(aside, { force: true }).catch(() => undefined);
    throw fileError(error, 'write', path);
  }
}
