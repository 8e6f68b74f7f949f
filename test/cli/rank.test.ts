/** What `rank` tells of a region that is there but has no gradient. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Ranking } from '../../lib/influence/ranking';
import { writeStudy } from '../influence/support/studies';
import { tracin } from '../support/cli';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tracin-rank-cli-'));
  await writeStudy(dir, {
    classes: ['ET'],
    learningRates: [1],
    test: [
      ['missed', 0, [4]],
      ['seen', 0, [4]],
    ],
    train: [
      ['A', 0, [3]],
      ['B', 0, [2]],
    ],
    products: [[0, 0, 2, 0]],
    testNorms: [0, 1],
  });
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const rankOf = async (test: string, ...flags: string[]): Promise<string> => {
  const { status, stdout } = await tracin(['rank', dir, '--test', test, '--class', 'ET', ...flags]);
  expect(status).toBe(0);
  return stdout;
};

test('says that nothing influences it, and lists nobody', async () => {
  expect(await rankOf('missed')).toMatch(
    /^ET of missed, slice 0 \(4 pixels\), ranked regions of class ET: 2\nThe gradient of this region is zero/,
  );
  expect(await rankOf('missed')).not.toMatch(/proponents\n|opponents\n/);
  const ranking = JSON.parse(await rankOf('missed', '--json')) as Ranking;
  expect(ranking).toMatchObject({ zeroGradient: true, candidates: 2, proponents: [], opponents: [] });
});

test('a score of zero is neither proponent nor opponent', async () => {
  const ranking = JSON.parse(await rankOf('seen', '--json')) as Ranking;
  expect(ranking.zeroGradient).toBe(false);
  expect([ranking.proponents, ranking.opponents].map((list) => list.map(({ patient }) => patient))).toEqual([['A'], ['A']]);
});
