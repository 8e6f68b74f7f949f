/** Programs in worker threads of the caller's own. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cpu } from '../support/engines';

const CHILD = join(__dirname, '..', 'support', 'terminated-child.js');

(cpu ? test : test.skip)('a thread that is terminated in the midst of a call leaves the process in order', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [CHILD, '10']);
  expect(stdout).toBe('computes');
});
