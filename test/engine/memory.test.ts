/** A program holds no more memory than it announced, however many sizes of boxes it meets. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cpu } from '../support/engines';

const CHILD = join(__dirname, '..', 'support', 'memory-child.js');

(cpu ? test : test.skip)(
  'kernels compiled for boxes of many sizes stay within what the cpu engine announces',
  async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [CHILD]);
    const { announced, grown } = JSON.parse(stdout) as { announced: number; grown: number };
    expect(grown).toBeLessThan(announced);
    // and what is announced is not twice of it
    expect(grown).toBeGreaterThan(announced / 2);
  },
  60_000,
);
