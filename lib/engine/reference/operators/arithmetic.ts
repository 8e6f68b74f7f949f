/** Operators of two numbers, and Where of three, with numpy's broadcasting. */
import type { Relation } from '../../../graph/lowered';
import { eachOutput } from './broadcasting';
import { along, type AttributesOf, type Operator } from './operator';

type Slope = (a: number, b: number, y: number) => number;

/** @param slopeA dy/da @param slopeB dy/db, both from a, b and y */
function arithmetic(value: (a: number, b: number) => number, slopeA: Slope, slopeB: Slope): Operator<AttributesOf<'Add'>> {
  return {
    forward(inputs, output) {
      const [a, b] = inputs;
      eachOutput(inputs, output, (o, [i, j]) => (output.data[o] = value(a!.data[i!]!, b!.data[j!]!)));
    },
    // Where an operand is broadcast, several outputs add to the same number of it.
    backward(inputs, output, cotangent, [toA, toB]) {
      const [a, b] = inputs;
      eachOutput(inputs, output, (o, [i, j]) => {
        const c = cotangent.data[o]!;
        // What no loss asks about has gradient 0, even where the slope is infinite.
        if (c === 0) return;
        const [x, y] = [a!.data[i!]!, b!.data[j!]!];
        if (toA) toA.data[i!]! += c * slopeA(x, y, output.data[o]!);
        if (toB) toB.data[j!]! += c * slopeB(x, y, output.data[o]!);
      });
    },
    tangent(inputs, output, [ofA, ofB], tangent) {
      const [a, b] = inputs;
      eachOutput(inputs, output, (o, [i, j]) => {
        const [x, y, z] = [a!.data[i!]!, b!.data[j!]!, output.data[o]!];
        const byA = ofA ? along(ofA.data[i!]!, slopeA(x, y, z)) : 0;
        tangent.data[o] = byA + (ofB ? along(ofB.data[j!]!, slopeB(x, y, z)) : 0);
      });
    },
  };
}

const one = (): number => 1;

export const add = arithmetic((a, b) => a + b, one, one);

export const sub = arithmetic(
  (a, b) => a - b,
  one,
  () => -1,
);

export const mul = arithmetic(
  (a, b) => a * b,
  (_a, b) => b,
  (a) => a,
);

export const div = arithmetic(
  (a, b) => a / b,
  (_a, b) => 1 / b,
  (_a, b, y) => -y / b,
);

/** Below 0 only whole exponents give a number: there the exponent has no derivative and gets 0. */
export const pow = arithmetic(
  (a, b) => a ** b,
  (a, b) => (b === 0 ? 0 : b * a ** (b - 1)),
  (a, _b, y) => (a > 0 ? y * Math.log(a) : 0),
);

/** Ties give the gradient to a. */
export const min = arithmetic(
  (a, b) => (b < a ? b : a),
  (a, b) => (b < a ? 0 : 1),
  (a, b) => (b < a ? 1 : 0),
);

/** Ties give the gradient to a. */
export const max = arithmetic(
  (a, b) => (b > a ? b : a),
  (a, b) => (b > a ? 0 : 1),
  (a, b) => (b > a ? 1 : 0),
);

/** x, or slope · x where x is not above 0; at 0 the slope, as PyTorch has it. */
export const prelu = arithmetic(
  (x, slope) => (x > 0 ? x : slope * x),
  (x, slope) => (x > 0 ? 1 : slope),
  (x) => (x > 0 ? 0 : x),
);

const RELATIONS: Readonly<Record<Relation, (a: number, b: number) => boolean>> = {
  less: (a, b) => a < b,
  'less-or-equal': (a, b) => a <= b,
  greater: (a, b) => a > b,
  'greater-or-equal': (a, b) => a >= b,
  equal: (a, b) => a === b,
};

/** 1 where the relation holds, else 0; its derivative is 0 wherever it has one. */
export const compare: Operator<AttributesOf<'Compare'>> = {
  forward(inputs, output, { relation }) {
    const [a, b] = inputs;
    const holds = RELATIONS[relation];
    eachOutput(inputs, output, (o, [i, j]) => (output.data[o] = holds(a!.data[i!]!, b!.data[j!]!) ? 1 : 0));
  },
  backward: () => undefined,
  tangent: (_inputs, _output, _tangents, tangent) => void tangent.data.fill(0),
};

/** a where the condition is not 0, else b. */
export const where: Operator<AttributesOf<'Where'>> = {
  forward(inputs, output) {
    const [condition, a, b] = inputs;
    eachOutput(inputs, output, (o, [c, i, j]) => (output.data[o] = condition!.data[c!] ? a!.data[i!]! : b!.data[j!]!));
  },
  backward(inputs, output, cotangent, [, toA, toB]) {
    const [condition] = inputs;
    eachOutput(inputs, output, (o, [c, i, j]) => {
      if (condition!.data[c!]) {
        if (toA) toA.data[i!]! += cotangent.data[o]!;
      } else if (toB) {
        toB.data[j!]! += cotangent.data[o]!;
      }
    });
  },
  tangent(inputs, output, [, ofA, ofB], tangent) {
    const [condition] = inputs;
    eachOutput(inputs, output, (o, [c, i, j]) => {
      tangent.data[o] = (condition!.data[c!] ? ofA?.data[i!] : ofB?.data[j!]) ?? 0;
    });
  },
};
