/** Libraries that stand in for the CUDA engine's, compiled here: a test of what surrounds it needs no GPU. */
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = resolve(__dirname, '../..');
const BUILD = join(root, 'build');

function compile(words: readonly string[]): void {
  const { status, stderr, error } = spawnSync('c++', ['-std=c++20', '-shared', '-fPIC', ...words], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`a stand-in did not compile: ${error?.message ?? stderr}`);
}

/** Whether stand-ins can be compiled: a C++ compiler, and the cpu engine built from the sources here. */
export const canStandIn =
  process.platform === 'linux' && !spawnSync('c++', ['--version']).error && existsSync(join(BUILD, 'libtracin-cpu.a'));

/** Two devices that the cpu engine computes for. */
export function standInGpus(dir: string): string {
  const library = join(dir, 'libtracin-cuda.so');
  if (existsSync(library)) return library;
  const archive = join(BUILD, 'libtracin-cpu.a');
  compile(['-O1', '-fopenmp', join(__dirname, 'stand-in-gpu.cc'), archive, '-ldnnl', '-o', library]);
  return library;
}

/** A library with this as its source. */
export function standInLibrary(dir: string, name: string, source: string, ...words: string[]): string {
  const library = join(dir, `lib${name}.so`);
  writeFileSync(join(dir, `${name}.cc`), source);
  compile([join(dir, `${name}.cc`), '-o', library, ...words]);
  return library;
}
