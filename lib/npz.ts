/** Arrays in numpy's .npz archives, as numpy.savez (stored: rows are read when asked for) and numpy.savez_compressed (held in memory) write them. */
import { open } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { TracinError } from './errors';
import { fileError } from './files';
import { openNpy, openNpyIn, type NpyBytes, type NpyFile } from './npy';
import { inflateMember, listZip, memberStart, peekMember, type ZipMember } from './zip';

/** Packed bytes that surely hold the header of an array. */
const HEAD = 1 << 14;

/**
 * Opens `FILE.npy`, `FILE.npz` or `FILE.npz#NAME`.
 * @param usual the array taken from an archive of several when none is named
 * @throws ERR_TRACIN_DATA naming file and array: no such array, damaged or truncated archives, as `openNpy`;
 *   ERR_TRACIN_MEMORY a compressed array that does not fit
 */
export async function openArrayFile(path: string, usual: string): Promise<NpyFile> {
  const [, archive, name] = /^(.*\.npz)(?:#(.+))?$/.exec(path) ?? [];
  return archive === undefined ? openNpy(path) : openNpz(archive, name, usual);
}

async function openNpz(path: string, name: string | undefined, usual: string): Promise<NpyFile> {
  const file = await open(path, 'r').catch((error: unknown) => {
    throw fileError(error, 'read', path);
  });
  try {
    const member = choose(await listZip(file, path), name, usual, path);
    const where = `${path}#${member.name.replace(/\.npy$/, '')}`;
    if (!member.deflated) {
      const start = await memberStart(file, path, member);
      const read: NpyBytes['read'] = async (target, position) => (await file.read(target, 0, target.length, start + position)).bytesRead;
      return await openNpyIn({ file: path, name: where, size: member.size, read, close: () => file.close() });
    }
    // The array's own header is compared with the member's size before all of it is inflated.
    await openNpyIn(memory(path, where, member.size, await peekMember(file, path, member, HEAD)));
    if (member.size > totalmem() / 2) {
      const message = `${where}: ${member.size} bytes once inflated do not fit the memory: save it with numpy.savez, whose rows are read when asked for`;
      throw new TracinError('ERR_TRACIN_MEMORY', message);
    }
    const inflated = await openNpyIn(memory(path, where, member.size, await inflateMember(file, path, member)));
    await file.close();
    return inflated;
  } catch (error) {
    await file.close();
    throw fileError(error, 'read', path);
  }
}

function choose(members: readonly ZipMember[], name: string | undefined, usual: string, path: string): ZipMember {
  const arrays = members.filter((member) => member.name.endsWith('.npy'));
  const wanted = name ?? (arrays.length === 1 ? arrays[0]!.name.slice(0, -'.npy'.length) : usual);
  const member = arrays.find((one) => one.name === `${wanted}.npy`);
  if (member) return member;
  const present = arrays.map((one) => one.name.slice(0, -'.npy'.length)).join(', ') || 'none';
  throw new TracinError('ERR_TRACIN_DATA', `${path}: holds no array ${wanted} (it holds ${present}): name one as ${path}#NAME`);
}

function memory(file: string, name: string, size: number, bytes: Buffer): NpyBytes {
  return {
    file,
    name,
    size,
    async read(target, position) {
      const part = bytes.subarray(position, position + target.length);
      target.set(part);
      return part.length;
    },
    async close() {
      // Nothing is held open.
    },
  };
}
