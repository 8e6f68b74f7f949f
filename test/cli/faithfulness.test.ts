/** A run taken through its tests and its audit, by command. */
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decode } from 'fast-png';
import { csvLine, parseCsv } from '../../lib/csv';
import type { Features } from '../../lib/explanation/files';
import { readFindings } from '../../lib/faithfulness/findings';
import type { Faithfulness } from '../../lib/faithfulness/files';
import type { Audit } from '../../lib/faithfulness/audit';
import { openStudy } from '../../lib/influence/study';
import { refusal, tracin } from '../support/cli';

// Many processes, each with an engine to open.
jest.setTimeout(180_000);

const cwd = mkdtempSync(join(tmpdir(), 'tracin-faithfulness-'));
afterAll(() => rmSync(cwd, { recursive: true, force: true }));

async function done(words: string): Promise<string> {
  const outcome = await tracin(words.split(' '), { cwd });
  if (outcome.status !== 0) throw new Error(`${words}: ${outcome.stderr}`);
  return outcome.stdout;
}

beforeAll(async () => {
  await done('phantom patients --cases 9 --size 32 --planted 0.4');
  await done(
    'train --data patients --split patients/split.json --size 32 --slices tumour:8 --spread 2 --network deepseg --width 4 --levels 2 --epochs 2 --run run',
  );
});

test('a study nobody explained yet says how; explain --features explains it', async () => {
  expect(await refusal(['explain', 'run', '--features'], cwd)).toMatch(/holds no study/);
  await done('influence --run run --region truth --out run/study');
  expect(await refusal(['explain', 'run/study'], cwd)).toMatch(/say what with --maps or --features/);
  const words = await done('explain run/study --features --shuffles 50 --seed 3');
  expect(readdirSync(join(cwd, 'run', 'study', 'features'))).toContain('interpretative-map-NCR_NET.svg');
  expect(words).toMatch(/^4 features .*similarity max-ratio, training regions ranked by influence T$/m);
  const features = JSON.parse(await done('explain run/study --features --similarity cosine --json')) as Features;
  expect(features).toMatchObject({ similarity: 'cosine', features: 4 });
  expect(features.classes.map((one) => one.class)).toEqual(['NCR/NET', 'ED', 'ET']);
});

test('faithfulness of a run, every part; what is done is not done again', async () => {
  const words = await done('faithfulness run --quick');
  for (const part of ['correlation', 'ablation', 'faults', 'retraining'])
    expect(words).toMatch(new RegExp(`^${part}: quick, seed 1, 200 resamples$`, 'm'));
  const read = (): Faithfulness => JSON.parse(readFileSync(join(cwd, 'run', 'study', 'faithfulness', 'faithfulness.json'), 'utf8')) as Faithfulness; // prettier-ignore
  const first = read();
  // What the report reads of it is what is there, part by part.
  const told = (await readFindings(join(cwd, 'run', 'study')))!;
  expect(first).toMatchObject(told);
  expect(Object.keys(told)).toEqual(expect.arrayContaining(['verdict', 'correlation', 'ablation', 'faults', 'retraining']));
  expect(first).toMatchObject({ mode: 'quick', seed: 1, resamples: 200, faults: { patients: 6, faulty: 2 } });
  expect(first.verdict.every(({ words }) => /^(shown|not shown|not tested): /.test(words))).toBe(true);
  expect(first.retraining).toMatchObject({ removal: { removed: 1, patients: 6, draws: 3 }, datamodel: { subsets: 8 } });
  const folder = join(cwd, 'run', 'study', 'faithfulness', 'retrainings');
  const retrainings = readdirSync(folder);
  expect(retrainings.length).toBeGreaterThan(8);
  expect(retrainings.every((name) => /^[0-9a-f]{16}\.json$/.test(name))).toBe(true);
  const times = (): number[] => retrainings.map((name) => statSync(join(folder, name)).mtimeMs);
  const before = times();
  await done('faithfulness run/study --only retraining');
  expect(times()).toEqual(before);
  expect(read()).toEqual(first);
  const again = await done('faithfulness run/study --only correlation --seed 5');
  expect(again).toMatch(/^correlation: quick, seed 5/m);
  expect(again).toMatch(/^faults: quick, seed 1/m);
  const { correlation, verdict, seed, tested, ...others } = read();
  expect(correlation).toHaveLength(first.correlation!.length);
  expect(others).toEqual(expect.objectContaining({ ablation: first.ablation, faults: first.faults, retraining: first.retraining }));
  expect(verdict.map(({ part }) => part)).toEqual(first.verdict.map(({ part }) => part));
  expect({ seed, tested }).toEqual({ seed: 5, tested: { ...first.tested, correlation: { mode: 'quick', seed: 5, resamples: 200 } } });
});

