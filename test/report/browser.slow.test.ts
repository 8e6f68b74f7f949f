/**
 * The page in a browser: a study of 40 test and 400 training slices, opened from disk at every width, in light and dark, by keyboard, on paper.
 * Screenshots are left in TRACIN_SCREENSHOTS, where that is set.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium, type Browser, type Page } from 'playwright-core';
import { tracin } from '../support/cli';

const cwd = mkdtempSync(join(tmpdir(), 'tracin-browser-'));
const file = join(cwd, 'report.html');
let browser: Browser;

function executable(): string {
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    try {
      return execFileSync('which', [name], { encoding: 'utf8' }).trim();
    } catch {
      // the next one
    }
  }
  throw new Error('no Chromium: install Debian’s package `chromium` (npm run test:slow does, as root)');
}

beforeAll(async () => {
  for (const words of [
    'phantom patients --cases 50 --size 96 --planted 0.2',
    'train --data patients --shares 0.8,0.12,0.08 --size 96 --slices tumour:8 --spread 10 --network resunet --width 6 --levels 3 --epochs 2 --run run',
    'influence --run run --spread 10 --out study',
    'explain study --features --shuffles 50',
    'faithfulness study --only correlation,ablation,faults',
    'audit study',
    'report study --out report.html',
  ]) {
    const { status, stderr } = await tracin(words.split(' '), { cwd });
    if (status !== 0) throw new Error(`${words}: ${stderr}`);
  }
  browser = await chromium.launch({ executablePath: executable(), args: ['--no-sandbox'] });
}, 1_200_000);
afterAll(async () => {
  await browser?.close();
  rmSync(cwd, { recursive: true, force: true });
});

interface Opened {
  readonly page: Page;
  readonly console: string[];
  readonly requests: string[];
  /** Until everything is painted. */
  readonly milliseconds: number;
}

async function open(width: number, height: number, colorScheme: 'light' | 'dark' = 'light'): Promise<Opened> {
  const page = await browser.newPage({ viewport: { width, height }, colorScheme });
  const [console, requests]: string[][] = [[], []];
  page.on('console', (message) => console!.push(message.text()));
  page.on('pageerror', (error) => console!.push(error.message));
  page.on('request', (request) => requests!.push(request.url().slice(0, 100)));
  const start = Date.now();
  await page.goto(pathToFileURL(file).href, { waitUntil: 'load' });
  await page.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))');
  return { page, console: console!, requests: requests!, milliseconds: Date.now() - start };
}

async function screenshot(page: Page, name: string): Promise<Buffer> {
  const folder = process.env.TRACIN_SCREENSHOTS;
  if (folder) mkdirSync(folder, { recursive: true });
  return page.screenshot(folder ? { path: join(folder, `${name}.png`) } : {});
}

/** What a CSS expression in the page says; `page.evaluate` of a string, since these functions are compiled for Node. */
const ask = <T>(page: Page, expression: string): Promise<T> => page.evaluate(expression);

test('it is small and opens at once', async () => {
  const { page, milliseconds } = await open(1400, 1000);
  const megabytes = statSync(file).size / 1e6;
  process.stderr.write(`${megabytes.toFixed(1)} MB, painted after ${milliseconds} ms\n`);
  expect(megabytes).toBeLessThan(25);
  expect(milliseconds).toBeLessThan(2000);
  expect(await ask<number>(page, 'document.querySelectorAll("article").length')).toBe(4);
  const cohort = await ask<string[][]>(page, '[...document.querySelectorAll(".cohort table")[0].rows].map((row) => [...row.cells].map((cell) => cell.textContent))'); // prettier-ignore
  expect(cohort.map((cells) => cells.slice(0, 3))).toEqual([
    ['', 'patients', 'slices'],
    ['training', '40', '400'],
    ['test', '4', '40'],
  ]);
  await page.close();
});

