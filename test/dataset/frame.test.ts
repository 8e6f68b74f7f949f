import fc from 'fast-check';
import { assertDivisible, cut, frameOf, paste, voxelOf, type Frame } from '../../lib/dataset/frame';

const side = fc.integer({ min: 1, max: 12 });
const frames: fc.Arbitrary<{ frame: Frame; depth: number }> = fc
  .record({ nx: side, ny: side, h: side, w: side, depth: fc.integer({ min: 1, max: 4 }) })
  .chain((one) => {
    // From all but one row before the volume to its last row.
    const along = (pixels: number, voxels: number) => fc.integer({ min: 1 - pixels, max: voxels - 1 });
    return fc.tuple(fc.constant(one), fc.option(fc.tuple(along(one.h, one.nx), along(one.w, one.ny)), { nil: undefined }));
  })
  .map(([{ nx, ny, h, w, depth }, offset]) => ({ depth, frame: frameOf([nx, ny, depth], [h, w], offset) }));
const count = ({ full }: Frame, depth: number) => full[0] * full[1] * depth;
const pixels = ({ size }: Frame) => size[0] * size[1];

test("192 of 240 are the paper's voxels 27 to 218", () => {
  const frame = frameOf([240, 240, 155], [192, 192]);
  expect(voxelOf(frame, [0, 0], 90)).toEqual([27, 27, 90]);
  expect(voxelOf(frame, [191, 191], 90)).toEqual([218, 218, 90]);
});

test('every other size is centred, smaller volumes are padded', () => {
  expect(frameOf([240, 200, 1], [160, 160]).offset).toEqual([40, 20]);
  expect(frameOf([96, 97, 1], [128, 128]).offset).toEqual([-16, -16]);
});

test('every pixel is the voxel that voxelOf names, or 0 outside', () => {
  fc.assert(
    fc.property(frames, ({ frame, depth }) => {
      const volume = Float32Array.from({ length: count(frame, depth) }, (_, i) => i + 1);
      for (let z = 0; z < depth; z++) {
        const image = new Float32Array(pixels(frame));
        cut(frame, volume, z, image);
        image.forEach((value, at) => {
          const [x, y] = voxelOf(frame, [Math.floor(at / frame.size[1]), at % frame.size[1]], z);
          const within = x >= 0 && y >= 0 && x < frame.full[0] && y < frame.full[1];
          expect(value).toBe(within ? volume[x + frame.full[0] * (y + frame.full[1] * z)] : 0);
        });
      }
    }),
  );
});

test('paste undoes cut inside the window and touches nothing else', () => {
  fc.assert(
    fc.property(frames, ({ frame, depth }) => {
      const volume = Uint8Array.from({ length: count(frame, depth) }, (_, i) => 1 + (i % 250));
      const z = depth - 1;
      const image = new Uint8Array(pixels(frame));
      cut(frame, volume, z, image);
      const again = Uint8Array.from(volume);
      paste(frame, image, again, z);
      expect(again).toEqual(volume);
      const alone = new Uint8Array(volume.length);
      paste(frame, image, alone, z);
      alone.forEach((value, i) => expect([0, volume[i]]).toContain(value));
      const back = new Uint8Array(pixels(frame));
      cut(frame, alone, z, back);
      expect(back).toEqual(image);
    }),
  );
});

test('a window beside the volume, or between voxels, is refused', () => {
  for (const offset of [
    [10, 0],
    [0, -4],
    [0.5, 0],
  ] as const)
    expect(() => frameOf([10, 10, 1], [4, 4], offset)).toThrow('leaves no voxel of 10 × 10');
});

test('a size that the stride does not divide names the nearest that it does', () => {
  expect(() => assertDivisible([192, 192], [16])).not.toThrow();
  expect(() => assertDivisible([192, 190], [16, 16])).toThrow(
    "size 190 is not divisible by the network's stride 16: the nearest that fit are 176 and 192",
  );
  expect(() => assertDivisible([8], [16])).toThrow('the nearest that fit are 16');
});
