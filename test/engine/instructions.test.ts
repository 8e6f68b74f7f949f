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
  const { description, error, refused } = JSON.parse(stdout) as { description: string; error: number; refused?: unknown };
  expect(description).toMatch(instructions!);
  expect(error).toBeLessThan(1e-4);
  expect(refused).toEqual(
    /bf16|amx/.test(description)
      ? undefined
      : { code: 'ERR_TRACIN_ENGINE', message: expect.stringMatching(/no AVX-512 instructions for bfloat16.*use f32$/) as string },
  );
});
