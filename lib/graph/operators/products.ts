/** Products of matrices: MatMul, Gemm, and Einsum where it is one. */
import { scalar, sizeOf, type Term } from '../lowering/term';
import { operator, type NodeView, type OperatorEntry } from './operator';

/** numpy.matmul: an operand of one axis is a row before the product or a column after it, and the axis goes again. */
function matMul(node: NodeView): Term {
  const { emit } = node;
  const [a, b] = [node.term(0), node.term(1)];
  if (a.dims.length === 0 || b.dims.length === 0) node.fail('multiplies a single number');
  const row = a.dims.length === 1 ? emit.reshape(a, [1, ...a.dims]) : a;
  const column = b.dims.length === 1 ? emit.reshape(b, [...b.dims, 1]) : b;
  const made = emit.matMul(row, column);
  const gone = [...(row === a ? [] : [made.dims.length - 2]), ...(column === b ? [] : [made.dims.length - 1])];
  return emit.reshape(made, made.dims.filter((_, axis) => !gone.includes(axis))); // prettier-ignore
}

/** α · A' · B' + β · C. */
function gemm(node: NodeView): Term {
  const { emit } = node;
  const matrix = (index: number, transposed: string): Term => {
    const term = node.term(index);
    if (term.dims.length !== 2) node.fail(`multiplies [${term.dims.join(', ')}], where a matrix is needed`);
    return node.int(transposed, 0) !== 0 ? emit.transpose(term, [1, 0]) : term;
  };
  const times = (term: Term, factor: number): Term => (factor === 1 ? term : emit.binary('Mul', term, scalar(factor)));
  const product = times(emit.matMul(matrix(0, 'transA'), matrix(1, 'transB')), node.float('alpha', 1));
  const shift = node.input(2);
  if (!shift || node.float('beta', 1) === 0) return product;
  return emit.binary('Add', product, times(shift.kind === 'weights' ? emit.parameter(shift, 'bias') : shift, node.float('beta', 1)));
}

interface Labelled {
  readonly term: Term;
  readonly labels: readonly string[];
}

/** Without the axes no other operand and no result has: they are summed. */
function summed(node: NodeView, { term, labels }: Labelled, wanted: ReadonlySet<string>): Labelled {
  const gone = [...labels.keys()].filter((axis) => !wanted.has(labels[axis]!));
  if (gone.length === 0) return { term, labels };
  const kept = labels.filter((label) => wanted.has(label));
  const made = node.emit.reduce('sum', term, gone);
  return { term: node.emit.reshape(made, term.dims.filter((_, axis) => !gone.includes(axis))), labels: kept }; // prettier-ignore
}

const inOrder = (node: NodeView, { term, labels }: Labelled, wanted: readonly string[]): Term =>
  node.emit.transpose(term, wanted.map((label) => labels.indexOf(label))); // prettier-ignore

/** Labels of both operands and the result are batches, those of the operands alone are summed over. */
function einsum(node: NodeView): Term {
  const { emit } = node;
  const equation = node.text('equation').replaceAll(' ', '');
  const [left = '', right] = equation.split('->');
  const inputs = left.split(',');
  const letters = /^[A-Za-z]*$/;
  const twice = (labels: string): boolean => new Set(labels).size < labels.length;
  if (
    right === undefined ||
    inputs.length !== node.inputCount ||
    inputs.length > 2 ||
    [...inputs, right].some((labels) => !letters.test(labels) || twice(labels))
  )
    node.fail(`has the equation '${equation}', which is not a product of two matrices`);
  const result = [...right];
  const operands = inputs.map((labels, index): Labelled => {
    const term = node.term(index);
    return term.dims.length === labels.length ? { term, labels: [...labels] } : node.fail(`has '${labels}' for [${term.dims.join(', ')}]`);
  });
  const [first, second] = operands.map((operand, index) =>
    summed(node, operand, new Set([...result, ...(operands[1 - index]?.labels ?? [])])),
  ) as [Labelled, Labelled | undefined];
  if (result.some((label) => !operands.some(({ labels }) => labels.includes(label))))
    node.fail(`has the equation '${equation}', whose result names an axis no operand has`);
  if (!second) return inOrder(node, first, result);
  const sizes = new Map([first, second].flatMap(({ term, labels }) => labels.map((label, axis) => [label, term.dims[axis]!])));
  const has = ({ labels }: Labelled, label: string): boolean => labels.includes(label);
  const batch = result.filter((label) => has(first, label) && has(second, label));
  const over = first.labels.filter((label) => has(second, label) && !result.includes(label));
  const rows = first.labels.filter((label) => !has(second, label));
  const columns = second.labels.filter((label) => !has(first, label));
  const dims = (labels: readonly string[]): number[] => labels.map((label) => sizes.get(label)!);
  const matrix = (operand: Labelled, a: readonly string[], b: readonly string[]): Term =>
    emit.reshape(inOrder(node, operand, [...batch, ...a, ...b]), [...dims(batch), sizeOf(dims(a)), sizeOf(dims(b))]);
  const made = emit.matMul(matrix(first, rows, over), matrix(second, over, columns));
  const labels = [...batch, ...rows, ...columns];
  return inOrder(node, { term: emit.reshape(made, dims(labels)), labels }, result);
}

export const products: Readonly<Record<string, OperatorEntry>> = {
  MatMul: operator(2, 2, matMul),
  Gemm: operator(2, 3, gemm),
  Einsum: operator(1, Infinity, einsum),
};
