/** Files are written aside and renamed, so a name either holds a whole file or nothing new. */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { access, constants, link, mkdir, open, readdir, rename, rm, rmdir, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { TracinError } from './errors';

const NOT_A_FOLDER = 'a part of the path is not a folder: check the path';
const ADVICE: Record<string, string> = {
  ENOSPC: 'the disk is full: free some space and run again',
  EDQUOT: 'the disk quota is used up: free some space and run again',
  EFBIG: 'it would grow larger than files may be here: choose another folder, or raise `ulimit -f`',
  EACCES: 'permission denied: choose a folder you may write to',
  EPERM: 'permission denied: choose a folder you may write to',
  EROFS: 'the file system is read-only: choose another folder',
  ENOENT: 'it does not exist: check the path',
  EISDIR: 'it is a folder: name a file',
  ENOTDIR: NOT_A_FOLDER,
  EEXIST: NOT_A_FOLDER, // where a folder is to be made
  ELOOP: 'its links lead in a circle: check the path',
  EMFILE: 'too many open files: raise `ulimit -n`',
};

/** Turns a Node file error into one line with the path and the advice. */
export function fileError(error: unknown, doing: string, path: string): TracinError {
  if (error instanceof TracinError) return error;
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const reason = ADVICE[code] ?? (error instanceof Error ? error.message : String(error));
  return new TracinError('ERR_TRACIN_IO', `cannot ${doing} ${path}: ${reason}`, { cause: error });
}

/** Makes a folder and those above it; fails with Node's error, see {@link fileError}. @returns the first that was not there */
export async function makeFolder(path: string): Promise<string | undefined> {
  // One by one: Node's `recursive` tries for ever where a folder that is there can hold no other, as in /proc or under an automount, and says
  // ENOENT of much else that stands against it, such as a read-only file system or a full quota.
  try {
    return (await makeOne(path)) ? path : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(path) === path) throw error;
  }
  const first = await makeFolder(dirname(path));
  return (await makeOne(path)) ? (first ?? path) : first;
}

/** Whether it was made; false where it is there. */
async function makeOne(path: string): Promise<boolean> {
  try {
    await mkdir(path);
    return true;
  } catch (error) {
    const there = await stat(path).catch(() => undefined);
    if (there?.isDirectory()) return false;
    throw error;
  }
}

/** Removes what {@link makeFolder} made, up to the first folder, where nothing lies in it. */
export async function unmakeFolder(path: string, first: string | undefined): Promise<void> {
  if (first === undefined) return;
  const removed = await rmdir(path).then(
    () => true,
    () => false,
  );
  if (removed && path !== first) await unmakeFolder(dirname(path), first);
}

/**
 * Tells before hours of work whether a file can be written at their end; makes its folder.
 * @throws ERR_TRACIN_IO
 */
export async function assertWritable(path: string): Promise<void> {
  try {
    await makeFolder(dirname(path));
    await access(dirname(path), constants.W_OK);
    const there = await stat(path).catch(() => undefined); // mostly there is none yet
    if (there?.isDirectory()) throw Object.assign(new Error(path), { code: 'EISDIR' });
  } catch (error) {
    throw fileError(error, 'write', path);
  }
}

/** Replaces `path` by `chunks` in one rename; on any failure the old content stays and nothing is left beside it. */
export async function replaceFile(path: string, chunks: Chunks): Promise<void> {
  await write(path, chunks, (aside) => rename(aside, path));
}

/** As {@link replaceFile}, unless there is such a file already. @returns whether it was this call that wrote it */
export async function createFile(path: string, chunks: Chunks): Promise<boolean> {
  let first = true;
  await write(path, chunks, async (aside) => {
    await link(aside, path).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') first = false;
      else await rename(aside, path); // a file system without hard links
    });
    await rm(aside, { force: true });
  });
  return first;
}

/** Removes a file, if there is one. */
export async function removeFile(path: string): Promise<void> {
  await rm(path, { force: true }).catch((error: unknown) => {
    throw fileError(error, 'remove', path);
  });
}

/** What a file is to hold. */
export type Chunks = string | Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

async function write(path: string, chunks: Chunks, settle: (aside: string) => Promise<void>): Promise<void> {
  const aside = `${path}.partial-${MACHINE}-${process.pid}-${randomBytes(3).toString('hex')}`;
  try {
    await makeFolder(dirname(path));
    await sweepOnce(dirname(path));
    const file = await open(aside, 'w');
    try {
      if (typeof chunks === 'string' || chunks instanceof Uint8Array) await file.writeFile(chunks);
      else for await (const chunk of chunks) await file.writeFile(chunk);
      await file.sync();
    } finally {
      await file.close();
    }
    await settle(aside);
  } catch (error) {
    await rm(aside, { force: true }).catch(() => undefined);
    throw fileError(error, 'write', path);
  }
}

/** Where numbers of processes are told apart: this machine since it started, or this container of it. Several may write to one folder. */
const MACHINE = createHash('sha256').update(`${hostname()} ${runningSystem()}`).digest('hex').slice(0, 6);

/** What tells hosts of one name apart, on Linux. */
function runningSystem(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8') + readlinkSync('/proc/self/ns/pid');
  } catch {
    return '';
  }
}

/** Milliseconds after which a file that is written aside elsewhere, and has not grown since, is of a process that was killed. */
const ABANDONED = 24 * 3600_000;
const swept = new Set<string>();

/** Removes what killed processes were writing aside in a folder; once, for many files may come to lie in it. */
async function sweepOnce(dir: string): Promise<void> {
  if (swept.has(dir)) return;
  swept.add(dir);
  for (const name of await readdir(dir).catch(() => [])) {
    const [, machine, pid] = /\.partial-(?:([0-9a-f]{6})-(\d+)-)?[0-9a-f]+$/.exec(name) ?? ['', '', ''];
    if (machine === '') continue;
    const path = join(dir, name);
    const dead = machine === MACHINE ? !isAlive(Number(pid)) : await isAbandoned(path);
    if (dead) await rm(path, { force: true }).catch(() => undefined); // of another user
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

async function isAbandoned(path: string): Promise<boolean> {
  const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Infinity })); // gone by now
  return Date.now() - mtimeMs > ABANDONED;
}
