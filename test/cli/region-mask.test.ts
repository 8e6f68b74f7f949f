/** `--region-mask`: explain this spot. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Ranking } from '../../lib/influence/ranking';
import { writeNpy } from '../../lib/npy';
import { openTiny, SIZE, type Tiny } from '../influence/support/tiny';
import { refusal, tracin } from '../support/cli';

let tiny: Tiny;
let words: string[];
beforeAll(async () => {
  tiny = await openTiny();
  const spot = join(tiny.dir, 'spot.npy');
  await writeNpy(
    spot,
    SIZE,
    Uint8Array.from({ length: SIZE[0]! * SIZE[1]! }, (_, i) => (i < 7 ? 1 : 0)),
  );
  const data = ['train', 'test'].flatMap((role) =>
    ['images', 'labels'].flatMap((what) => [`--${role}-${what}`, join(tiny.dir, `${role}-${what}.npy`)]),
  );
  const networks = ['--checkpoints', tiny.checkpoints.join(','), '--learning-rates', '0.1,0.2', '--device', 'reference'];
  words = ['influence', ...networks, ...data, '--region-mask', spot, '--out', join(tiny.dir, 'study')];
});
afterAll(() => tiny.close());

test('a painted region of one test slice', async () => {
  expect(await refusal(words)).toBe('--region-mask is painted on one of 3 test cases: say which with --region-of');
  expect(await refusal([...words, '--region-of', '9'])).toBe('--region-of 9 is no test case: choose from 0, 1, 2');
  expect(await refusal([...words, '--region-of', '1:4'])).toBe('--region-of 1:4 is no test slice: choose from 0');
  const { status, stdout } = await tracin([...words, '--region-of', '1']);
  expect(status).toBe(0);
  expect(stdout).toContain('test regions: m = pixels painted in ../spot.npy, for every class\n');
  const { test: axis } = JSON.parse(await readFile(join(tiny.dir, 'study', 'regions.json'), 'utf8')) as { test: unknown };
  expect(axis).toEqual({ slices: [{ case: '1', patient: '1', index: 0 }], pixels: [[7, 7, 7]], absent: [] });
});

test('a region painted for a study that is finished', async () => {
  const spot = words[words.indexOf('--region-mask') + 1]!;
  const plain = words.filter((word) => word !== '--region-mask' && word !== spot).with(-1, join(tiny.dir, 'plain'));
  expect((await tracin(plain)).status).toBe(0);
  const asked = ['rank', join(tiny.dir, 'plain'), '--test', '1', '--class', '2', '--train-class', 'all', '--json'];
  const region = ['--region-mask', spot, '--device', 'reference'];
  const { stdout, stderr } = await tracin([...asked, ...region]);
  expect(stderr).toMatch(/by tangents, .* by gradients: going on by/);
  const own = await tracin(asked.with(1, join(tiny.dir, 'study')));
  const [found, right] = [JSON.parse(stdout) as Ranking, JSON.parse(own.stdout) as Ranking];
  expect(found.test).toEqual(right.test);
  const rows = ({ proponents }: Ranking): unknown[] => proponents.map(({ score, ...rest }) => ({ ...rest, score: score.toPrecision(5) }));
  expect(rows(found)).toEqual(rows(right));
  expect(await refusal([...asked, '--way', 'tangents'])).toMatch(/^--way belongs to --region-mask/);
});

test('its other flags need it', async () => {
  const without = words.filter((word, i) => word !== '--region-mask' && words[i - 1] !== '--region-mask');
  expect(await refusal([...without, '--region-of', '1'])).toMatch(/^--region-of and --region-class belong to --region-mask/);
});
