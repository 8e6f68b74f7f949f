/** Keeps compute fed: the next item is loaded while the current one is worked on. */

/** Yields load(0) … load(count − 1) in order, always one load ahead; a consumer that stops early waits for the load in flight. */
export async function* readAhead<T>(count: number, load: (item: number) => Promise<T>): AsyncGenerator<T> {
  const start = (item: number): Promise<T> | undefined => {
    const pending = item < count ? load(item) : undefined;
    pending?.catch(() => undefined); // met when it is awaited below
    return pending;
  };
  let next = start(0);
  try {
    for (let item = 0; next; item++) {
      const current: T = await next;
      next = start(item + 1);
      yield current;
    }
  } finally {
    await next?.catch(() => undefined);
  }
}

/**
 * Yields what a call gives for each item, in order; the next call is made before one has ended. A consumer that stops early waits for the
 * call in flight.
 */
export async function* callAhead<T, R>(items: AsyncIterable<T>, call: (item: T) => Promise<R>): AsyncGenerator<R> {
  let last: Promise<R> | undefined;
  try {
    for await (const item of items) {
      const before = last;
      last = call(item);
      last.catch(() => undefined); // met when its turn comes
      if (before) yield await before;
    }
    if (last) yield await last;
  } finally {
    await last?.catch(() => undefined);
  }
}
