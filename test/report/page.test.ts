/** From studies to a page: the numbers are those of `rank`, and the page needs nothing but itself. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { decode } from 'fast-png';
import { computeInfluence } from '../../lib/influence/run';
import { rank, ZERO_GRADIENT } from '../../lib/influence/ranking';
import type { Study } from '../../lib/influence/study';
import { noSlices } from '../../lib/dataset/views';
import { openReferenceEngine } from '../../lib/engine/reference';
import { buildReport } from '../../lib/report/build';
import type { PicturedRanking, Report } from '../../lib/report/model';
import { cosine, score } from '../../lib/report/numbers';
import { AS_STORED } from '../../lib/report/orientation';
import { renderPage } from '../../lib/report/page';
import { drawPicture } from '../../lib/report/picture';
import { CLASSES, LEARNING_RATES, openTiny, type Tiny } from '../influence/support/tiny';

const engine = openReferenceEngine();
let tiny: Tiny;
let study: Study;
let report: Report;

beforeAll(async () => {
  tiny = await openTiny(3, 6);
  study = await computeInfluence({
    train: tiny.train,
    test: tiny.test,
    networks: tiny.networks,
    definition: { region: 'truth' },
    out: join(tiny.dir, 'study'),
    engine,
  });
  const dice = tiny.test.slices.map(({ case: name, patient }) => ({ case: name, patient, dice: [0.9, null, 0.8] }));
  const subject = { name: 'tiny', study, test: tiny.test, train: tiny.train, dice, engine };
  report = await buildReport({
    title: 'A tiny study',
    cohort: ['A few slices of noise.'],
    subjects: [subject, { ...subject, name: 'twin' }],
    patients: 2,
  });
});
afterAll(async () => {
  await tiny.close();
  await rm(tiny.dir, { recursive: true, force: true });
});

const rankings = (of: Report): PicturedRanking[] =>
  of.networks.flatMap(({ slices }) => slices.flatMap(({ regions }) => regions.flatMap((region) => region.rankings)));

test('every number is the one that rank gives', async () => {
  expect(rankings(report).length).toBeGreaterThan(8);
  for (const ranking of rankings(report)) {
    const { test: region, normalize, by } = ranking;
    const expected = await rank(study, { test: { case: region.case, slice: region.slice }, class: region.class, normalize, by, top: 3 });
    const plain = (regions: PicturedRanking['proponents']) => regions.map(({ shown: _, maps: __, ...rest }) => rest);
    expect(plain(ranking.proponents)).toEqual(expected.proponents.filter((one) => one.score > 0));
    expect(plain(ranking.opponents)).toEqual(expected.opponents.filter((one) => one.score < 0));
    expect(ranking.candidates).toBe(expected.candidates);
  }
});

test('of a predicted region without one true pixel of its class, the page says that nothing influences it', async () => {
  const networks = { checkpoints: tiny.checkpoints, learningRates: LEARNING_RATES };
  const wrong = await computeInfluence({ train: tiny.train, test: tiny.test, networks, out: join(tiny.dir, 'predicted'), engine });
  // The last test slice has no labels at all, yet the network predicts some.
  const row = wrong.tests.slices.length - 1;
  const { case: name, index } = wrong.tests.slices[row]!;
  const predicted = CLASSES.filter((_, k) => wrong.tests.pixels[row]![k]! > 0);
  expect(predicted).not.toEqual([]);
  for (const each of predicted) {
    const ranking = await rank(wrong, { test: { case: name, slice: index }, class: each });
    expect(ranking).toMatchObject({ zeroGradient: true, proponents: [], opponents: [] });
  }
  const made = await buildReport({
    title: 'Nothing to find',
    cohort: [],
    subjects: [{ name: 'tiny', study: wrong, test: tiny.test, train: tiny.train }],
    tests: [{ case: name, slice: index }],
  });
  const page = await renderPage(made);
  expect(page.match(new RegExp(ZERO_GRADIENT, 'g'))).toHaveLength(predicted.length);
  expect(page).not.toMatch(/Proponents<|Opponents</);
});

test('of a study without test slices the page draws nothing that they would be asked for', async () => {
  const networks = { checkpoints: tiny.checkpoints, learningRates: LEARNING_RATES };
  const self = await computeInfluence({ train: tiny.train, test: 'none', networks, out: join(tiny.dir, 'self'), engine });
  const subject = { name: 'tiny', study: self, test: noSlices(tiny.train), train: tiny.train };
  const page = await renderPage(await buildReport({ title: 'Norms alone', cohort: [], subjects: [subject] }));
  expect(page).toContain('between 0 test slices and');
  expect(page).not.toMatch(
    /Influence T between classes|Share of each checkpoint|>Test slices<|Dice on|name="(ranking|by)"|proponents|<strong>Raw|>test</,
  );
});

test('the table of classes is the mean over present pairs', async () => {
  const { tests, trainings } = study;
  const scores = await Promise.all(tests.slices.map((_, row) => study.scores(row)));
  const pairs = tests.pixels.flatMap((counts, row) =>
    counts[0] === 0 ? [] : trainings.pixels.flatMap(([, , et], n) => (et === 0 ? [] : [scores[row]![n * 3 + 2]!])),
  );
  expect(pairs.length).toBeGreaterThan(2);
  expect(report.networks[0]!.influence.raw[0]![2]).toBeCloseTo(pairs.reduce((sum, value) => sum + value, 0) / pairs.length, 12);
  for (const value of report.networks[0]!.influence.cosine.flat()) expect(Math.abs(value!)).toBeLessThanOrEqual(1);
});

test('a picture is the slice, black where nothing was imaged, and each is drawn once', () => {
  const slices = report.pictures.filter(({ png }) => decode(Buffer.from(png.split(',')[1]!, 'base64')).channels === 1);
  expect(slices.length).toBeGreaterThan(4);
  expect(new Set(slices.map(({ png }) => png)).size).toBe(slices.length);
  const { png, width, height } = slices[0]!;
  const { data, channels } = decode(Buffer.from(png.split(',')[1]!, 'base64'));
  expect([width, height, channels, data.length, Math.min(...data), Math.max(...data)]).toEqual([5, 6, 1, 30, 0, 255]);
});

test('a training region is on its own slice, also where a test case has the same name', async () => {
  expect(tiny.train.slices.map((one) => one.case)).toEqual(expect.arrayContaining(tiny.test.slices.map((one) => one.case)));
  const neighbours = rankings(report).flatMap(({ proponents, opponents }) => [...proponents, ...opponents]);
  for (const { case: name, slice, shown } of neighbours) {
    const position = tiny.train.slices.findIndex((one) => one.case === name && one.index === slice);
    const { images } = await tiny.train.read([position]);
    const own = await drawPicture(images, tiny.train.size, tiny.train.modalities.indexOf(shown!.modality), AS_STORED);
    expect(report.pictures[shown!.picture]).toEqual(own);
  }
});

test('the cohort counts regions, network by network where they differ', async () => {
  const table = async (of: Report) =>
    /each class\s*<\/caption>[\s\S]*?<\/table>/.exec(await renderPage(of))![0].replaceAll(/<[^>]*>|\s+/g, ' ');
  const words = await table(report);
  expect(words).toMatch(/ training .* test /);
  expect(words).not.toContain('twin');
  const [one, twin] = report.networks;
  const differing = {
    ...twin!,
    sides: { ...twin!.sides, train: { ...twin!.sides.train, regions: twin!.sides.train.regions.map((n) => n + 1) } },
  };
  expect(await table({ ...report, networks: [one!, differing] })).toMatch(/ training, tiny .* test, tiny .* training, twin .* test, twin /);
});

test('the raw ranking by slice has influence maps of both sides, clear where nothing pushed', () => {
  const mapped = rankings(report).filter(({ by, normalize }) => by === 'slice' && normalize === 'none');
  expect(mapped.length).toBeGreaterThan(2);
  for (const ranking of mapped) {
    for (const { maps, score: T } of [...ranking.proponents, ...ranking.opponents]) {
      expect(maps!.score).toBe(T);
      for (const layer of [maps!.train, maps!.test]) {
        const { data, channels } = decode(Buffer.from(report.pictures[layer]!.png.split(',')[1]!, 'base64'));
        const strengths = data.filter((_, i) => i % 4 === 3);
        expect([channels, strengths.length, Math.min(...strengths)]).toEqual([4, 30, 0]);
        expect(Math.max(...strengths)).toBe(255);
      }
    }
  }
});

test('what each checkpoint adds: shares of a whole', () => {
  const { checkpoints } = report.networks[0]!;
  expect(checkpoints.map(({ learningRate }) => learningRate)).toEqual(LEARNING_RATES);
  for (const k of CLASSES.keys()) {
    const shares = checkpoints.map(({ share }) => share[k]!);
    expect(Math.min(...shares)).toBeGreaterThan(0);
    expect(shares.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 12);
    // The means over pairs of one class add up to the diagonal of the table of classes.
    const sum = checkpoints.reduce((total, { mean }) => total + mean[k]!, 0);
    expect(sum).toBeCloseTo(report.networks[0]!.influence.raw[k]![k]!, 6);
  }
});

test('the page names everything and its scores, for both rankings', async () => {
  const page = await renderPage(report);
  for (const name of [
    ...CLASSES,
    'A tiny study',
    'A few slices of noise.',
    'tiny',
    'twin',
    'Not for clinical use.',
    'as their arrays are stored',
  ])
    expect(page).toContain(name);
  for (const ranking of rankings(report))
    for (const one of [...ranking.proponents, ...ranking.opponents]) {
      expect(page).toContain(`>${score(one.score)}<`);
      expect(one.cosine === undefined).toBe(ranking.normalize !== 'cosine');
      if (one.cosine !== undefined)
        expect(page).toContain(
          `>${cosine(one.cosine)}</span> <span class="quiet${ranking.by === 'slice' ? ' number' : '">mean, sum <span class="number'}">${score(one.score)}<`,
        );
    }
  for (const line of report.networks[0]!.definition) expect(page).toContain(line.replace("'", '&#39;').replaceAll("'", '&#39;'));
  expect(page).toContain('0.900');
});

test('nothing on the page reaches out of it', async () => {
  const page = await renderPage(report);
  for (const [, target] of page.matchAll(/(?:href|src|action|srcset|data)\s*=\s*"([^"]*)"/g))
    expect(target).toMatch(/^(?:#|data:image\/png;base64,)/);
  expect(page.replaceAll('xmlns="http://www.w3.org/2000/svg"', '')).not.toMatch(/https?:|<script|<link|<iframe|@import|url\(|\son\w+=/i);
  expect(page.match(/not for clinical use/gi)).toHaveLength(1);
  const ids = new Set([...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id));
  const referred = [...page.matchAll(/href="#([^"]+)"/g)].map(([, id]) => id);
  expect(referred.length).toBeGreaterThan(20);
  for (const id of referred) expect(ids).toContain(id);
  // What can be scrolled by keyboard says what it is.
  const regions = [...page.matchAll(/role="region" aria-label="([^"]*)"/g)].map(([, label]) => label);
  expect(regions).toContain('Influence T between classes (mean of all pairs)');
  expect(regions).not.toContain('');
});

test('names are text, whatever is in them', async () => {
  const hostile = `"><script>alert('1')</script>&`;
  const evil = JSON.parse(JSON.stringify(report).replaceAll('"A tiny study"', JSON.stringify(hostile))) as Report;
  const renamed: Report = {
    ...evil,
    networks: evil.networks.map((network) => ({
      ...network,
      name: hostile,
      slices: network.slices.map((slice) => ({ ...slice, case: hostile })),
    })),
    classes: evil.classes.map((name) => name + hostile),
  };
  const page = await renderPage(renamed);
  expect(page).not.toContain('<script');
  expect(page).toContain('&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;');
});

test('a class that is absent is said to be, and studies of other classes are refused', async () => {
  const { slices } = report.networks[0]!;
  const absent = slices.flatMap(({ regions }) => regions).filter(({ pixels }) => pixels === 0);
  expect(absent.length).toBeGreaterThan(0);
  expect(await renderPage(report)).toContain(`No ${absent[0]!.class} region in this slice.`);
  const subject = { name: 'tiny', study, test: tiny.test, train: tiny.train };
  const other = Object.assign(Object.create(study) as Study, { classes: ['a', 'b', 'c'] });
  await expect(buildReport({ title: '', subjects: [subject, { ...subject, study: other }] })).rejects.toMatchObject({
    code: 'ERR_TRACIN_USAGE',
  });
  await expect(buildReport({ title: '', subjects: [] })).rejects.toMatchObject({ code: 'ERR_TRACIN_USAGE' });
});

test('slices asked for are shown, in their order; others are refused by name', async () => {
  const subjects = [{ name: 'tiny', study, test: tiny.test, train: tiny.train }];
  const [first, second] = study.tests.slices;
  const asked = await buildReport({ title: '', subjects, tests: [{ case: second!.case }, { case: first!.case, slice: first!.index }] });
  expect(asked.networks[0]!.slices.map((slice) => slice.case)).toEqual([second!.case, first!.case]);
  await expect(buildReport({ title: '', subjects, tests: [{ case: 'Nobody' }] })).rejects.toMatchObject({
    code: 'ERR_TRACIN_USAGE',
    message: expect.stringMatching(/unknown test case Nobody: choose from /) as string,
  });
  await expect(buildReport({ title: '', subjects, tests: [{ case: first!.case, slice: 77 }] })).rejects.toMatchObject({
    message: expect.stringMatching(/has no test slice 77: choose from 0/) as string,
  });
});

test('without the data there is a page too, which says what it lacks', async () => {
  const bare = await buildReport({ title: '', subjects: [{ name: 'tiny', study }] });
  expect(bare.pictures).toEqual([]);
  expect(rankings(bare).length).toBeGreaterThan(8);
  const page = await renderPage(bare);
  for (const ranking of rankings(bare)) for (const one of ranking.proponents) expect(page).toContain(`>${score(one.score)}<`);
  // Slices that study.json does not say how to open: no command could.
  const suggested = [...page.matchAll(/<code>tracin-seg (\w+)/g)].map(([, command]) => command);
  expect(suggested).toEqual(['stability']);
});
