/** Damaged files: seeded changes of whole ones. */
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { TracinError } from '../../lib/errors';

type Below = (limit: number) => number;

function mutate(whole: Uint8Array, below: Below, reach: number): Uint8Array {
  let bytes = Uint8Array.from(whole);
  for (let change = 0; change <= below(2); change++) {
    const at = below(Math.min(reach, bytes.length));
    switch (below(5)) {
      case 0:
        bytes[at] = below(256);
        break;
      case 1:
        bytes[at]! ^= 1 << below(8);
        break;
      case 2:
        bytes = bytes.subarray(0, Math.max(1, at));
        break;
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + below(8))]);
        break;
      default:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(below(bytes.length)).subarray(0, 1 + below(40)), bytes.subarray(at)]);
    }
    if (bytes.length === 0) return bytes;
  }
  return bytes;
}

export interface Fuzzing {
  readonly count: number;
  readonly seed: number;
  /** Changes begin among the first so many bytes; anywhere when absent. */
  readonly reach?: number;
  readonly codes: RegExp;
}

/** What one damaged file may take: no hang, and no memory that a lying length asks for. */
const SECONDS = 5;
const BYTES = 256 * 2 ** 20;

/**
 * Hands damaged files to a reader: each must be read or refused by a TracinError of these codes, soon and in little memory.
 * @returns how many were read and how many refused
 */
export async function fuzz(
  whole: Uint8Array,
  { count, seed, reach = whole.length, codes }: Fuzzing,
  read: (bytes: Uint8Array) => void | Promise<void>,
): Promise<{ read: number; refused: number }> {
  const random = xoroshiro128plus(seed);
  const below: Below = (limit) => uniformInt(random, 0, limit - 1);
  const outcomes = { read: 0, refused: 0 };
  for (let i = 0; i < count; i++) {
    const bytes = mutate(whole, below, reach);
    const held = process.memoryUsage().arrayBuffers;
    const started = performance.now();
    try {
      await read(bytes);
      outcomes.read++;
    } catch (error) {
      if (!(error instanceof TracinError)) throw new Error(`mutation ${i}: ${(error as Error).stack}`, { cause: error });
      if (!codes.test(error.code) || error.message.includes('\n')) throw new Error(`mutation ${i}: ${error.code} ${error.message}`);
      outcomes.refused++;
    }
    const [taken, grown] = [performance.now() - started, process.memoryUsage().arrayBuffers - held];
    if (taken > SECONDS * 1000) throw new Error(`mutation ${i} took ${taken} ms`);
    if (grown > BYTES) throw new Error(`mutation ${i} took ${grown} bytes`);
  }
  return outcomes;
}
