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

/** The core of instance, group and layer normalisation: by the moments of each row, in training as in use. */
export const normalize: Operator<AttributesOf<'Normalize'>> = {
  forward([x], output, { groups, epsilon }) {
    eachRow(x!, groups, (start, end) => {
      const [centre, inverse] = moments(x!, start, end, epsilon);
      for (let i = start; i < end; i++) output.data[i] = (x!.data[i]! - centre) * inverse;
    });
  },
  // Through mean and variance (Ioffe & Szegedy 2015, section 3): the cotangent loses its mean and its part along the output.
  backward([x], output, cotangent, [toX], { groups, epsilon }) {
    if (!toX) return;
    eachRow(x!, groups, (start, end) => {
      const [, inverse] = moments(x!, start, end, epsilon);
      const level = mean(start, end, (i) => cotangent.data[i]!);
      const along = mean(start, end, (i) => cotangent.data[i]! * output.data[i]!);
      for (let i = start; i < end; i++) toX.data[i]! += inverse * (cotangent.data[i]! - level - along * output.data[i]!);
    });
  },
};