test('faults are planted into clean labels on request', async () => {
  expect(await done('faithfulness run/study --only faults --plant 0.5 --seed 2')).toMatch(/3 of 6 patients have planted faults/);
  const words = await done('faithfulness run/study --only faults --plant 0.3 --seed 2');
  expect(words).toMatch(/2 of 6 patients have planted faults/);
  const planted = join(cwd, 'run', 'study', 'faithfulness', 'planted');
  expect(readdirSync(join(planted, 'share-0.3-seed-2')).sort()).toEqual(['run', 'study']);
  expect(readdirSync(planted).sort()).toEqual(['share-0.3-seed-2', 'share-0.5-seed-2']);
  expect(await refusal(['faithfulness', 'run/study', '--plant', '1.5'], cwd)).toMatch(/--plant/);
});

test('a study of some epochs looks for planted faults at those, and is not ablated on cases that it asks about or was trained on', async () => {
  const { train, validation } = JSON.parse(readFileSync(join(cwd, 'patients', 'split.json'), 'utf8')) as Record<string, string[]>;
  await done(
    `influence --run run --region truth --checkpoints 1 --train ${train!.slice(1).join()} --test ${validation!.join()} --out early`,
  );
  const words = await done('faithfulness early --only ablation,faults --plant 0.3');
  expect(words).toMatch(/not tested: no held-out slices: the run has no validation cases but those that the study is about/);
  const { checkpoints } = await openStudy(join(cwd, 'early', 'faithfulness', 'planted', 'share-0.3-seed-1', 'study'));
  expect(checkpoints.map(({ epoch }) => epoch)).toEqual([1]);
  const asked = ['faithfulness', 'early', '--only', 'correlation,ablation', '--seed', '7', '--held-out'];
  expect(await refusal([...asked, validation![0]!], cwd)).toMatch(/is held out and part of/);
  expect(await refusal([...asked, train![0]!], cwd)).toMatch(new RegExp(`case ${train![0]} is held out and .* was trained on it`));
  // What was found before the refusal is kept, and so is what is found by earlier tests.
  expect(await readFindings(join(cwd, 'early'))).toMatchObject({
    seed: 7,
    correlation: expect.arrayContaining([]),
    ablation: { skipped: expect.any(String) },
    faults: { faulty: 2 },
  });
});

