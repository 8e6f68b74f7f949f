/** Worker threads of one kind, started when first needed; each call goes to the thread with the fewest waiting. */
import { setMaxListeners } from 'node:events';
import { coresHere } from '../cores';
import { WorkerThread } from '../worker-thread';

interface Busy {
  readonly thread: WorkerThread;
  waiting: number;
}

export class WorkerPool {
  readonly #module: string;
  readonly #size: number;
  readonly #threads: Busy[] = [];

  constructor(module: string, size: number = coresHere()) {
    this.#module = module;
    this.#size = size;
  }

  async call<T>(method: string, argument: unknown, signal?: AbortSignal): Promise<T> {
    let chosen = this.#threads.reduce<Busy | undefined>((best, one) => (best && best.waiting <= one.waiting ? best : one), undefined);
    if (!chosen || (chosen.waiting > 0 && this.#threads.length < this.#size)) {
      chosen = { thread: new WorkerThread(this.#module), waiting: 0 };
      this.#threads.push(chosen);
    }
    chosen.waiting++;
    // One signal may rightly stop hundreds of calls.
    if (signal) setMaxListeners(0, signal);
    try {
      return await chosen.thread.call<T>(method, argument, { signal });
    } finally {
      chosen.waiting--;
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.splice(0).map(({ thread }) => thread.close()));
  }
}
