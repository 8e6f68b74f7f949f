/** An operator of the reference engine against central finite differences of Σ cotangent · output. */
import type { OperatorType } from '../../../lib/graph/lowered';
import { sizeOf } from '../../../lib/engine/layout';
import { OPERATORS } from '../../../lib/engine/reference/operators';
import type { AttributesOf, Operator, Statistics } from '../../../lib/engine/reference/operators/operator';
import { zeros, type Tensor } from '../../../lib/engine/reference/tensor';
import { relativeError, uniform } from '../../support/numbers';

interface Options {
  /** How many of the inputs have a derivative; all unless said. */
  readonly differentiable?: number;
  readonly statistics?: Statistics;
  /** What each input's numbers lie around (0 unless said), and how far from it at most. */
  readonly centres?: readonly number[];
  readonly spread?: number;
}

export interface Case extends Required<Options> {
  readonly name: string;
  readonly operator: Operator<object>;
  readonly attributes: object;
  readonly inputs: readonly (readonly number[])[];
  readonly output: readonly number[];
}

export function testCase<T extends OperatorType>(
  name: string,
  type: T,
  attributes: AttributesOf<T>,
  inputs: readonly (readonly number[])[],
  output: readonly number[],
  options: Options = {},
): Case {
  const operator = OPERATORS[type] as unknown as Operator<object>;
  const defaults = { differentiable: inputs.length, statistics: 'running' as const, centres: [], spread: 1 };
  return { ...defaults, ...options, name: `${type} ${name}`, operator, attributes, inputs, output };
}

function dot(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, x, i) => sum + x * b[i]!, 0);
}

export function random(dims: readonly number[], next: () => number): Tensor {
  return { dims, data: Float64Array.from({ length: sizeOf(dims) }, next) };
}

/** Σ cotangent · output */
function scalar(test: Case, inputs: readonly Tensor[], cotangent: Tensor): number {
  const output = random(test.output, () => NaN);
  test.operator.forward(inputs, output, test.attributes, test.statistics);
  return output.data.reduce((sum, y, i) => sum + y * cotangent.data[i]!, 0);
}

export function describeDerivatives(cases: readonly Case[]): void {
  describe.each(cases)('$name', (test) => {
    const { centres, spread, differentiable } = test;
    const next = uniform(7);
    const inputs = test.inputs.map((dims, i) => random(dims, () => (centres[i] ?? 0) + spread * next()));
    const cotangent = random(test.output, uniform(11));
    const run = (gradients: readonly (Tensor | undefined)[], times = 1): void => {
      const output = zeros(test.output);
      test.operator.forward(inputs, output, test.attributes, test.statistics);
      for (let k = 0; k < times; k++) {
        test.operator.backward(inputs, output, cotangent, gradients, test.attributes, test.statistics);
      }
    };

    it.each(Array.from({ length: differentiable }, (_, i) => i))('derivative to input %i agrees with finite differences', (which) => {
      const gradients = inputs.map((input, i) => (i === which ? zeros(input.dims) : undefined));
      run(gradients);
      const { data } = inputs[which]!;
      const h = 1e-5;
      const expected = data.map((x, i) => {
        data[i] = x + h;
        const above = scalar(test, inputs, cotangent);
        data[i] = x - h;
        const below = scalar(test, inputs, cotangent);
        data[i] = x;
        return (above - below) / (2 * h);
      });
      expect(relativeError(gradients[which]!.data, expected)).toBeLessThan(1e-8);
    });

    // Forward mode is for inference alone.
    if (test.statistics === 'running') {
      const directions = inputs.map(({ dims }, i) => (i < differentiable ? random(dims, uniform(13 + i)) : undefined));
      const tangent = (moved: readonly (Tensor | undefined)[]): Float64Array => {
        const [output, to] = [zeros(test.output), random(test.output, () => NaN)];
        test.operator.forward(inputs, output, test.attributes, 'running');
        test.operator.tangent(inputs, output, moved, to, test.attributes);
        return to.data;
      };

      it('tangent agrees with finite differences', () => {
        const h = 1e-5;
        const at = (shift: number): Float64Array => {
          const moved = inputs.map((x, i) => ({ ...x, data: x.data.map((v, k) => v + shift * (directions[i]?.data[k] ?? 0)) }));
          const output = zeros(test.output);
          test.operator.forward(moved, output, test.attributes, 'running');
          return output.data;
        };
        const [above, below] = [at(h), at(-h)];
        const expected = above.map((y, i) => (y - below[i]!) / (2 * h));
        expect(relativeError(tangent(directions), expected)).toBeLessThan(1e-7);
      });

      it('tangent is the transpose of backward, input by input', () => {
        directions.forEach((direction, i) => {
          if (!direction) return;
          const gradients = inputs.map(({ dims }, k) => (k === i ? zeros(dims) : undefined));
          run(gradients);
          const forth = tangent(directions.map((d, k) => (k === i ? d : undefined)));
          const [left, right] = [dot(cotangent.data, forth), dot(gradients[i]!.data, direction.data)];
          expect(Math.abs(left - right)).toBeLessThan(1e-12 * (1 + Math.abs(right)));
        });
      });
    }

    it('adds to the gradients it is given', () => {
      const wanted = (): (Tensor | undefined)[] => inputs.map((input, i) => (i < differentiable ? zeros(input.dims) : undefined));
      const [once, twice] = [wanted(), wanted()];
      run(once);
      run(twice, 2);
      for (let i = 0; i < differentiable; i++) {
        const doubled = once[i]!.data.map((g) => 2 * g);
        expect(relativeError(twice[i]!.data, doubled)).toBeLessThan(1e-13);
      }
    });
  });
}
