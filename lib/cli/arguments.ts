/** Strict readers of flag values. Each throws commander's InvalidArgumentError, which names the flag and ends with status 2. */
import { InvalidArgumentError } from 'commander';

function refuse(expected: string): never {
  throw new InvalidArgumentError(`Expected ${expected}.`);
}

interface Bounds {
  readonly least?: number;
  readonly most?: number;
  /** Whether `least` itself is refused. */
  readonly above?: boolean;
}

function inWords(what: string, { least, most, above }: Bounds): string {
  const low = least === undefined ? '' : above ? ` above ${least}` : ` of at least ${least}`;
  return `${what}${low}${most === undefined ? '' : `${low ? ' and' : ' of'} at most ${most}`}`;
}

function within(value: number, { least = -Infinity, most = Infinity, above = false }: Bounds): boolean {
  return Number.isFinite(value) && value >= least && value <= most && !(above && value === least);
}

/** A whole number in plain digits. */
export function wholeNumber(bounds: Bounds = { least: 0 }): (text: string) => number {
  return (text) => {
    const value = /^-?\d+$/.test(text) ? Number(text) : NaN;
    return Number.isSafeInteger(value) && within(value, bounds) ? value : refuse(inWords('a whole number', bounds));
  };
}

/** A decimal number, `0.05` or `5e-2`. */
export function decimal(bounds: Bounds = {}): (text: string) => number {
  return (text) => {
    const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : NaN;
    return within(value, bounds) ? value : refuse(inWords('a number', bounds));
  };
}

/** `a,b,c`: at least one word, none empty, none twice. */
export function words(text: string): string[] {
  const parts = text.split(',').map((part) => part.trim());
  const twice = parts.find((part, i) => parts.indexOf(part) !== i);
  if (parts.includes('')) refuse('names separated by commas, none empty');
  if (twice !== undefined) refuse(`each name once, but ${twice} stands twice`);
  return parts;
}

/** `lesion=255,vessel=10`: the number of each class in label files. */
export function classNumbers(text: string): Record<string, number> {
  const pairs = words(text).map((part) => {
    const [, name, number] = /^(.+)=(\d+)$/.exec(part) ?? refuse('NAME=NUMBER separated by commas, such as lesion=255,vessel=10');
    return [name!.trim(), Number(number)] as const;
  });
  if (new Set(pairs.map(([name]) => name)).size < pairs.length) refuse('each name once');
  return Object.fromEntries(pairs);
}

/** `1,2,3` read by one of the readers above; repetitions are allowed. */
export function listOf(read: (text: string) => number): (text: string) => number[] {
  return (text) => text.split(',').map((part) => read(part.trim()));
}

/** `192` or `192x160`: spatial size in pixels, height first. */
export function imageSize(text: string): number[] {
  const [, height, width] = /^(\d+)(?:x(\d+))?$/.exec(text) ?? refuse('a size in pixels such as 192 or 192x160');
  const size = [Number(height), Number(width ?? height)];
  return size.every((length) => length >= 1 && length <= 4096) ? size : refuse('a size from 1 to 4096 pixels');
}

/** `512M`, `4G` or plain bytes, in powers of 1024. */
export function bytes(text: string): number {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)([KMGT]?)i?B?$/i.exec(text) ?? refuse('an amount of memory such as 512M or 4G');
  const value = Math.floor(Number(number) * 1024 ** ' KMGT'.indexOf(unit.toUpperCase() || ' '));
  return value >= 1 && Number.isSafeInteger(value) ? value : refuse('an amount of memory such as 512M or 4G');
}

/** `90-99`: first and last, both included. */
export function range(text: string): [first: number, last: number] {
  const [, first, last] = /^(\d+)-(\d+)$/.exec(text) ?? refuse('a range such as 90-99, both ends included');
  return Number(first) <= Number(last) ? [Number(first), Number(last)] : refuse('a range whose first number is not above its last');
}

/** `2/8`: the second of eight. */
export function shard(text: string): { index: number; count: number } {
  const [, index, count] = /^(\d+)\/(\d+)$/.exec(text) ?? refuse('I/N such as 2/8, the second of eight');
  return Number(index) >= 1 && Number(index) <= Number(count)
    ? { index: Number(index), count: Number(count) }
    : refuse('I/N with I from 1 to N');
}

/** `CASE` or `CASE:SLICE`; a case name may itself hold colons as long as digits alone do not follow the last one. */
export function caseAndSlice(text: string): { case: string; slice: number | undefined } {
  const [, name, slice] = /^(.+?)(?::(\d+))?$/.exec(text) ?? refuse('CASE or CASE:SLICE, such as BraTS2021_00006:92');
  return { case: name!, slice: slice === undefined ? undefined : Number(slice) };
}
