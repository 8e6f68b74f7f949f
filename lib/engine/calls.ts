/** Calls of a native program, one after another as the addon wants them. */
import { TracinError } from '../errors';
import type { CallOptions } from './engine';
import { checkCall } from './validate';

/** A call to come: the place its arrays are staged in, from when that is free. */
export interface Coming {
  readonly place: number;
  readonly free: Promise<unknown>;
}

export class Calls {
  /** Ends with the last call, well or not. */
  #last: Promise<unknown> = Promise.resolve();
  /** Ends as the last call begins. */
  #before: Promise<unknown> = Promise.resolve();
  #count = 0;

  /** The call made next: calls take two places in turns, and one is free when the call before the last has ended. */
  coming(): Coming {
    return { place: this.#count % 2, free: this.#before };
  }

  /** @param call in its turn; the signal of `options` raises the flag it is given, which the core polls */
  async run<T>(options: CallOptions, call: (abort: Int32Array) => Promise<T>): Promise<T> {
    checkCall(options);
    const { signal } = options;
    const flag = new Int32Array(1);
    const raise = (): void => void Atomics.store(flag, 0, 1);
    if (signal?.aborted) raise();
    signal?.addEventListener('abort', raise, { once: true });
    const turn = this.#last.then(async () => {
      if (flag[0]) throw new TracinError('ERR_TRACIN_ABORTED', 'interrupted', { cause: signal?.reason });
      return call(flag);
    });
    this.#count++;
    this.#before = this.#last;
    this.#last = turn.catch(() => undefined);
    try {
      return await turn;
    } finally {
      signal?.removeEventListener('abort', raise);
    }
  }

  /** Once every call so far has ended. */
  ended(): Promise<unknown> {
    return this.#last;
  }
}
