/** Data of other layouts by the commands: the layout is said aloud, runs and studies remember it, predictions come in its format and numbers. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readPng } from '../../lib/dataset/png';
import { png } from '../dataset/support';
import { refusal, tracin } from '../support/cli';

const cwd = mkdtempSync(join(tmpdir(), 'tracin-cli-'));
afterAll(() => rmSync(cwd, { recursive: true, force: true }));

const SIDE = 16;
/** Green squares on noise, labelled 255 in one half and 10 in the other. */
function writePhotographs(dir: string, count: number): void {
  for (const folder of ['images', 'labels']) mkdirSync(join(cwd, dir, folder), { recursive: true });
  writeFileSync(join(cwd, dir, 'classes.json'), JSON.stringify({ lesion: 255, vessel: 10 }));
  for (let n = 0; n < count; n++) {
    const inside = (i: number): boolean => i % SIDE > n && i % SIDE < n + 8 && i > 5 * SIDE && i < 12 * SIDE;
    const pixels = Array.from({ length: SIDE * SIDE }, (_, i) => i);
    const samples = pixels.flatMap((i) => [(i * 7919 + n) % 90, inside(i) ? 200 : (i * 31) % 90, (i * 13) % 90]);
    writeFileSync(join(cwd, dir, 'images', `photo${n}.png`), png({ height: SIDE, width: SIDE, type: 2, samples }));
    const values = pixels.map((i) => (inside(i) ? (i < 8 * SIDE ? 255 : 10) : 0));
    writeFileSync(join(cwd, dir, 'labels', `photo${n}.png`), png({ height: SIDE, width: SIDE, samples: values }));
  }
}
async function done(...words: string[]): Promise<string> {
  const outcome = await tracin(words, { cwd });
  if (outcome.status !== 0) throw new Error(`${words.join(' ')}: ${outcome.stderr}`);
  return outcome.stderr;
}
const recorded = (file: string): unknown => JSON.parse(readFileSync(join(cwd, file), 'utf8'));

const LAYOUT = 'layout png: modalities red, green, blue; labels 0 background, 10 vessel, 255 lesion';

beforeAll(async () => {
  writePhotographs('photos', 5);
  const words =
    'train --data photos --train photo0,photo1,photo2 --test photo3,photo4 --network resunet --width 4 --levels 2 --epochs 2 --run run';
  expect(await done(...words.split(' '))).toContain(LAYOUT);
});

test('the run remembers layout, modalities and size', () => {
  expect(recorded('run/run.json')).toMatchObject({
    classes: ['vessel', 'lesion'],
    data: { options: { layout: 'png', modalities: ['red', 'green', 'blue'], size: [SIDE, SIDE] } },
  });
});

test('predictions of PNGs are PNGs with the numbers of the data', async () => {
  await done('predict', '--run', 'run', '--part', 'test', '--out', 'predicted');
  expect(readdirSync(join(cwd, 'predicted')).sort()).toEqual(['dice.csv', 'dice.json', 'labels.txt', 'photo3.png', 'photo4.png']);
  const { header, pixels } = await readPng(join(cwd, 'predicted', 'photo3.png'));
  expect([header.height, header.width]).toEqual([SIDE, SIDE]);
  expect([0, 10, 255]).toEqual(expect.arrayContaining([...new Set(pixels)]));
});

test('influence opens the same data again; other data take the modalities of the run by name', async () => {
  expect(await done('influence', '--run', 'run', '--region', 'truth', '--out', 'study')).toContain(LAYOUT);
  expect(recorded('study/study.json')).toMatchObject({ datasets: { test: { options: { layout: 'png', cases: ['photo3', 'photo4'] } } } });
  const cases = ['photo3', 'photo4'].map((name) => {
    const file = (channel: number): string => `photos/images/${name}.png#${channel}`;
    return { case: name, images: { Blue: file(2), Green: file(1), Red: file(0) }, label: `photos/labels/${name}.png` };
  });
  const list = { modalities: ['Blue', 'Green', 'Red'], classes: { vessel: 10, lesion: 255 }, cases };
  writeFileSync(join(cwd, 'list.json'), JSON.stringify(list));
  const words = await done('predict', '--run', 'run', '--data', 'list.json', '--out', 'again');
  expect(words).toContain('layout manifest: modalities red (Red), green (Green), blue (Blue); labels 0 background, 10 vessel, 255 lesion');
  for (const name of ['photo3', 'photo4']) {
    expect(readFileSync(join(cwd, 'again', `${name}.png`))).toEqual(readFileSync(join(cwd, 'predicted', `${name}.png`)));
  }
}, 120_000);

test('what does not fit is refused by name', async () => {
  const predict = (...words: string[]): Promise<string> =>
    refusal(['predict', '--run', 'run', '--data', 'photos', '--out', 'x', ...words], cwd);
  expect(await predict('--layout', 'nnunet')).toMatch(/dataset\.json: it does not exist|dataset\.json/);
  expect(await predict('--modalities', 'red,CT')).toMatch(/CT is not among modalities red, green, blue/);
  expect(await predict('--modalities', 'green,red,blue')).toMatch(
    /was trained on modalities red, green, blue, the data has green, red, blue/,
  );
  expect(await predict('--classes', 'vessel=10,tumour=255')).toMatch(/was trained on classes vessel, lesion, the data has vessel, tumour/);
  expect(await predict('--classes', 'vessel')).toMatch(/Expected NAME=NUMBER/);
});
