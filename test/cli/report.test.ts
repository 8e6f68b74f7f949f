/** `report`: from a study folder to a page, whatever of its surroundings is still there. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { refusal, tracin } from '../support/cli';

// Many processes, each with an engine to open.
jest.setTimeout(180_000);

const cwd = mkdtempSync(join(tmpdir(), 'tracin-report-'));
afterAll(() => rmSync(cwd, { recursive: true, force: true }));

async function done(words: string): Promise<string> {
  const outcome = await tracin(words.split(' '), { cwd });
  if (outcome.status !== 0) throw new Error(`${words}: ${outcome.stderr}`);
  return outcome.stdout;
}
const page = (file: string): string => readFileSync(join(cwd, file), 'utf8');
const TRAIN =
  'train --data patients --split patients/split.json --size 32 --slices tumour:8 --spread 2 --network deepseg --width 4 --levels 2 --epochs 2';
const partial = (): string[] => readdirSync(cwd).filter((name) => name.includes('.partial-'));
let shownCase: string;

beforeAll(async () => {
  await done('phantom patients --cases 9 --size 32 --planted 0.4');
  await done(`${TRAIN} --run run`);
  await done('influence --run run --out study');
  shownCase = (JSON.parse(page('run/run.json')) as { split: { test: string[] } }).split.test[0]!;
});

test('a study nobody looked into yet: slices, maps, and the commands that would tell more', async () => {
  expect(await done('report study --out plain.html')).toBe('open plain.html in a browser\n');
  const text = page('plain.html');
  for (const words of ['deepseg', 'radiological convention', 'Dice on the test slices', 'maps sum to T', 'T1ce', 'FLAIR'])
    expect(text).toContain(words);
  for (const command of ['explain STUDY --features', 'faithfulness STUDY', 'audit STUDY']) expect(text).toContain(command);
  expect(readdirSync(join(cwd, 'study'))).not.toContain('maps');
});

test('what explain, faithfulness, audit and predict made is on it', async () => {
  await done('explain study --features --shuffles 50');
  await done('faithfulness study --only correlation,ablation,faults');
  await done('audit study --top 2');
  await done('predict --run run --part test --out predicted');
  await done(`report study --out dir/full.html --predicted predicted --test ${shownCase} --maps none --title Mine`);
  const text = page('dir/full.html');
  for (const words of [
    '<h1>Mine</h1>',
    'Dice on unseen patients',
    'FI by rank',
    'log |ΔDice|',
    'Spearman over training regions',
    'Planted label errors found',
    'Labels to look at first',
  ])
    expect(text).toContain(words);
  expect(text).toMatch(/<strong>(not )?shown<\/strong>: /);
  expect(text).not.toContain('maps sum to T');
  expect(text).not.toContain('explain STUDY --features');
  expect(text.match(/<h3 id="slice-/g)).toHaveLength(1);
});

test('two studies on one page; the same one twice is told apart by nothing but its place', async () => {
  await done('influence --run run --checkpoints 2 --loss cross-entropy --out other');
  await done('report study other --out both.html --patients 1 --maps none');
  const text = page('both.html');
  for (const id of ['network-0', 'network-1']) expect(text).toContain(`<h2 id="${id}">deepseg (`);
});

test('data and run that have moved: a page without pictures, and with them when told where', async () => {
  renameSync(join(cwd, 'patients'), join(cwd, 'elsewhere'));
  const { status, stderr } = await tracin(['report', 'study', '--out', 'bare.html'], { cwd });
  expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringMatching(/^without pictures: .*patients, which .* was computed from, is not there/m) as string }); // prettier-ignore
  expect(page('bare.html')).not.toContain('data:image/png');
  expect(await refusal(['report', 'study', '--out', 'bare.html', '--data', 'nowhere'], cwd)).toMatch(/nowhere/);
  renameSync(join(cwd, 'run'), join(cwd, 'older'));
  const moved = await tracin(['report', 'study', '--out', 'moved.html', '--data', 'elsewhere', '--patients', '1'], { cwd });
  expect({ status: moved.status, stderr: moved.stderr }).toEqual({ status: 0, stderr: expect.stringMatching(/^without new maps: .*--run/m) as string }); // prettier-ignore
  expect(page('moved.html')).toContain('data:image/png');
  await done('report study --out moved.html --data elsewhere --run older --patients 1');
  expect(page('moved.html')).toContain('maps sum to T');
  renameSync(join(cwd, 'elsewhere'), join(cwd, 'patients'));
  renameSync(join(cwd, 'older'), join(cwd, 'run'));
});

test('every command that a page suggests works for that very study, wherever its data are; of one without test slices it is the audit', async () => {
  const suggested = (file: string): string[] => [...page(file).matchAll(/<code>tracin-seg ([^<]*)<\/code>/g)].map(([, words]) => words!);
  await done('influence --run run --self --out self');
  await done('report self --out self.html');
  expect(suggested('self.html')).toEqual(['audit STUDY']);
  await done('influence --run run --region truth --out truth');
  await done(`${TRAIN} --seed 2 --run other-seed`);
  await done('influence --run other-seed --region truth --out twin');
  await done('report truth --out truth.html --patients 1');
  const places = {
    STUDY_OF_ANOTHER_SEED: 'twin',
    STUDY: 'truth',
    RUN: 'older',
    DATA: 'elsewhere',
    PREDICTED: 'foretold',
    'FILE.html': 'y.html',
  };
  const filled = (words: string, run: string): string =>
    words
      .replaceAll(/\b[A-Z_]+(\.html)?\b/g, (name) => (name === 'RUN' ? run : places[name as keyof typeof places]))
      .replace('--quick', '--only faults');
  expect(suggested('truth.html').map((words) => words.split(' ')[0])).toEqual([
    'predict',
    'report',
    'explain',
    'faithfulness',
    'stability',
    'audit',
  ]);
  for (const words of suggested('truth.html')) await done(filled(words, 'run'));
  expect(page('y.html')).toContain('Dice on unseen patients');
  for (const made of ['features', 'audit', 'stability.json']) rmSync(join(cwd, 'truth', made), { recursive: true });
  renameSync(join(cwd, 'patients'), join(cwd, 'elsewhere'));
  renameSync(join(cwd, 'run'), join(cwd, 'older'));
  await done('report truth --out lost.html');
  expect(suggested('lost.html')).toHaveLength(4);
  for (const words of suggested('lost.html')) await done(filled(words, 'older'));
  renameSync(join(cwd, 'elsewhere'), join(cwd, 'patients'));
  renameSync(join(cwd, 'older'), join(cwd, 'run'));
});

test('Ctrl-C leaves no page, and the one that was there as it was', async () => {
  writeFileSync(join(cwd, 'kept.html'), 'old');
  const { status, stderr } = await tracin(['report', 'study', '--out', 'kept.html', '--maps', 'all', '--top', '6'], {
    cwd,
    interruptAt: /engine /,
  });
  expect({ status, error: /^error: (.*)$/m.exec(stderr)?.[1] }).toEqual({ status: 130, error: 'interrupted' });
  expect(page('kept.html')).toBe('old');
  expect(partial()).toEqual([]);
});

test('wrong input is one line', async () => {
  mkdirSync(join(cwd, 'folder'));
  await done('phantom few --cases 4 --size 32');
  for (const [words, message] of [
    ['report --out x.html', "missing required argument 'studies'"],
    ['report study', "required option '--out <file>' not specified"],
    ['report nowhere --out x.html', /nowhere holds no study/],
    ['report run --out x.html', /run holds no study/],
    ['report study --out folder', /cannot write .*folder: it is a folder: name a file/],
    ['report study --out run/run.json/x.html', /cannot write .*x\.html: /],
    ['report study --out x.html --test Nobody', /unknown test case Nobody: choose from Phantom_/],
    [`report study --out x.html --test ${shownCase}:777`, /has no test slice 777: choose from \d+/],
    [`report study --out x.html --test ${shownCase} --patients 2`, /--patients chooses slices where --test does not/],
    ['report study --out x.html --predicted a,b', /--predicted names 2 folders for 1 studies/],
    ['report study --out x.html --predicted nowhere', /dice\.json does not exist/],
    ['report study --out x.html --maps some', /Allowed choices are raw, all, none/],
  ] as const) {
    const told = await refusal(words.split(' '), cwd);
    if (typeof message === 'string') expect(told).toBe(message);
    else expect(told).toMatch(message);
  }
  expect(readdirSync(cwd)).not.toContain('x.html');
});