test('audit writes a table and pictures for the annotators', async () => {
  const found = JSON.parse(await done('audit run/study --order loss --top 2 --json')) as Audit;
  expect(found.order).toBe('loss');
  expect(found.patients.map(({ rank }) => rank)).toEqual([1, 2, 3, 4, 5, 6]);
  const losses = found.patients.map(({ scores }) => scores.loss!);
  expect(losses).toEqual(losses.toSorted((a, b) => b - a));
  const rows = parseCsv(readFileSync(join(cwd, 'run', 'study', 'audit', 'audit.csv'), 'utf8'));
  expect(rows).toHaveLength(7);
  expect(rows[0]!.slice(-2)).toEqual(['verdict', 'comment']);
  const pictures = readdirSync(join(cwd, 'run', 'study', 'audit')).filter((name) => name.endsWith('.png'));
  expect(pictures).toHaveLength(2);
  const { width, height, channels } = decode(readFileSync(join(cwd, 'run', 'study', 'audit', pictures[0]!)));
  expect([width / height, channels]).toEqual([2, 3]); // no predicted labels in a study of region truth
  const words = await done('audit run --evidence run/study --out elsewhere');
  expect(words).toMatch(/by \w+: AUROC .* on 2 of 6 patients with planted faults/);
  expect(readdirSync(join(cwd, 'elsewhere'))).toContain('audit.csv');
  expect(await refusal(['audit', 'run/study', '--trusted', 'Nobody'], cwd)).toMatch(/trusted case Nobody is no test case/);
});

test('an audit keeps what annotators wrote into the table of the one before, and not its pictures', async () => {
  const out = join(cwd, 'annotated');
  const table = join(out, 'audit.csv');
  const rows = () => parseCsv(readFileSync(table, 'utf8'));
  const pictures = () => readdirSync(out).filter((name) => name.endsWith('.png'));
  await done('audit run/study --order loss --top 6 --out annotated');
  expect(pictures()).toHaveLength(6);
  writeFileSync(join(out, '001-of-my-own-1.png'), '');
  const [head, first, ...others] = rows();
  const written = [...first!.slice(0, -2), 'wrong', 'ET, all of it'];
  writeFileSync(table, ['\uFEFF', ...[head!, written, ...others].map((row) => `${csvLine(row)}\r\n`)].join(''));
  await done('audit run/study --order selfInfluence --top 2 --out annotated');
  expect(rows().filter((row) => row.at(-2) !== '')).toEqual([
    expect.arrayContaining(['verdict']),
    expect.arrayContaining([first![1], 'wrong', 'ET, all of it']),
  ]);
  expect(pictures()).toHaveLength(3);
  expect(pictures()).toContain('001-of-my-own-1.png');
  writeFileSync(table, readFileSync(table, 'utf8').replaceAll(first![1]!, 'Somebody'));
  const refused = ['audit', 'run/study', '--order', 'loss', '--out', 'annotated'];
  expect(await refusal(refused, cwd)).toMatch(
    /audit\.csv: holds a verdict on Somebody, whose labels are not audited now, and would be replaced: move it away/,
  );
  writeFileSync(table, 'rank;patient\n1;Somebody\n');
  expect(await refusal(refused, cwd)).toMatch(/audit\.csv: has no column rank and would be replaced/);
});

test('data and run that were moved are named', async () => {
  const read = (study: string): Faithfulness => JSON.parse(readFileSync(join(cwd, study, 'faithfulness', 'faithfulness.json'), 'utf8')) as Faithfulness; // prettier-ignore
  await done('faithfulness run/study --only ablation,faults --seed 4');
  const before = read('run/study');
  renameSync(join(cwd, 'run', 'study'), join(cwd, 'study'));
  renameSync(join(cwd, 'run'), join(cwd, 'trained'));
  renameSync(join(cwd, 'patients'), join(cwd, 'archive'));
  expect(await refusal(['faithfulness', 'study', '--only', 'faults', '--run', 'trained'], cwd)).toMatch(/say where it is now \(--data\)$/);
  rmSync(join(cwd, 'study', 'faithfulness'), { recursive: true });
  await done('faithfulness study --only ablation,faults --seed 4 --data archive --run trained');
  const { ablation, faults } = read('study');
  expect({ ablation, faults }).toEqual({ ablation: before.ablation, faults: before.faults });
  const { validation } = JSON.parse(readFileSync(join(cwd, 'archive', 'split.json'), 'utf8')) as { validation: string[] };
  await done(`faithfulness study --only ablation --seed 4 --held-out ${validation[0]} --data archive --run trained`);
});
