/** The scripts of docs/guide-embed.md, run as their reader would, from both module systems. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { RankedRegion } from '../../lib/influence/ranking';
import { tracin } from '../support/cli';

const run = promisify(execFile);
const cwd = mkdtempSync(join(tmpdir(), 'tracin-docs-'));
afterAll(() => rmSync(cwd, { recursive: true, force: true }));

const example = (name: string, ...words: string[]) =>
  run(process.execPath, [resolve(__dirname, '../../docs/examples', name), ...words], { cwd });

beforeAll(async () => {
  for (const words of [
    'phantom patients --cases 5 --size 32',
    'train --data patients --split patients/split.json --size 32 --network resunet --width 4 --levels 2 --epochs 2 --run run',
  ]) {
    const { status, stderr } = await tracin(words.split(' '), { cwd });
    if (status !== 0) throw new Error(stderr);
  }
});

test('embed.mjs prints the strongest training regions of every predicted region', async () => {
  const { stdout } = await example('embed.mjs', 'patients', 'run', 'study');
  const lines = stdout.trimEnd().split('\n').map((line) => JSON.parse(line) as { case: string; class: string; weighed: RankedRegion; alike: RankedRegion }); // prettier-ignore
  const { split } = JSON.parse(await readFile(join(cwd, 'run', 'run.json'), 'utf8')) as { split: { train: string[]; test: string[] } };
  expect(lines.length).toBeGreaterThan(0);
  for (const line of lines) {
    expect(split.test).toContain(line.case);
    for (const found of [line.weighed, line.alike]) expect(found).toMatchObject({ rank: 1, class: line.class });
    expect(split.train).toContain(line.weighed.case);
  }
});

test('page.js writes a page about the same study', async () => {
  await example('page.js', 'patients', 'run', 'study', 'page.html');
  const page = await readFile(join(cwd, 'page.html'), 'utf8');
  expect(page).toContain('What shaped resunet');
  expect(page).toContain('radiological convention');
});

test('a wrong folder is one line with a code', async () => {
  await expect(example('embed.mjs', 'patients', 'nowhere', 'other')).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/^ERR_TRACIN_STUDY: .*\n$/) as string,
  });
});
