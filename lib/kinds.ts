/**
 * What programs without types hand to the package's functions, held against tables of what each option has to be. A table names every
 * option of its type, or it does not compile. Plain functions: schemas would be made anew in every process that loads the package.
 */
import { inspect } from 'node:util';
import { TracinError } from './errors';
import type { OnProgress } from './progress';

interface Wrong {
  /** Where within the value, `.subjects[0].name`; empty for the value itself. */
  readonly at: string;
  readonly value: unknown;
  /** Completes "give …". */
  readonly give: string;
}

/** Says what is wrong with a value that is to be a T. */
export interface Kind<T> {
  (value: unknown): Wrong | undefined;
  /** Never there: tells the kinds of different types apart. */
  readonly means?: () => T;
}

/** One for each option. */
export type Kinds<T> = { readonly [K in keyof T]-?: Kind<T[K]> };

/**
 * Holds the options of a public function, or its arguments by name, against their kinds.
 * @throws ERR_TRACIN_USAGE naming function and option, with what it is and what to give
 */
export function check<T extends object>(call: string, given: T, kinds: Kinds<NoInfer<T>>): void {
  const wrong = shape(kinds)(given);
  if (!wrong) return;
  const { at, value, give } = wrong;
  throw new TracinError('ERR_TRACIN_USAGE', `${call}: ${at === '' ? 'options' : at.slice(1)} is ${shown(value)}: give ${give}`);
}

/** A value in a few words, whatever it is. */
export function shown(value: unknown): string {
  const words = inspect(value, { depth: 0, breakLength: Infinity, customInspect: false, maxArrayLength: 4, maxStringLength: 60 });
  return words.length > 80 ? `${words.slice(0, 80)}…` : words;
}

export function kindOf<T>(give: string, is: (value: unknown) => boolean): Kind<T> {
  return (value) => (is(value) ? undefined : { at: '', value, give });
}

/** Neither a list nor a promise, which somebody forgot to await. */
const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && typeof (value as { then?: unknown }).then !== 'function';

export const anything: Kind<never> = () => undefined;
export const text: Kind<string> = kindOf('a text', (value) => typeof value === 'string');
/** An empty one would mean the folder one is in. */
export const anyPath: Kind<string> = kindOf('a path', (value) => typeof value === 'string' && value !== '');
export const flag: Kind<boolean> = kindOf('true or false', (value) => typeof value === 'boolean');
export const number: Kind<number> = kindOf('a number', Number.isFinite);
export const share: Kind<number> = kindOf('a share from 0 to 1', (value) => typeof value === 'number' && value >= 0 && value <= 1);
export const callback: Kind<never> = kindOf('a function', (value) => typeof value === 'function');
export const object: Kind<never> = kindOf('an object', isObject);
export const mapping: Kind<never> = kindOf(
  'a Map',
  (value) => typeof (value as Map<unknown, unknown> | null | undefined)?.get === 'function',
);
/** Plain data that can be written down. */
export const json: Kind<never> = kindOf('what JSON can hold', (value) => {
  try {
    return JSON.stringify(value) !== undefined;
  } catch {
    return false;
  }
});
const signal: Kind<AbortSignal> = kindOf('the signal of an AbortController', (value) => value instanceof AbortSignal);

export function whole(least = Number.MIN_SAFE_INTEGER, most = Number.MAX_SAFE_INTEGER): Kind<number> {
  const low = least === Number.MIN_SAFE_INTEGER ? '' : ` of at least ${least}`;
  const range = most === Number.MAX_SAFE_INTEGER ? low : ` from ${least} to ${most}`;
  return kindOf(
    `a whole number${range}`,
    (value) => Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most,
  );
}

/** A typed array. */
export function array<T extends ArrayBufferView>(name: 'Float32Array' | 'Uint8Array'): Kind<T> {
  return kindOf(`a ${name}`, (value) => Object.prototype.toString.call(value) === `[object ${name}]`);
}

export function oneOf<const T extends string>(choices: readonly T[]): Kind<T> {
  return kindOf(`one of ${choices.join(', ')}`, (value) => choices.includes(value as T));
}

export function optional<T>(kind: Kind<T>): Kind<T | undefined> {
  return (value) => {
    const wrong = value === undefined ? undefined : kind(value);
    return wrong?.at === '' ? { ...wrong, give: `${wrong.give}, or leave it out` } : wrong;
  };
}

export function list<T>(kind: Kind<T>): Kind<readonly T[]> {
  return (value) => {
    if (!Array.isArray(value)) return { at: '', value, give: 'a list' };
    for (const [i, one] of value.entries()) {
      const wrong = kind(one);
      if (wrong) return { ...wrong, at: `[${i}]${wrong.at}` };
    }
    return undefined;
  };
}

/** A long list, made of one kind: the first tells for all. */
export function alike<T>(kind: Kind<T>): Kind<readonly T[]> {
  return (value) => list(kind)(Array.isArray(value) ? value.slice(0, 1) : value);
}

/** Values of one kind by names of the caller's own. */
export function record<T>(kind: Kind<T>): Kind<Readonly<Record<string, T>>> {
  return (value) => (isObject(value) ? shape(Object.fromEntries(Object.keys(value).map((key) => [key, kind])))(value) : object(value));
}

/** @param give what to say where the value is no object at all; by default an object with the keys that it cannot do without */
export function shape<T extends object>(kinds: Kinds<T>, give?: string): Kind<T> {
  return (value) => {
    if (!isObject(value)) return { at: '', value, give: give ?? `an object with ${needed(kinds)}` };
    for (const [key, kind] of Object.entries<Kind<unknown>>(kinds)) {
      const wrong = kind(value[key]);
      if (wrong) return { ...wrong, at: `.${key}${wrong.at}` };
    }
    for (const key of Object.keys(value)) {
      const meant = key in kinds ? undefined : misspelt(key, Object.keys(kinds));
      if (meant !== undefined && value[meant] === undefined) return { at: `.${key}`, value: value[key], give: `it as ${meant}` };
    }
    return undefined;
  };
}

/** Which of the names a word is but for a letter or two: other words may be somebody's own. */
function misspelt(word: string, names: readonly string[]): string | undefined {
  const most = word.length < 3 ? 0 : word.length < 7 ? 1 : 2;
  return names.find((name) => Math.abs(name.length - word.length) <= most && distance(word, name) <= most);
}

/** Letters to insert, leave out or replace (Levenshtein 1966). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + Number(a[i - 1] !== b[j - 1])));
    row = next;
  }
  return row[b.length]!;
}

function needed(kinds: Readonly<Record<string, Kind<unknown>>>): string {
  const keys = Object.keys(kinds).filter((key) => kinds[key]!(undefined));
  return keys.join(', ') || 'any of its options';
}

/** Whether a value is an object that has such a key. */
export function has(key: string): (value: unknown) => boolean {
  return (value) => isObject(value) && key in value;
}

/** The first where `is` says so, else the second. */
export function either<A, B>(is: (value: unknown) => boolean, first: Kind<A>, second: Kind<B>): Kind<A | B> {
  return (value) => (is(value) ? first(value) : second(value));
}

/** What every long call takes. */
export const CALL: Kinds<{ readonly signal?: AbortSignal | undefined; readonly onProgress?: OnProgress | undefined }> = {
  signal: optional(signal),
  onProgress: optional(callback),
};
