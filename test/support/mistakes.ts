/** What programs without types get wrong, and how that has to end. */
import { TracinError } from '../../lib/errors';

const callback = (): void => undefined;

const isPlain = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;

/** What people write in place of a value. */
function mistakes(right: unknown): unknown[] {
  if (typeof right === 'number') return [null, String(right), NaN, [right], {}];
  if (typeof right === 'string') return [null, 5, [right], {}, callback];
  if (typeof right === 'boolean') return [null, 1, 'true'];
  if (typeof right === 'function') return [null, 'onProgress', {}];
  if (Array.isArray(right)) return [null, 'a,b', true, {}, [null], new Set(right)];
  if (isPlain(right)) return [null, 'a', 5, [right], callback, ...('read' in right ? [Promise.resolve(right)] : [])];
  return [null, 'a', 5, {}, [], callback, Promise.resolve(right)];
}

interface Mistaken {
  readonly way: readonly string[];
  readonly mistake: unknown;
  /** The value with the mistake in it. */
  readonly value: unknown;
}

/** Every mistake in a value and within it. */
export function* mistaken(right: unknown, way: readonly string[]): Generator<Mistaken> {
  for (const mistake of mistakes(right)) yield { way, mistake, value: mistake };
  if (Array.isArray(right)) {
    for (const one of isPlain(right[0]) ? mistaken(right[0], way) : []) yield { ...one, value: [one.value] };
  } else if (isPlain(right)) {
    for (const [key, own] of Object.entries(right)) {
      for (const one of mistaken(own, [...way, key])) yield { ...one, value: { ...right, [key]: one.value } };
    }
  }
}

/** What is wrong with how a call ends; undefined where it is refused in a line that names something on the way to the mistake. */
export async function complaint(call: () => unknown, way: readonly string[]): Promise<string | undefined> {
  try {
    await call();
    return 'is accepted';
  } catch (error) {
    if (!(error instanceof TracinError)) return `ends with ${String(error)}`;
    const { code, message } = error;
    const isClear = code === 'ERR_TRACIN_USAGE' && way.some((key) => message.includes(key)) && message.length < 250;
    return isClear ? undefined : `says ${code} ${message}`;
  }
}
