/** Processor cores that this process may use. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';

/**
 * As many threads as computing is worth: two on one core share its multipliers and caches, and where a container has a share of the
 * processors' time, more than that wait for each other. On Linux by what its files say (proc(5), cgroups(7)); elsewhere, and where they
 * say nothing, `availableParallelism`.
 * @param root where the file system begins
 */
export function coresHere(root = '/'): number {
  const cores = allowedCores(root) ?? availableParallelism();
  return Math.max(1, Math.min(cores, Math.ceil(share(root))));
}

/** Cores with a hardware thread that the process may run on. */
function allowedCores(root: string): number | undefined {
  const [, list] = /^Cpus_allowed_list:\s*(\S+)$/m.exec(contents(root, 'proc/self/status') ?? '') ?? [];
  if (list === undefined) return undefined;
  const siblings = new Set<string>();
  for (const range of list.split(',')) {
    const [first = NaN, last = first] = range.split('-').map(Number);
    for (let thread = first; thread <= last; thread++) {
      const own = contents(root, `sys/devices/system/cpu/cpu${thread}/topology/thread_siblings_list`);
      if (own === undefined) return undefined;
      siblings.add(own);
    }
  }
  return siblings.size > 0 ? siblings.size : undefined;
}

/** Processors' worth of time that the control groups of the process allow, the tightest of them. */
function share(root: string): number {
  const [, group] = /^0::(\/.*)$/m.exec(contents(root, 'proc/self/cgroup') ?? '') ?? [];
  let least = Infinity;
  for (let path = group; path !== undefined; path = path === '/' ? undefined : dirname(path)) {
    const [quota, period] = (contents(root, join('sys/fs/cgroup', path, 'cpu.max')) ?? 'max').split(' ').map(Number);
    if (quota! > 0 && period! > 0) least = Math.min(least, quota! / period!);
  }
  return least;
}

function contents(root: string, path: string): string | undefined {
  try {
    return readFileSync(join(root, path), 'utf8').trim();
  } catch {
    return undefined;
  }
}
