/** A Python program that does the same work as we: started once and told when to go, so that both sides can take turns. */
import { execFile, spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { readNpy } from '../lib/npy';

/** With torch, numpy and nibabel; TRACIN_BENCH_PYTHON names another. */
export const PYTHON = process.env.TRACIN_BENCH_PYTHON ?? 'python3';
/** bench/peers, seen from dist/bench. */
export const PEERS = resolve(__dirname, '../../bench/peers');

/** What a variable of the environment says; @param what it is to be */
export function given(name: string, what: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`set ${name}: ${what}`);
  return value;
}

export class Peer {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;

  private constructor(script: string, args: readonly string[]) {
    this.#process = spawn(PYTHON, [join(PEERS, script), ...args]);
    this.#process.stderr.pipe(process.stderr);
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  /**
   * Starts a script of bench/peers. It prints one line of JSON about itself when it is ready, then does its work once for every line that
   * it reads and answers with a line of JSON.
   */
  static async open<About>(script: string, args: readonly string[]): Promise<{ peer: Peer; about: About }> {
    const peer = new Peer(script, args);
    const failed = new Promise<never>((_, reject) => peer.#process.once('error', reject));
    return { peer, about: await Promise.race([peer.#answer<About>(), failed]) };
  }

  /** Has it work once. */
  async go<Answer>(): Promise<Answer> {
    this.#process.stdin.write('go\n');
    return this.#answer<Answer>();
  }

  close(): void {
    this.#process.stdin.end();
  }

  async #answer<Answer>(): Promise<Answer> {
    const line = await this.#lines.next();
    if (line.done)
      throw new Error(`the peer ended: see its own message; TRACIN_BENCH_PYTHON (now ${PYTHON}) names a Python that has its packages`);
    return JSON.parse(line.value) as Answer;
  }
}

/**
 * The scores of torch_peer.py's problem in `dir`, by that script in float64, against which errors are told: float32's own are larger than ours.
 * @param flags of the script's `run`
 */
export async function exactScores(script: string, dir: string, ...flags: readonly string[]): Promise<Float64Array> {
  const out = join(dir, 'T-f64.npy');
  await promisify(execFile)(PYTHON, [join(PEERS, 'float64.py'), script, 'run', dir, '--repeat', '1', '--out', out, ...flags]);
  return (await readNpy(out)).data as Float64Array;
}
