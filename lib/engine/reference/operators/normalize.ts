import type { Tensor } from '../tensor';
import type { AttributesOf, Operator } from './operator';

/** Visits each row [start, end) of x seen as [groups, n]. */
function eachRow({ data }: Tensor, groups: number, visit: (start: number, end: number) => void): void {
  const n = data.length / groups;
  for (let g = 0; g < groups; g++) visit(g * n, (g + 1) * n);
}

/** Mean of `of(i)` over [start, end). */
function mean(start: number, end: number, of: (i: number) => number): number {
  let sum = 0;
  for (let i = start; i < end; i++) sum += of(i);
  return sum / (end - start);
}

/** Mean and 1 / √(population variance + ε) of a row. */
function moments({ data }: Tensor, start: number, end: number, epsilon: number): [number, number] {
  const centre = mean(start, end, (i) => data[i]!);
  return [centre, 1 / Math.sqrt(mean(start, end, (i) => (data[i]! - centre) ** 2) + epsilon)];
}

/**
 * Adds to `to` the derivative along `from`, through mean and variance (Ioffe & Szegedy 2015, section 3): it loses its mean and its part
 * along the output. That map is symmetric, so cotangents go through it as tangents do.
 */
function project(x: Tensor, output: Tensor, from: Tensor, to: Tensor, { groups, epsilon }: AttributesOf<'Normalize'>): void {
  eachRow(x, groups, (start, end) => {
    const [, inverse] = moments(x, start, end, epsilon);
    const level = mean(start, end, (i) => from.data[i]!);
    const along = mean(start, end, (i) => from.data[i]! * output.data[i]!);
    for (let i = start; i < end; i++) to.data[i]! += inverse * (from.data[i]! - level - along * output.data[i]!);
  });
}

/** The core of instance, group and layer normalisation: by the moments of each row, in training as in use. */
export const normalize: Operator<AttributesOf<'Normalize'>> = {
  forward([x], output, { groups, epsilon }) {
    eachRow(x!, groups, (start, end) => {
      const [centre, inverse] = moments(x!, start, end, epsilon);
      for (let i = start; i < end; i++) output.data[i] = (x!.data[i]! - centre) * inverse;
    });
  },
  backward([x], output, cotangent, [toX], attributes) {
    if (toX) project(x!, output, cotangent, toX, attributes);
  },
  tangent([x], output, [ofX], tangent, attributes) {
    tangent.data.fill(0);
    project(x!, output, ofX!, tangent, attributes);
  },
};
