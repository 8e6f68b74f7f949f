import { Once } from '../lib/once';

test('work is done once, and anew, once for all who ask again, where it failed', async () => {
  const once = new Once<number>();
  let begun = 0;
  const work = async (): Promise<number> => {
    if (++begun === 1) throw new Error('no');
    return begun;
  };
  const ask = (): Promise<number> => once.get('key', work);
  const insisting = [1, 2, 3].map(() => ask().catch(ask));
  expect(await Promise.all(insisting)).toEqual([2, 2, 2]);
  expect(await ask()).toBe(2);
  expect(begun).toBe(2);
});
