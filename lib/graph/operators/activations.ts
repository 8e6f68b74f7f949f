/** Functions of every number alone, and the learned ones of that kind. */
import type { UnaryFunction } from '../lowered';
import { scalar } from '../lowering/term';
import { operator, type NodeView, type OperatorEntry } from './operator';

const plain = (name: UnaryFunction): OperatorEntry => operator(1, 1, (node) => node.emit.unary(name, node.term(0)));

/** With attributes of those names and defaults as a and b. */
const shaped = (name: UnaryFunction, ...attributes: readonly (readonly [string, number])[]): OperatorEntry =>
  operator(1, 1, (node) => {
    const [a = 0, b = 0] = attributes.map(([attribute, fallback]) => node.float(attribute, fallback));
    return node.emit.unary(name, node.term(0), a, b);
  });

/** A limit is an attribute up to opset 10, an input since. */
function limit(node: NodeView, attribute: string, index: number, fallback: number): number {
  if (node.has(attribute)) return node.float(attribute, fallback);
  return node.known(index)?.data[0] ?? fallback;
}

export const activations: Readonly<Record<string, OperatorEntry>> = {
  Relu: operator(1, 1, (node) => node.emit.activation({ type: 'Relu', attributes: {} }, node.term(0), (x) => Math.max(x, 0))),
  Sigmoid: operator(1, 1, (node) => node.emit.activation({ type: 'Sigmoid', attributes: {} }, node.term(0))),
  LeakyRelu: operator(1, 1, (node) => {
    const alpha = node.float('alpha', 0.01);
    return node.emit.activation({ type: 'LeakyRelu', attributes: { alpha } }, node.term(0));
  }),
  PRelu: operator(2, 2, (node) => node.emit.pRelu(node.term(0), node.term(1))),
  Elu: shaped('elu', ['alpha', 1]),
  // the constants of the ONNX specification
  Selu: shaped('selu', ['alpha', 1.67326319217681884765625], ['gamma', 1.05070102214813232421875]),
  Celu: shaped('celu', ['alpha', 1]),
  HardSigmoid: shaped('hard-sigmoid', ['alpha', 0.2], ['beta', 0.5]),
  HardSwish: plain('hard-swish'),
  Tanh: plain('tanh'),
  Softplus: plain('softplus'),
  Mish: plain('mish'),
  Erf: plain('erf'),
  Neg: plain('neg'),
  Sqrt: plain('sqrt'),
  Exp: plain('exp'),
  Log: plain('log'),
  Abs: plain('abs'),
  Reciprocal: plain('reciprocal'),
  Gelu: operator(1, 1, (node) => {
    const approximate = node.string('approximate', ['none', 'tanh'], 'none');
    return node.emit.unary(approximate === 'tanh' ? 'gelu-tanh' : 'gelu', node.term(0));
  }),
  Clip: operator(1, 3, (node) => node.emit.unary('clip', node.term(0), limit(node, 'min', 1, -Infinity), limit(node, 'max', 2, Infinity))),
  /** x where it is above alpha, else 0. */
  ThresholdedRelu: operator(1, 1, (node) => {
    const x = node.term(0);
    return node.emit.binary('Mul', x, node.emit.compare('greater', x, scalar(node.float('alpha', 1))));
  }),
  Softsign: operator(1, 1, (node) => {
    const x = node.term(0);
    return node.emit.binary('Div', x, node.emit.binary('Add', node.emit.unary('abs', x), scalar(1)));
  }),
};
