/** Kernels of our own are compiled for more than one kind of processor, and each must be right, whichever this machine has. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cpu } from '../support/engines';

const CHILD = join(__dirname, '..', 'support', 'instructions-child.js');

(cpu && process.arch === 'x64' ? test : test.skip).each([
  ['AVX2', /, avx2, /],
  ['ALL', cpu?.description.match(/, \w+, /)?.[0]],
])('with instructions up to %s the cpu engine has the gradients of reference', async (most, instructions) => {
  const env = { ...process.env, ONEDNN_MAX_CPU_ISA: most };
  const { stdout } = await promisify(execFile)(process.execPath, [CHILD], { env });
  const { description, error } = JSON.parse(stdout) as { description: string; error: number };
  expect(description).toMatch(instructions!);
  expect(error).toBeLessThan(1e-4);
});
