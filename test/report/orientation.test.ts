/** The patient's right on the picture's left, whatever way the volume is stored. */
import * as fc from 'fast-check';
import { toWorld, type Affine } from '../../lib/dataset/affine';
import { AS_STORED, orientationOf, upright } from '../../lib/report/orientation';

/** Voxel axes along world axes `worlds`, backwards where `signs` is −1, with edges in mm; turned by up to `tilt` radians about z. */
function affineOf(worlds: readonly number[], signs: readonly number[], edges: readonly number[], tilt = 0): Affine {
  const affine = new Array<number>(16).fill(0);
  worlds.forEach((world, voxel) => (affine[world * 4 + voxel] = signs[voxel]! * edges[voxel]!));
  const [c, s] = [Math.cos(tilt), Math.sin(tilt)];
  for (let column = 0; column < 4; column++) {
    const [x, y] = [affine[column]!, affine[4 + column]!];
    affine[column] = c * x - s * y;
    affine[4 + column] = s * x + c * y;
  }
  return Object.assign(affine, { 15: 1 });
}

test('BraTS: x runs to the left and y to the back, so rows are y and columns x', () => {
  const orientation = orientationOf(affineOf([0, 1, 2], [-1, -1, 1], [1, 1, 1]));
  expect(orientation).toEqual({
    plane: 'axial',
    across: { axis: 0, reversed: false },
    down: { axis: 1, reversed: false },
    aspect: 1,
    edges: { left: 'R', right: 'L', top: 'A', bottom: 'P' },
  });
  expect(upright(Uint8Array.of(1, 2, 3, 4, 5, 6), [3, 2], orientation)).toEqual({
    width: 3,
    height: 2,
    data: Uint8Array.of(1, 3, 5, 2, 4, 6),
  });
});

test('without geometry a slice is shown as it is stored', () => {
  expect(upright(Uint8Array.of(1, 2, 3, 4, 5, 6), [3, 2], AS_STORED)).toEqual({
    width: 2,
    height: 3,
    data: Uint8Array.of(1, 2, 3, 4, 5, 6),
  });
});

test('flat pixels keep their shape', () => {
  expect(orientationOf(affineOf([0, 1, 2], [-1, -1, 1], [2, 1, 5])).aspect).toBe(0.5);
});

test.each([
  [[1, 2, 0], 'sagittal', 'A', 'S'],
  [[0, 2, 1], 'coronal', 'R', 'S'],
] as const)('volumes stacked along world axis %s are %s', (worlds, plane, left, top) => {
  expect(orientationOf(affineOf(worlds, [1, 1, 1], [1, 1, 1]))).toMatchObject({ plane, edges: { left, top } });
});

test('every storage order, also tilted: right of the patient on the left, front at the top', () => {
  const size = [4, 6];
  fc.assert(
    fc.property(fc.boolean(), fc.tuple(sign(), sign(), sign()), fc.double({ min: -0.6, max: 0.6, noNaN: true }), (swapped, signs, tilt) => {
      const affine = affineOf(swapped ? [1, 0, 2] : [0, 1, 2], signs, [1, 1, 1], tilt);
      // Each pixel's number leads back to its voxel.
      const { width, height, data } = upright(
        Uint8Array.from({ length: 24 }, (_, i) => i),
        size,
        orientationOf(affine),
      );
      const world = (column: number, row: number): number[] => {
        const pixel = data[row * width + column]!;
        return toWorld(affine, [Math.floor(pixel / 6), pixel % 6, 0]);
      };
      expect(world(0, 0)[0]).toBeGreaterThan(world(width - 1, 0)[0]!);
      expect(world(0, 0)[1]).toBeGreaterThan(world(0, height - 1)[1]!);
    }),
  );
});

function sign(): fc.Arbitrary<number> {
  return fc.constantFrom(-1, 1);
}