test.each([
  ['phone', 390, 844],
  ['desktop', 1400, 1000],
  ['4K', 3840, 2160],
] as const)('at the width of a %s nothing sticks out, nothing is said, nothing is asked for', async (name, width, height) => {
  const { page, console, requests } = await open(width, height);
  for (const mode of ['show-outlines', 'show-maps', 'by-patient', 'large']) {
    await page.check(`#${mode}`);
    expect(await ask<number>(page, 'document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
  }
  await page.uncheck('#large');
  await page.check('#by-slice');
  await page.locator('article').first().scrollIntoViewIfNeeded();
  expect((await screenshot(page, name)).length).toBeGreaterThan(20_000);
  expect(console).toEqual([]);
  expect(requests.filter((url) => !url.startsWith('data:'))).toEqual([pathToFileURL(file).href]);
  // Letters are not smaller than people can read.
  const smallest = await ask<number>(page, 'Math.min(...[...document.querySelectorAll("main p, main figcaption, main td, main li")].filter((e) => e.offsetParent).map((e) => parseFloat(getComputedStyle(e).fontSize)))'); // prettier-ignore
  expect(smallest).toBeGreaterThanOrEqual(12);
  await page.close();
});

/** Contrast of WCAG 2 between the text and the background of an element. */
const CONTRAST = `(selector) => {
  const parse = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const light = (c) => c.map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)).reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
  const element = document.querySelector(selector);
  let behind = element;
  while (behind && getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)') behind = behind.parentElement;
  const [a, b] = [parse(getComputedStyle(element).color), parse(getComputedStyle(behind ?? document.body).backgroundColor)].map(light).sort((x, y) => y - x);
  return (a + 0.05) / (b + 0.05);
}`;

test.each(['light', 'dark'] as const)('in %s there is contrast enough', async (scheme) => {
  const { page } = await open(1400, 1000, scheme);
  await screenshot(page, scheme);
  const contrasts: [string, number][] = [];
  for (const selector of [
    'main p',
    'main .quiet',
    '.toolbar legend',
    '.proponent .sign',
    '.opponent .sign',
    '.warning',
    'main th',
    'summary',
  ])
    contrasts.push([selector, await ask<number>(page, `(${CONTRAST})(${JSON.stringify(selector)})`)]);
  expect(contrasts.filter(([, contrast]) => !(contrast >= 4.5))).toEqual([]);
  const paper = await ask<string>(page, 'getComputedStyle(document.body).backgroundColor');
  expect(Number(/\d+/.exec(paper)![0]) < 128).toBe(scheme === 'dark');
  await page.close();
});

test('by keyboard: skip link, every choice of the bar, every detail; focus is seen', async () => {
  const { page } = await open(1400, 1000);
  const focused = <T>(what: string): Promise<T> => ask<T>(page, `(() => { const e = document.activeElement; return ${what}; })()`);
  const visible = (selector: string): Promise<boolean> => page.locator(selector).first().isVisible();
  await page.keyboard.press('Tab');
  expect(await focused<string>('e.textContent')).toBe('Skip to the results');
  expect(await visible('.skip')).toBe(true);
  expect([await visible('.ranking-none.by-slice'), await visible('.ranking-cosine.by-slice')]).toEqual([true, false]);
  const seen = new Set<string>();
  for (let presses = 0; presses < 60; presses++) {
    await page.keyboard.press('Tab');
    seen.add(await focused<string>('e.id || e.getAttribute("href") || e.tagName'));
    expect(await focused<string>('getComputedStyle(e).outlineStyle')).not.toBe('none');
    const id = await focused<string>('e.id');
    if (id === 'ranking-none') await page.keyboard.press('ArrowRight');
    if (id === 'large') await page.keyboard.press('Space');
    if ((await focused<string>('e.tagName')) === 'SUMMARY') {
      await page.keyboard.press('Enter');
      break;
    }
  }
  for (const id of ['#how', '#slice-0-0', 'ranking-none', 'by-slice', 'show-outlines', 'large', 'SUMMARY']) expect(seen).toContain(id);
  expect([await visible('.ranking-none.by-slice'), await visible('.ranking-cosine.by-slice')]).toEqual([false, true]);
  expect(await ask<boolean>(page, 'document.querySelector("#large").checked && document.querySelector("details").open')).toBe(true);
  await page.close();
});

test('for a screen reader: every picture has words, headings do not jump, what is in a list is in a list', async () => {
  const { page } = await open(1400, 1000);
  expect(await ask<number>(page, '[...document.querySelectorAll("svg:not([aria-hidden])")].filter((e) => e.getAttribute("role") !== "img" || !(e.getAttribute("aria-label").length > 5)).length')).toBe(0); // prettier-ignore
  const levels = await ask<number[]>(page, '[...document.querySelectorAll("h1, h2, h3, h4, h5")].map((e) => Number(e.tagName[1]))');
  expect(levels.filter((level) => level === 1)).toHaveLength(1);
  levels.forEach((level, i) => expect(level - (levels[i - 1] ?? 0)).toBeLessThanOrEqual(1));
  const ids = await ask<string[]>(page, '[...document.querySelectorAll("[id]")].map((e) => e.id)');
  expect(new Set(ids).size).toBe(ids.length);
  expect(await ask<number>(page, '[...document.querySelectorAll("[aria-labelledby]")].filter((e) => !document.getElementById(e.getAttribute("aria-labelledby"))).length')).toBe(0); // prettier-ignore
  expect(await ask<number>(page, '[...document.querySelectorAll("input")].filter((e) => !e.closest("label")).length')).toBe(0);
  await page.close();
});

test('on paper: what is chosen, without the bar to choose it by', async () => {
  const { page } = await open(1400, 1000, 'dark');
  await page.check('#ranking-cosine');
  await page.emulateMedia({ media: 'print' });
  const visible = (selector: string): Promise<boolean> => page.locator(selector).first().isVisible();
  // As wide as A4 within its margins: no table can be scrolled there.
  await page.setViewportSize({ width: 717, height: 1000 });
  expect(await ask<number>(page, '[...document.querySelectorAll(".scroll")].filter((e) => e.scrollWidth > e.clientWidth + 1).length')).toBe(0); // prettier-ignore
  expect([await visible('.toolbar fieldset'), await visible('nav'), await visible('.legend')]).toEqual([false, false, true]);
  expect([await visible('.ranking-none.by-slice'), await visible('.ranking-cosine.by-slice')]).toEqual([false, true]);
  expect(await ask<string>(page, 'getComputedStyle(document.body).backgroundColor')).toBe('rgb(255, 255, 255)');
  const pdf = await page.pdf({ format: 'A4', printBackground: true, ...(process.env.TRACIN_SCREENSHOTS && { path: join(process.env.TRACIN_SCREENSHOTS, 'print.pdf') }) }); // prettier-ignore
  expect(pdf.subarray(0, 5).toString()).toBe('%PDF-');
  expect(pdf.toString('latin1').match(/\/Type \/Page\b/g)!.length).toBeGreaterThan(4);
  await page.close();
});
