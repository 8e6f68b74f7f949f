/** What to do about an engine that is not built depends on what there is: a checkout, or an installed package without the scripts. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildWords } from '../../lib/engine/addon';

const dir = mkdtempSync(join(tmpdir(), 'tracin-built-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test('a checkout has a script that builds, an installed package has not', () => {
  expect(buildWords(dir)).toContain(`\`npx --yes cmake-js compile\` in ${dir}`);
  expect(buildWords(dir, true)).toContain(`\`npx --yes cmake-js configure --CDTRACIN_CUDA=ON && npx --yes cmake-js compile\` in ${dir}`);
  mkdirSync(join(dir, 'scripts'));
  writeFileSync(join(dir, 'scripts', 'build.mjs'), '');
  expect(buildWords(dir)).toBe(`\`npm run build\` in ${dir}`);
  expect(buildWords(dir, true)).toBe(`\`TRACIN_CUDA=ON npm run build\` in ${dir}`);
});
