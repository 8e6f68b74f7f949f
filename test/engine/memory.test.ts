/** A program holds no more memory than it announced, however many sizes of boxes it meets, and never less than it was asked for. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { buildNetwork } from '../../models/registry';
import { cpu } from '../support/engines';

const CHILD = join(__dirname, '..', 'support', 'memory-child.js');

// side of the kernels, channels, layers, pixels a side, rounds, slices of the batch
const NETWORKS = [
  { what: 'kernels compiled for boxes of many sizes', numbers: [5, 8, 8, 64, 50, 1] },
  { what: 'what wide kernels write out for the library', numbers: [15, 32, 2, 48, 20, 1] },
  { what: 'a batch of more slices than are computed at once', numbers: [3, 64, 4, 256, 2, 6] },
];

(cpu ? test : test.skip).each(NETWORKS)(
  '$what: within what the cpu engine announces',
  async ({ numbers }) => {
    const { stdout } = await promisify(execFile)(process.execPath, [CHILD, ...numbers.map(String)]);
    const { announced, grown, together } = JSON.parse(stdout) as Record<'announced' | 'grown' | 'together', number>;
    if (numbers.at(-1)! > 1) expect(together).toBeLessThan(numbers.at(-1)!);
    expect(grown).toBeLessThan(announced);
    // and what is announced is of its order, even for a library whose compiled kernels should take nothing
    expect(grown).toBeGreaterThan(announced / 4);
  },
  60_000,
);

(cpu ? it : it.skip)('refuses a block of more rows than 32 bits count, rather than make a small one', async () => {
  const program = await cpu!.compile(buildNetwork({ network: 'unet', width: 8, levels: 2, seed: 1 }), { size: [16, 16] });
  await expect(program.resident(Math.ceil(2 ** 32 / 3))).rejects.toMatchObject({ code: 'ERR_TRACIN_MEMORY' });
  program.dispose();
});
