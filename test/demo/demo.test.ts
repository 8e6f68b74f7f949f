/** The demo, made tiny: the whole way from nothing to the page, and what happens when it is run again. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runDemo } from '../../lib/demo/demo';
import type { Recipe } from '../../lib/demo/recipe';
import { contents } from '../support/folders';

const RECIPE: Recipe = {
  cases: 5,
  size: 32,
  seed: 3,
  trainSlices: { tumour: 8, spread: 2 },
  testSlices: { tumour: 8, spread: 2 },
  networks: [
    { network: 'attention-unet', width: 4, levels: 2, epochs: 2, learningRate: 0.1 },
    { network: 'resunet', width: 4, levels: 2, epochs: 2, learningRate: 0.03 },
  ],
  checkpointEvery: 1,
};
const root = mkdtempSync(join(tmpdir(), 'tracin-demo-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const out = join(root, 'demo');
const parts = async (): Promise<string[]> => (await readdir(root, { recursive: true })).filter((name) => name.includes('.partial-'));

test('stopped half-way it leaves nothing unfinished under a final name; run again it goes on to the page', async () => {
  const stop = new AbortController();
  const stages = new Set<string>();
  const interrupted = runDemo({
    out,
    recipe: RECIPE,
    signal: stop.signal,
    onProgress: ({ stage }) => {
      stages.add(stage);
      if (stage === 'resunet: train') stop.abort();
    },
  });
  await expect(interrupted).rejects.toMatchObject({ code: 'ERR_TRACIN_ABORTED' });
  expect(await parts()).toEqual([]);
  expect(await readdir(out)).not.toContain('index.html');
  const first = await stat(join(out, 'networks', 'attention-unet', 'study', 'study.json'));

  const notices: string[] = [];
  const { page, report } = await runDemo({ out, recipe: RECIPE, onNotice: (line) => notices.push(line) });
  expect(notices).toContain(`going on with the demo in ${out}`);
  expect((await stat(join(out, 'networks', 'attention-unet', 'study', 'study.json'))).mtimeMs).toBe(first.mtimeMs);
  expect([...stages]).toEqual([
    'phantom',
    'index',
    ...['train', 'predict', 'regions', 'influence', 'writing', 'ranks', 'features', 'split', 'correlation', 'ablation', 'audit'].map(
      (stage) => `attention-unet: ${stage}`,
    ),
    'resunet: train',
  ]);
  expect(page).toBe(join(out, 'index.html'));
  expect(report.networks.map(({ name }) => name)).toEqual(['attention-unet', 'resunet']);
  expect(report.pictures.every(({ edges }) => edges?.left === 'R' && edges.top === 'A')).toBe(true);
  expect(await readFile(page, 'utf8')).toContain('radiological convention');
});

test('a second run changes no byte', async () => {
  const before = await contents(out);
  await runDemo({ out, recipe: RECIPE });
  expect(await contents(out)).toEqual(before);
});

test('a demo of another recipe is made afresh', async () => {
  const notices: string[] = [];
  const recipe = { ...RECIPE, networks: RECIPE.networks.slice(1) };
  await runDemo({ out, recipe, onNotice: (line) => notices.push(line) });
  expect(notices).toContain(`${out} held a demo of another version: starting afresh`);
  expect(await readdir(join(out, 'networks'))).toEqual(['resunet']);
});

test('a folder with other things is left alone', async () => {
  writeFileSync(join(root, 'thesis.txt'), 'years of work');
  await expect(runDemo({ out: root, recipe: RECIPE })).rejects.toMatchObject({ code: 'ERR_TRACIN_USAGE' });
  expect((await readdir(root)).sort()).toEqual(['demo', 'thesis.txt']);
});
