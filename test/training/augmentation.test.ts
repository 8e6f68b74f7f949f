import fc from 'fast-check';
import { drawTransform, transformPlane, type Transform } from '../../lib/training/augmentation';

const size = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 2, maxLength: 3 });
const count = (dims: readonly number[]): number => dims.reduce((product, n) => product * n, 1);
const numbered = (dims: readonly number[]): Float32Array => Float32Array.from({ length: count(dims) }, (_, i) => i + 1);

const sizeAndTransform = size.chain((dims) =>
  fc.record({
    dims: fc.constant(dims),
    flips: fc.tuple(...dims.map(() => fc.boolean())),
    shifts: fc.tuple(...dims.map((length) => fc.integer({ min: -length, max: length }))),
  }),
);

function moved(source: Float32Array, dims: readonly number[], transform: Transform): Float32Array {
  const target = new Float32Array(source.length).fill(NaN);
  transformPlane(source, target, dims, transform);
  return target;
}

describe('augmentation', () => {
  it('flipped twice is the image again', () => {
    fc.assert(
      fc.property(sizeAndTransform, ({ dims, flips }) => {
        const flip = { flips, shifts: dims.map(() => 0) };
        const image = numbered(dims);
        expect(moved(moved(image, dims, flip), dims, flip)).toEqual(image);
      }),
    );
  });

  it('shifted there and back loses only what left the frame, which becomes 0', () => {
    fc.assert(
      fc.property(sizeAndTransform, ({ dims, shifts }) => {
        const flips = dims.map(() => false);
        const image = numbered(dims);
        const back = moved(moved(image, dims, { flips, shifts }), dims, { flips, shifts: shifts.map((shift) => -shift) });
        const kept = dims.reduce((product, length, axis) => product * (length - Math.abs(shifts[axis]!)), 1);
        expect(back.every((value, i) => value === 0 || value === image[i])).toBe(true);
        expect(back.filter((value) => value !== 0)).toHaveLength(kept);
      }),
    );
  });

  it('moves pixel [1, 0] of a 2 × 3 image as written: flip first, then shift', () => {
    const image = Float32Array.of(1, 2, 3, 4, 5, 6);
    expect([...moved(image, [2, 3], { flips: [true, false], shifts: [0, 0] })]).toEqual([4, 5, 6, 1, 2, 3]);
    expect([...moved(image, [2, 3], { flips: [false, true], shifts: [0, 1] })]).toEqual([0, 3, 2, 0, 6, 5]);
    expect([...moved(image, [2, 3], { flips: [false, false], shifts: [-1, 0] })]).toEqual([4, 5, 6, 0, 0, 0]);
  });

  it('moves images and labels together', () => {
    fc.assert(
      fc.property(sizeAndTransform, ({ dims, ...transform }) => {
        const labels = Uint8Array.from({ length: count(dims) }, (_, i) => i % 4);
        const target = new Uint8Array(labels.length);
        transformPlane(labels, target, dims, transform);
        expect([...moved(Float32Array.from(labels), dims, transform)]).toEqual([...target]);
      }),
    );
  });

  it('draws the same transform for the same seed, epoch and sample, and within the bounds', () => {
    const augmentation = { flips: true, shift: 3 };
    const seen = new Set<string>();
    for (let sample = 0; sample < 200; sample++) {
      const transform = drawTransform(augmentation, 7, 2, sample, 2);
      expect(drawTransform(augmentation, 7, 2, sample, 2)).toEqual(transform);
      expect(transform.shifts.every((shift) => Math.abs(shift) <= 3)).toBe(true);
      seen.add(JSON.stringify(transform));
    }
    expect(seen.size).toBeGreaterThan(100); // of 4 × 49
    expect(drawTransform({ flips: false, shift: 0 }, 7, 2, 5, 2)).toEqual({ flips: [false, false], shifts: [0, 0] });
  });
});
