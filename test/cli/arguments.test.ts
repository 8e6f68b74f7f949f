import { InvalidArgumentError } from 'commander';
import { bytes, caseAndSlice, decimal, imageSize, listOf, range, shard, wholeNumber, words } from '../../lib/cli/arguments';

/** The message a reader refuses `text` with. */
function refusal(read: (text: string) => unknown, text: string): string {
  try {
    return `accepted as ${JSON.stringify(read(text))}`;
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidArgumentError);
    return (error as Error).message;
  }
}

test.each([
  ['0', 0],
  ['007', 7],
  ['192', 192],
])('wholeNumber reads %s', (text, value) => {
  expect(wholeNumber()(text)).toBe(value);
});

test.each(['', ' 3', '3.0', '1e3', '0x10', 'three', '-1', '99999999999999999999'])('wholeNumber refuses %j', (text) => {
  expect(refusal(wholeNumber(), text)).toBe('Expected a whole number of at least 0.');
});

test('bounds are part of the message', () => {
  expect(refusal(wholeNumber({ least: 16, most: 512 }), '8')).toBe('Expected a whole number of at least 16 and at most 512.');
  expect(refusal(decimal({ least: 0, above: true }), '0')).toBe('Expected a number above 0.');
  expect(refusal(decimal({ least: 0, most: 1 }), '1.5')).toBe('Expected a number of at least 0 and at most 1.');
});

test.each([
  ['0.05', 0.05],
  ['5e-2', 0.05],
  ['.5', 0.5],
  ['-3', -3],
])('decimal reads %s', (text, value) => {
  expect(decimal()(text)).toBe(value);
});

test.each(['', 'NaN', 'Infinity', '1,5', '0x1', '1e', '--1', '1e999'])('decimal refuses %j', (text) => {
  expect(refusal(decimal(), text)).toBe('Expected a number.');
});

test('lists', () => {
  expect(words('NCR, ED,ET')).toEqual(['NCR', 'ED', 'ET']);
  expect(refusal(words, 'ED,,ET')).toMatch('none empty');
  expect(refusal(words, '')).toMatch('none empty');
  expect(refusal(words, 'ED,ET,ED')).toBe('Expected each name once, but ED stands twice.');
  expect(listOf(decimal())('0.1, 0.1,0.01')).toEqual([0.1, 0.1, 0.01]);
  expect(refusal(listOf(decimal()), '0.1,,0.2')).toBe('Expected a number.');
});

test('image sizes, height first', () => {
  expect(imageSize('192')).toEqual([192, 192]);
  expect(imageSize('192x160')).toEqual([192, 160]);
  for (const text of ['', '192x', 'x192', '192X160', '192x160x3', '-192', '0', '5000'])
    expect(refusal(imageSize, text)).toMatch(/^Expected a size/);
});

test('shards, counted from 1', () => {
  expect(shard('2/8')).toEqual({ index: 2, count: 8 });
  for (const text of ['', '2', '2/', '0/2', '3/2', '1/2/3', '-1/2', '1.5/2']) expect(refusal(shard, text)).toMatch(/^Expected I\/N/);
});

test('amounts of memory in powers of 1024', () => {
  expect(bytes('4G')).toBe(4 * 2 ** 30);
  expect(bytes('1.5g')).toBe(1.5 * 2 ** 30);
  expect(bytes('512MiB')).toBe(512 * 2 ** 20);
  expect(bytes('100')).toBe(100);
  for (const text of ['', 'G', '4 G', '-4G', '4X', '0', '9999999T']) expect(refusal(bytes, text)).toMatch(/^Expected an amount of memory/);
});

test('ranges include both ends', () => {
  expect(range('90-99')).toEqual([90, 99]);
  expect(range('5-5')).toEqual([5, 5]);
  for (const text of ['', '90', '90-', '-99', '90..99', '99-90']) expect(refusal(range, text)).toMatch(/^Expected a range/);
});

test('a case, and a slice of it', () => {
  expect(caseAndSlice('BraTS2021_00006')).toEqual({ case: 'BraTS2021_00006', slice: undefined });
  expect(caseAndSlice('BraTS2021_00006:92')).toEqual({ case: 'BraTS2021_00006', slice: 92 });
  expect(caseAndSlice('site:7:0')).toEqual({ case: 'site:7', slice: 0 });
  expect(caseAndSlice('site:a')).toEqual({ case: 'site:a', slice: undefined });
  expect(refusal(caseAndSlice, '')).toMatch(/^Expected CASE or CASE:SLICE/);
});
