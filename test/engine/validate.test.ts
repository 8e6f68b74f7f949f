/** What is looked at in words of several numbers finds what looking at each would. */
import fc from 'fast-check';
import { checkRegionBatch } from '../../lib/engine/validate';
import type { Layout } from '../../lib/engine/layout';
import { supportBoxes } from '../../lib/engine/support';
import { firstNotFinite } from '../../lib/finite';
import { atOnce } from '../../lib/turns';
import { LoweredBuilder } from '../support/lowered';

const layoutOf = (size: readonly number[], classes: number): Layout => {
  const pixels = size.reduce((product, n) => product * n, 1);
  return { modalities: 1, logits: classes + 1, classes, size, pixels, parameters: [], parameterCount: 0 };
};

/** The same bytes where words do not begin. */
function shifted(bytes: readonly number[], by: number): Uint8Array {
  const room = new Uint8Array(bytes.length + by);
  room.set(bytes, by);
  return room.subarray(by);
}

const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 3 });

test('the first label and the first mask that cannot be are found, wherever they lie', () => {
  const cases = sizes.chain((size) => {
    const pixels = size.reduce((product, n) => product * n, 1);
    return fc.record({
      size: fc.constant(size),
      classes: fc.constantFrom(1, 2, 3, 126, 127, 128, 254),
      slices: fc.integer({ min: 1, max: 3 }),
      shift: fc.integer({ min: 0, max: 3 }),
      wrong: fc.option(
        fc.record({ what: fc.constantFrom('targets', 'masks'), at: fc.nat(pixels - 1), more: fc.integer({ min: 1, max: 255 }) }),
      ),
    });
  });
  fc.assert(
    fc.property(cases, ({ size, classes, slices, shift, wrong }) => {
      const layout = layoutOf(size, classes);
      const targets = Array.from({ length: slices * layout.pixels }, (_, i) => i % (classes + 1));
      const masks = Array.from({ length: slices * classes * layout.pixels }, (_, i) => i % 2);
      const value = wrong && Math.min(255, (wrong.what === 'targets' ? classes : 1) + wrong.more);
      if (wrong) (wrong.what === 'targets' ? targets : masks)[wrong.at] = value!;
      const batch = { images: new Float32Array(slices * layout.pixels), targets: shifted(targets, shift), masks: shifted(masks, shift) };
      const check = () => checkRegionBatch(batch, { kind: 'dice', reduction: 'mean' }, layout);
      if (!wrong) return expect(check()).toBe(slices);
      expect(check).toThrow(new RegExp(`^${wrong.what}: (label )?${value} at pixel ${wrong.at} of slice 0`));
    }),
  );
});

test.each([Float32Array, Float64Array])('the first number of %p that is none is found', (Numbers) => {
  const wrong = fc.constantFrom(NaN, Infinity, -Infinity);
  const right = fc.constantFrom(0, -0, 1, -2.5, 3.4028234663852886e38, -3.4028234663852886e38, 1e-45);
  fc.assert(
    fc.property(fc.array(fc.oneof({ weight: 30, arbitrary: right }, wrong), { maxLength: 40 }), fc.nat(8), (list, start) => {
      const at = list.findIndex((x, i) => i >= start && !Number.isFinite(x));
      expect(firstNotFinite(Numbers.from(list), Math.min(start, list.length))).toBe(at);
    }),
  );
});

test('a box at the logits is the smallest around the pixels of its mask, in steps of the quantum', () => {
  fc.assert(
    fc.property(sizes, fc.integer({ min: 1, max: 5 }), fc.infiniteStream(fc.integer({ min: 0, max: 12 })), (size, quantum, numbers) => {
      const b = new LoweredBuilder([1, ...size]);
      const lowered = b.build(b.operation('Relu', [0], [1, ...size], {}));
      const mask = Uint8Array.from({ length: layoutOf(size, 1).pixels }, () => Number(numbers.next().value === 0));
      const expected = size.flatMap((n, axis) => {
        const inside = size.slice(axis + 1).reduce((product, m) => product * m, 1);
        const places = [...mask.keys()].filter((i) => mask[i]).map((i) => Math.floor(i / inside) % n);
        if (places.length === 0) return [0, 0];
        return [Math.floor(Math.min(...places) / quantum) * quantum, Math.min(n, Math.ceil((Math.max(...places) + 1) / quantum) * quantum)];
      });
      expect([...atOnce(supportBoxes(lowered, mask, quantum))].slice(-2 * size.length)).toEqual(expected);
    }),
  );
});
