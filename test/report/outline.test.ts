import * as fc from 'fast-check';
import { largestLoop, outlinePath } from '../../lib/report/outline';

/** Corners of each closed loop of a path of M, h, v and z. */
function loops(path: string): [number, number][][] {
  return path
    .split('z')
    .filter(Boolean)
    .map((loop) => {
      const [, x, y, steps] = /^M(\d+) (\d+)(.*)$/.exec(loop)!;
      const corners: [number, number][] = [[Number(x), Number(y)]];
      for (const [, verb, length] of steps!.matchAll(/([hv])(-?\d+)/g)) {
        const [px, py] = corners.at(-1)!;
        corners.push(verb === 'h' ? [px + Number(length), py] : [px, py + Number(length)]);
      }
      return corners;
    });
}

/** Signed by the way round, so that holes count against. */
function area(corners: readonly [number, number][]): number {
  return corners.reduce((sum, [x, y], i) => {
    const [nextX, nextY] = corners[(i + 1) % corners.length]!;
    return sum + (x * nextY - nextX * y) / 2;
  }, 0);
}

test('one pixel, and a ring with its hole', () => {
  expect(outlinePath(Uint8Array.of(0, 0, 0, 2), 2, 2, 2)).toBe('M1 1h1v1h-1v-1z');
  expect(loops(outlinePath(Uint8Array.of(1, 1, 1, 1, 0, 1, 1, 1, 1), 3, 3, 1)).map(area)).toEqual([9, -1]);
});

test('no pixel, no path', () => {
  expect(outlinePath(new Uint8Array(4), 2, 2, 1)).toBe('');
});

test('loops are closed and hold as many pixels as the region has; their length is its border', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 9 }),
      fc.array(fc.boolean(), { minLength: 81, maxLength: 81 }),
      (width, height, bits) => {
        const labels = Uint8Array.from({ length: width * height }, (_, i) => Number(bits[i]));
        const found = loops(outlinePath(labels, width, height, 1));
        for (const corners of found) expect(corners.at(-1)).toEqual(corners[0]);
        expect(found.reduce((sum, corners) => sum + area(corners), 0)).toBe(labels.reduce((sum, label) => sum + label, 0));
        const at = (x: number, y: number): number => (x < 0 || y < 0 || x >= width || y >= height ? 0 : labels[y * width + x]!);
        let border = 0;
        for (let y = 0; y <= height; y++) {
          for (let x = 0; x <= width; x++) border += Number(at(x, y) !== at(x - 1, y)) + Number(at(x, y) !== at(x, y - 1));
        }
        const length = (corners: readonly [number, number][]): number =>
          corners.slice(1).reduce((sum, [x, y], i) => sum + Math.abs(x - corners[i]![0]) + Math.abs(y - corners[i]![1]), 0);
        expect(found.reduce((sum, corners) => sum + length(corners), 0)).toBe(border);
      },
    ),
  );
});

test('the largest loop: specks do not count, nor where they lie', () => {
  const labels = new Uint8Array(70);
  labels[0] = 1;
  for (const [x, y] of [[4, 2], [5, 2], [6, 2], [4, 3]] as const) labels[y * 10 + x] = 1; // prettier-ignore
  expect(largestLoop(outlinePath(labels, 10, 7, 1))).toEqual({ x: 4, y: 2, width: 3, height: 2 });
  expect(largestLoop('')).toBeUndefined();
});
