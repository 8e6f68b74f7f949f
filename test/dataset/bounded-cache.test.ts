import { BoundedCache } from '../../lib/dataset/bounded-cache';

function counted(limit: number, load?: (key: string, signal: AbortSignal) => Promise<string>) {
  const loads: string[] = [];
  const cache = new BoundedCache<string, string>(
    limit,
    (key, signal) => {
      loads.push(key);
      return load?.(key, signal) ?? Promise.resolve(`value of ${key}`);
    },
    () => 10,
  );
  return { cache, loads };
}

test('several that ask at once share one load', async () => {
  const { cache, loads } = counted(100);
  expect(await Promise.all([cache.get('a'), cache.get('a'), cache.get('a')])).toEqual(Array(3).fill('value of a'));
  expect(loads).toEqual(['a']);
});

test('the least recently used goes first once the bytes are used up', async () => {
  const { cache, loads } = counted(20);
  for (const key of ['a', 'b', 'a', 'c', 'a', 'b']) await cache.get(key);
  expect(loads).toEqual(['a', 'b', 'c', 'b']);
});

test('what is larger than the whole cache is still given, and not kept', async () => {
  const { cache, loads } = counted(5);
  expect(await cache.get('a')).toBe('value of a');
  await cache.get('a');
  expect(loads).toEqual(['a', 'a']);
});

test('a failed load is not remembered', async () => {
  let fail = true;
  const { cache } = counted(100, (key) => (fail ? Promise.reject(new Error('unreadable')) : Promise.resolve(key)));
  await expect(cache.get('a')).rejects.toThrow('unreadable');
  fail = false;
  expect(await cache.get('a')).toBe('a');
});

test('the load is aborted when the last who waits gives up, not before', async () => {
  const signals: AbortSignal[] = [];
  const { cache, loads } = counted(100, (_, signal) => {
    signals.push(signal);
    return new Promise((resolve) => setTimeout(() => resolve('late'), 20));
  });
  const [one, two] = [new AbortController(), new AbortController()];
  const first = cache.get('a', one.signal);
  const second = cache.get('a', two.signal);
  one.abort();
  await expect(first).rejects.toMatchObject({ code: 'ERR_TRACIN_ABORTED' });
  expect(signals[0]!.aborted).toBe(false);
  two.abort();
  await expect(second).rejects.toMatchObject({ code: 'ERR_TRACIN_ABORTED' });
  expect(signals[0]!.aborted).toBe(true);
  expect(await cache.get('a')).toBe('late');
  expect(loads).toEqual(['a', 'a']);
});
