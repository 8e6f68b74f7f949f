/** Kernels chosen by measured time, remembered on this machine so that each is timed once. */
import { createHash } from 'node:crypto';
import { cpus, homedir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { TracinError } from '../errors';
import { replaceFile } from '../files';
import { readJson, toJson } from '../json';
import { VERSION } from '../version';
import type { Engine, KernelTable, Program } from './engine';

export const kernelTableSchema = z.record(z.string(), z.string());

const FORMAT_VERSION = 1;
/** A file for each `machine`, which is what times depend on. */
const cacheSchema = z.strictObject({
  formatVersion: z.literal(FORMAT_VERSION),
  machine: z.strictObject({ tool: z.string(), processor: z.string(), engine: z.string() }),
  kernels: kernelTableSchema,
});
type Machine = z.infer<typeof cacheSchema>['machine'];

/** In XDG_CACHE_HOME, else ~/.cache. */
function cacheFile(machine: Machine): string {
  const name = createHash('sha256').update(JSON.stringify(machine)).digest('hex').slice(0, 16);
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'tracin-seg', `kernels-${name}.json`);
}

/**
 * Has a program take its fastest kernels: as remembered, else as measured now, which is remembered in turn where there is a place for it.
 * @param onNotice told where what was remembered cannot be read
 * @returns the table in force; undefined of a program that has no choice
 */
export async function takeFastestKernels(
  program: Program,
  engine: Engine,
  onNotice: (line: string) => void,
): Promise<KernelTable | undefined> {
  const machine = { tool: `tracin-seg ${VERSION}`, processor: cpus()[0]?.model.trim() ?? '', engine: engine.description };
  const file = cacheFile(machine);
  const known = await remembered(file, onNotice);
  const table = await program.chooseKernels(known, true);
  // A network with smaller maps asks for fewer sizes than are known.
  const more = Object.entries(table).filter(([what, kernels]) => kernels.length > (known[what] ?? '').length);
  if (more.length > 0) {
    const kernels = { ...known, ...Object.fromEntries(more) };
    await replaceFile(file, toJson({ formatVersion: FORMAT_VERSION, machine, kernels })).catch(() => undefined); // measured again next time
  }
  return Object.keys(table).length > 0 ? table : undefined;
}

async function remembered(file: string, onNotice: (line: string) => void): Promise<KernelTable> {
  try {
    return (await readJson(file, cacheSchema, FORMAT_VERSION, 'kernels are measured again'))?.kernels ?? {};
  } catch (error) {
    if (!(error instanceof TracinError)) throw error;
    onNotice(error.message);
    return {};
  }
}
