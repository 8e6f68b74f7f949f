/** A worker thread that answers calls in order. It is stopped by message: terminating one inside native code ends the process. */
import { existsSync } from 'node:fs';
import { join, sep } from 'node:path';
import { parentPort, Worker, workerData, type Transferable } from 'node:worker_threads';
import { TracinError, type ErrorCode } from './errors';

interface Call {
  readonly id: number;
  readonly method: string;
  readonly argument: unknown;
  readonly abort: Int32Array;
}
interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: { readonly code: ErrorCode; readonly message: string; readonly stack: string; readonly errno?: string | undefined };
}
const STOP = 'stop';

/** The compiled twin of a module under lib/: beside this file when compiled, in dist/ when the sources run (tests). */
export function compiledModule(module: string): string {
  const here = join(__dirname, `${module}.js`);
  if (existsSync(here)) return here;
  const root = __dirname.slice(0, __dirname.lastIndexOf(`${sep}lib`));
  const built = join(root, 'dist', 'lib', `${module}.js`);
  if (existsSync(built)) return built;
  const advice = existsSync(join(root, 'scripts', 'build.mjs')) ? 'run `npm run build`' : 'the package is incomplete, install it again';
  throw new TracinError('ERR_TRACIN_ENGINE', `${module} is not compiled (looked for ${here}, ${built}): ${advice}`);
}

/** As it was thrown in the thread; the cause has its stack and, where a file could not be reached, Node's code. */
function failureOf({ code, message, stack, errno }: NonNullable<Answer['error']>): TracinError {
  return new TracinError(code, message, {
    cause: Object.assign(new Error(message), { stack }, errno === undefined ? {} : { code: errno }),
  });
}

/** What is known of a thread where it is listened to: not its WorkerThread, which would be held there for ever. */
interface State {
  readonly waiting: Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>;
  ended: Error | undefined;
  closing: boolean;
}

/** Threads whose WorkerThread nobody has any more, and nobody closed. */
const forgotten = new FinalizationRegistry<Worker>((worker) => worker.postMessage(STOP));

export class WorkerThread {
  readonly #worker: Worker;
  readonly #state: State = { waiting: new Map(), ended: undefined, closing: false };
  #next = 0;

  /** @param module path under lib/ without extension, e.g. `inference/session-worker` */
  constructor(module: string, data?: unknown) {
    this.#worker = new Worker(compiledModule(module), { workerData: data });
    listen(this.#worker, module, this.#state);
    forgotten.register(this, this.#worker);
  }

  /** Calls a method that the worker serves. The signal sets a flag the worker polls. */
  async call<T>(
    method: string,
    argument: unknown,
    options: { readonly transfer?: readonly Transferable[]; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<T> {
    if (this.#state.ended) throw this.#state.ended;
    const abort = new Int32Array(new SharedArrayBuffer(4));
    const onAbort = (): void => void Atomics.store(abort, 0, 1);
    if (options.signal?.aborted) onAbort();
    options.signal?.addEventListener('abort', onAbort, { once: true });
    const id = this.#next++;
    try {
      this.#post({ id, method, argument, abort }, options.transfer);
      this.#worker.ref();
      return await new Promise<T>((resolve, reject) => {
        this.#state.waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      });
    } finally {
      options.signal?.removeEventListener('abort', onAbort);
    }
  }

  /** @throws ERR_TRACIN_USAGE for what no other thread can be given */
  #post(call: Call, transfer: readonly Transferable[] = []): void {
    try {
      this.#worker.postMessage(call, [...transfer]);
    } catch (error) {
      const [words] = (error as Error).message.split('\n');
      throw new TracinError('ERR_TRACIN_USAGE', `${call.method}: ${words} Give plain data, without functions`, { cause: error });
    }
  }

  /** Lets the call in flight finish, then ends the thread. */
  async close(): Promise<void> {
    if (this.#state.ended) return;
    this.#state.closing = true;
    this.#worker.ref();
    const exit = new Promise<void>((resolve) => this.#worker.once('exit', () => resolve()));
    this.#worker.postMessage(STOP);
    await exit;
  }
}

/** Hands answers to those who wait. The process may end while nobody does. */
function listen(worker: Worker, module: string, state: State): void {
  const { waiting } = state;
  worker.on('message', (answer: Answer) => {
    const call = waiting.get(answer.id);
    waiting.delete(answer.id);
    // While it is being closed its end is waited for.
    if (waiting.size === 0 && !state.closing) worker.unref();
    if (!call) return;
    if (answer.error) call.reject(failureOf(answer.error));
    else call.resolve(answer.result);
  });
  const end = (error: Error): void => {
    state.ended ??= error;
    for (const call of waiting.values()) call.reject(state.ended);
    waiting.clear();
  };
  worker.on('error', (error) => {
    end(new TracinError('ERR_TRACIN_INTERNAL', `worker ${module} failed: ${error.message}`, { cause: error }));
  });
  worker.on('exit', () => {
    end(new TracinError('ERR_TRACIN_INTERNAL', `worker ${module} has ended`));
  });
  worker.unref();
}

export interface ServedCall {
  /** Throws ERR_TRACIN_ABORTED once the caller's signal has fired. */
  throwIfAborted(): void;
}

/** A method's answer: the result and the buffers to hand over instead of copying. */
export interface Served {
  readonly result: unknown;
  readonly transfer?: readonly Transferable[];
}

/** Run in a worker module: answers calls one at a time until told to stop. */
export function serve(create: (data: unknown) => Record<string, (argument: never, call: ServedCall) => Served | Promise<Served>>): void {
  const port = parentPort;
  if (!port) return;
  const methods = create(workerData);
  let last: Promise<void> = Promise.resolve();
  port.on('message', (message: Call | typeof STOP) => {
    last = last.then(async () => {
      if (message === STOP) return port.close();
      const { id, method, argument, abort } = message;
      const call: ServedCall = {
        throwIfAborted() {
          if (Atomics.load(abort, 0)) throw new TracinError('ERR_TRACIN_ABORTED', 'interrupted');
        },
      };
      try {
        const serveMethod = methods[method];
        if (!serveMethod) throw new TracinError('ERR_TRACIN_INTERNAL', `worker has no method ${method}`);
        call.throwIfAborted();
        const { result, transfer } = await serveMethod(argument as never, call);
        port.postMessage({ id, result } satisfies Answer, transfer ? [...transfer] : []);
      } catch (error) {
        const failure = error instanceof Error ? error : new Error(String(error));
        const code = failure instanceof TracinError ? failure.code : 'ERR_TRACIN_INTERNAL';
        const errno = (failure.cause as NodeJS.ErrnoException | undefined)?.code;
        port.postMessage({ id, error: { code, message: failure.message, stack: failure.stack ?? '', errno } } satisfies Answer);
      }
    });
  });
}
