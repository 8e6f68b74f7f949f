/** Keeps the most recently used values within a number of bytes; several asking for one value at once share one load. */
import { setMaxListeners } from 'node:events';
import { throwIfAborted } from '../errors';

interface Entry<V> {
  readonly value: Promise<V>;
  readonly controller: AbortController;
  /** How many still wait; when none is left before the value is there, the load is aborted. */
  waiting: number;
  /** Undefined until loaded. */
  bytes: number | undefined;
}

export class BoundedCache<K, V> {
  #limit: number;
  readonly #load: (key: K, signal: AbortSignal) => Promise<V>;
  readonly #sizeOf: (value: V) => number;
  /** In order of use, oldest first. */
  readonly #entries = new Map<K, Entry<V>>();
  #held = 0;

  /** @param limit bytes kept once nobody waits for them any more */
  constructor(limit: number, load: (key: K, signal: AbortSignal) => Promise<V>, sizeOf: (value: V) => number) {
    this.#limit = limit;
    this.#load = load;
    this.#sizeOf = sizeOf;
  }

  /** Keeps no more than so many bytes from now on. */
  limit(bytes: number): void {
    this.#limit = bytes;
    this.#evict();
  }

  /** Keeps so many bytes, if not more, from now on. @returns how many it may keep */
  raise(bytes: number): number {
    return (this.#limit = Math.max(this.#limit, bytes));
  }

  async get(key: K, signal?: AbortSignal): Promise<V> {
    throwIfAborted(signal);
    // One signal may rightly stop hundreds of reads.
    if (signal) setMaxListeners(0, signal);
    const entry = this.#entries.get(key) ?? this.#start(key);
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    entry.waiting++;
    let stopWaiting: (() => void) | undefined;
    try {
      const aborted = new Promise<never>((_, reject) => {
        stopWaiting = () => reject(signal?.reason as Error);
        signal?.addEventListener('abort', stopWaiting, { once: true });
      });
      return await (signal ? Promise.race([entry.value, aborted]) : entry.value);
    } catch (error) {
      throwIfAborted(signal);
      throw error;
    } finally {
      if (stopWaiting) signal?.removeEventListener('abort', stopWaiting);
      if (--entry.waiting === 0 && entry.bytes === undefined) this.#drop(key, entry);
    }
  }

  #start(key: K): Entry<V> {
    const controller = new AbortController();
    const value = this.#load(key, controller.signal);
    const entry: Entry<V> = { value, controller, waiting: 0, bytes: undefined };
    value.then(
      (loaded) => {
        if (this.#entries.get(key) !== entry) return;
        entry.bytes = this.#sizeOf(loaded);
        this.#held += entry.bytes;
        this.#evict();
      },
      () => this.#drop(key, entry),
    );
    return entry;
  }

  /** Forgets a load that failed or that nobody waits for. */
  #drop(key: K, entry: Entry<V>): void {
    entry.controller.abort();
    if (this.#entries.get(key) === entry) this.#entries.delete(key);
  }

  #evict(): void {
    for (const [key, { bytes }] of this.#entries) {
      if (this.#held <= this.#limit) return;
      if (bytes === undefined) continue;
      this.#entries.delete(key);
      this.#held -= bytes;
    }
  }
}
