/** A program holds no more memory than it announced, however many sizes of boxes it meets, and never less than it was asked for. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { buildNetwork } from '../../models/registry';
import type { RegionLoss } from '../../lib/engine/engine';
import { regionBatch } from '../support/batches';
import { cpu, ENGINES } from '../support/engines';
import { GraphBuilder, smallNetwork } from '../support/graphs';

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

describe.each(ENGINES)('$name', (engine) => {
  const dice: RegionLoss = { kind: 'dice', reduction: 'mean' };
  const WIDTH = 1000;

  it('tells what is larger than any array as a want of memory, and goes on', async () => {
    const g = new GraphBuilder({ modalities: 1 });
    const graph = g.build(g.mix(g.mix(g.mix('image', 'first', 1, WIDTH), 'wide', WIDTH, WIDTH), 'head', WIDTH, 4));
    const program = await engine.compile(graph, { size: [1, 1] });
    const many = regionBatch({ slices: 100_000, size: [1, 1], modalities: 1 });
    await expect(program.gradients(many, dice)).rejects.toMatchObject({
      code: 'ERR_TRACIN_MEMORY',
      message: expect.stringMatching(/^gradients: \d+ bytes do not fit the memory: ask for less at once$/) as unknown,
    });
    const { gradients } = await program.gradients(regionBatch({ slices: 1, size: [1, 1], modalities: 1 }), dice);
    expect(gradients).toHaveLength(3 * program.parameterCount);
    program.dispose();
  });

  it('makes no small block where a large one is asked for', async () => {
    const program = await engine.compile(smallNetwork(), { size: [2, 2] });
    for (const capacity of [2 ** 31, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER])
      await expect(program.resident(capacity)).rejects.toMatchObject({ code: 'ERR_TRACIN_MEMORY' });
    program.dispose();
  });
});

(cpu ? it : it.skip)('refuses a block of more rows than 32 bits count, rather than make a small one', async () => {
  const program = await cpu!.compile(buildNetwork({ network: 'unet', width: 8, levels: 2, seed: 1 }), { size: [16, 16] });
  await expect(program.resident(Math.ceil(2 ** 32 / 3))).rejects.toMatchObject({ code: 'ERR_TRACIN_MEMORY' });
  program.dispose();
});
