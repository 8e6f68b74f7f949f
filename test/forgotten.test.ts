/** What its owner forgot to dispose of or to close takes its threads with it when it is collected. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { writePhantom } from '../lib/dataset/phantom';

const dir = mkdtempSync(join(tmpdir(), 'tracin-forgotten-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test('programs of the reference engine and datasets', async () => {
  await writePhantom(dir, { cases: 2, size: 32 });
  const child = join(__dirname, 'support', 'forgotten-child.js');
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', child, dir]);
  expect(stdout).toBe('true 0');
});
