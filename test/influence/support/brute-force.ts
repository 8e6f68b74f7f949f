/** T of the method, word for word: every gradient written out, every product taken alone. */
import type { Program } from '../../../lib/engine/engine';
import type { Definition } from '../../../lib/influence/definition';
import type { Slices } from './tiny';

/** argmax of logits [n, C, pixels] */
function argmax(logits: ArrayLike<number>, n: number, pixels: number, channels = 4): Uint8Array {
  return Uint8Array.from({ length: n * pixels }, (_, at) => {
    const [slice, pixel] = [Math.floor(at / pixels), at % pixels];
    const values = Array.from({ length: channels }, (_, c) => logits[(slice * channels + c) * pixels + pixel]!);
    return values.indexOf(Math.max(...values));
  });
}

export interface BruteForce {
  /** [M, K, N, K] */
  readonly scores: Float64Array;
  /** [checkpoints][M, K, N, K] */
  readonly products: Float64Array[];
  /** [checkpoints, slices, K] */
  readonly norms: { readonly test: number[]; readonly train: number[] };
  /** [slices][K] */
  readonly pixels: { readonly test: number[][]; readonly train: number[][] };
}

/**
 * @param programs one for each checkpoint, compiled for the definition's parameters
 */
export async function bruteForce(
  programs: readonly Program[],
  learningRates: readonly number[],
  definition: Definition,
  slices: { readonly test: Slices; readonly train: Slices },
): Promise<BruteForce> {
  const K = 3;
  const last = programs.at(-1)!;
  const size = last.lowered.values[last.lowered.input]!.dims.slice(1);
  const area = size.reduce((product, n) => product * n, 1);
  const sides = await Promise.all(
    (['test', 'train'] as const).map(async (role) => {
      const { images, labels } = slices[role];
      const n = labels.length / area;
      const predicted = argmax((await last.forward(images)).logits, n, area);
      const masks = new Uint8Array(n * K * area);
      for (let s = 0; s < n; s++) {
        for (let k = 0; k < K; k++) {
          for (let i = 0; i < area; i++) {
            const at = s * area + i;
            const inside = { predicted: predicted[at] === k + 1, truth: labels[at] === k + 1, slice: true }[definition.region];
            masks[(s * K + k) * area + i] = inside ? 1 : 0;
          }
        }
      }
      const targets = role === 'test' && definition.target === 'predicted' ? predicted : labels;
      const counts = Array.from({ length: n }, (_, s) =>
        Array.from({ length: K }, (_, k) => masks.subarray((s * K + k) * area, (s * K + k + 1) * area).reduce((sum, m) => sum + m, 0)),
      );
      return { n, batch: { images, targets, masks }, counts };
    }),
  );
  const [test, train] = [sides[0]!, sides[1]!];
  const scores = new Float64Array(test.n * K * train.n * K);
  const products: Float64Array[] = [];
  const norms: { test: number[]; train: number[] } = { test: [], train: [] };
  for (const [t, program] of programs.entries()) {
    const loss = { kind: definition.loss, reduction: definition.reduction };
    const rows = async (batch: typeof test.batch): Promise<number[][]> => {
      const { gradients } = await program.gradients(batch, loss);
      const P = program.parameterCount;
      return Array.from({ length: gradients.length / P }, (_, row) => [...gradients.subarray(row * P, (row + 1) * P)]);
    };
    const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
    const [tests, trainings] = [await rows(test.batch), await rows(train.batch)];
    products.push(Float64Array.from(tests.flatMap((g) => trainings.map((h) => dot(g, h)))));
    products[t]!.forEach((product, i) => (scores[i]! += learningRates[t]! * product));
    norms.test.push(...tests.map((g) => dot(g, g)));
    norms.train.push(...trainings.map((g) => dot(g, g)));
  }
  return { scores, products, norms, pixels: { test: test.counts, train: train.counts } };
}
