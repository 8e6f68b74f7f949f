/** Arithmetic, comparisons and masks, with numpy broadcasting; what has no derivative works on known numbers only. */
import type { Relation } from '../lowered';
import { foldEach, type BinaryName } from '../lowering/fold';
import { broadcast, known, scalar, type Known, type Term } from '../lowering/term';
import { operator, type NodeView, type OperatorEntry } from './operator';

const binary = (name: BinaryName): OperatorEntry => operator(2, 2, (node) => node.emit.binary(name, node.term(0), node.term(1)));

const all = (node: NodeView): Term[] => Array.from({ length: node.inputCount }, (_, index) => node.term(index));

/** Of any number of operands, one after the other. */
const chain = (name: BinaryName): OperatorEntry =>
  operator(1, Infinity, (node) => all(node).reduce((made, term) => node.emit.binary(name, made, term)));

const compare = (relation: Relation): OperatorEntry => operator(2, 2, (node) => node.emit.compare(relation, node.term(0), node.term(1)));

/** A function of known numbers. */
export function folded(count: number, integer: boolean | 'as inputs', each: (...numbers: number[]) => number): OperatorEntry {
  return operator(count, count, (node) => {
    const operands = all(node).map((_, index): Known => node.known(index) ?? known([0], [], true));
    const dims = operands.reduce<readonly number[]>(
      (made, operand) => broadcast(made, operand.dims) ?? node.fail('combines tensors that do not fit'),
      [],
    );
    return foldEach(operands, dims, integer === 'as inputs' ? operands.every((operand) => operand.integer) : integer, each);
  });
}

/** Numbers that are 0 or 1 wherever they come from. */
const masked = (known: OperatorEntry, lower: OperatorEntry['lower']): OperatorEntry => ({
  ...known,
  lower: (node) => (all(node).some(({ kind }) => kind === 'computed') ? lower(node) : known.lower(node)),
});

export const arithmetic: Readonly<Record<string, OperatorEntry>> = {
  Add: binary('Add'),
  Sub: binary('Sub'),
  Mul: binary('Mul'),
  Div: binary('Div'),
  Pow: operator(2, 2, (node) => {
    const [x, exponent] = [node.term(0), node.term(1)];
    // Squares and roots are exact where a general power is not defined for negative numbers or at 0.
    const power = exponent.kind === 'computed' ? undefined : node.known(1);
    if (power?.data.length === 1 && x.kind !== 'known') {
      if (power.data[0] === 2) return node.emit.binary('Mul', x, x);
      if (power.data[0] === 1) return x;
      if (power.data[0] === 0.5) return node.emit.unary('sqrt', x);
    }
    return node.emit.binary('Pow', x, exponent);
  }),
  Min: chain('Min'),
  Max: chain('Max'),
  Sum: chain('Add'),
  Mean: operator(1, Infinity, (node) => {
    const sum = all(node).reduce((made, term) => node.emit.binary('Add', made, term));
    return node.emit.binary('Div', sum, scalar(node.inputCount));
  }),
  Less: compare('less'),
  LessOrEqual: compare('less-or-equal'),
  Greater: compare('greater'),
  GreaterOrEqual: compare('greater-or-equal'),
  Equal: compare('equal'),
  Where: operator(3, 3, (node) => node.emit.where(node.term(0), node.term(1), node.term(2))),
  And: masked(
    folded(2, true, (a, b) => Number(a && b)),
    (node) => node.emit.binary('Mul', node.term(0), node.term(1)),
  ),
  Or: masked(
    folded(2, true, (a, b) => Number(a || b)),
    (node) => node.emit.binary('Max', node.term(0), node.term(1)),
  ),
  Not: masked(
    folded(1, true, (a) => Number(!a)),
    (node) => node.emit.compare('equal', node.term(0), scalar(0)),
  ),
  Xor: folded(2, true, (a, b) => Number(Boolean(a) !== Boolean(b))),
  // Sizes are worked out in float32: of 10 · 0.7, which is a little less in double, nothing is to be cut off.
  Floor: folded(1, 'as inputs', (x) => Math.floor(Math.fround(x))),
  Ceil: folded(1, 'as inputs', (x) => Math.ceil(Math.fround(x))),
  Sign: folded(1, 'as inputs', Math.sign),
  Sin: folded(1, false, Math.sin),
  Cos: folded(1, false, Math.cos),
  /** Halves to the even neighbour. */
  Round: folded(1, 'as inputs', (x) => (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x))),
  Mod: operator(2, 2, (node) => {
    const fraction = node.int('fmod', 0) !== 0;
    return folded(2, 'as inputs', (a, b) => (fraction ? a % b : a - b * Math.floor(a / b))).lower(node);
  }),
};
