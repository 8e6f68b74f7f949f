/** Files that several processes read and replace: changed in turns, so that no change is lost. */
import { mkdir, rmdir, stat, utimes } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileError, makeFolder, replaceFile, type Chunks } from './files';

/**
 * Replaces `path` by what `change` makes of what it holds by then. Changes that come at once, from other processes too, wait for one another, so
 * that none is lost.
 */
export async function changeFile(path: string, change: () => Promise<Chunks>): Promise<void> {
  const lock = `${path}.lock`;
  try {
    await makeFolder(dirname(path));
    await acquire(lock);
  } catch (error) {
    throw fileError(error, 'write', path);
  }
  const renewing = setInterval(() => void renew(lock), FORSAKEN / 10).unref();
  try {
    await replaceFile(path, await change());
  } finally {
    clearInterval(renewing);
    await release(lock);
  }
}

/** Milliseconds after which a lock that nobody renews is of a process that was killed. */
const FORSAKEN = 20_000;

/** Makes the folder `lock`, which only one process can. Times are of this machine's clock alone: a file server's may differ. */
async function acquire(lock: string): Promise<void> {
  let [renewed, since] = [0, Date.now()];
  for (;;) {
    const error = await mkdir(lock).then(
      () => undefined,
      (reason: NodeJS.ErrnoException) => reason,
    );
    if (!error) return;
    if (error.code !== 'EEXIST') throw error;
    const { ctimeMs } = await stat(lock).catch(() => ({ ctimeMs: 0 })); // gone by now
    if (ctimeMs !== renewed) [renewed, since] = [ctimeMs, Date.now()];
    else if (Date.now() - since > FORSAKEN) await release(lock);
    await setTimeout(20);
  }
}

async function renew(lock: string): Promise<void> {
  const now = new Date();
  await utimes(lock, now, now).catch(() => undefined); // another process took it for forsaken
}

async function release(lock: string): Promise<void> {
  await rmdir(lock).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw fileError(error, 'remove', lock); // another process took it for forsaken
  });
}
