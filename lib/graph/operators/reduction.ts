/** Reductions over axes, and Softmax along one. */
import { foldReduce, type Reduction } from '../lowering/fold';
import { sizeOf, type Term } from '../lowering/term';
import { operator, type NodeView, type OperatorEntry } from './operator';

/** Over the axes of the attribute or the second input; `keepdims` says whether they stay. */
function reduction(reduce: (node: NodeView, x: Term, axes: readonly number[]) => Term): OperatorEntry {
  return operator(1, 2, (node) => {
    const x = node.term(0);
    const all = Array.from(x.dims.keys());
    const stated = node.list('axes', 1);
    const none = node.int('noop_with_empty_axes', 0) === 0 ? all : [];
    const axes = stated && stated.length > 0 ? node.axes(stated, x.dims.length) : none;
    const made = reduce(node, x, axes);
    if (node.int('keepdims', 1) !== 0) return made;
    return node.emit.reshape(made, x.dims.filter((_, axis) => !axes.includes(axis))); // prettier-ignore
  });
}

const known = (kind: Reduction): OperatorEntry =>
  reduction((node, x, axes) => foldReduce(kind, node.known(0) ?? node.fail(`has nothing to reduce in [${x.dims.join(', ')}]`), axes));

const square = (node: NodeView, x: Term): Term => node.emit.binary('Mul', x, x);

/** Up to opset 12 an axis stands for itself and all that follow, flattened. */
function along(type: 'Softmax' | 'LogSoftmax'): OperatorEntry {
  return operator(1, 1, (node) => {
    const { emit } = node;
    const x = node.term(0);
    const flattens = node.opset < 13;
    const axis = node.axis('axis', flattens ? 1 : -1, x.dims.length);
    const rest = sizeOf(x.dims.slice(axis + 1));
    if (!flattens || rest === 1) return emit.along(type, x, axis);
    const rows = emit.reshape(x, [...x.dims.slice(0, axis), x.dims[axis]! * rest]);
    return emit.reshape(emit.along(type, rows, axis), x.dims);
  });
}

export const reductions: Readonly<Record<string, OperatorEntry>> = {
  ReduceMean: reduction((node, x, axes) => node.emit.reduce('mean', x, axes)),
  ReduceSum: reduction((node, x, axes) => node.emit.reduce('sum', x, axes)),
  ReduceMax: reduction((node, x, axes) => node.emit.reduce('max', x, axes)),
  ReduceMin: reduction((node, x, axes) => node.emit.unary('neg', node.emit.reduce('max', node.emit.unary('neg', x), axes))),
  ReduceProd: known('prod'),
  ReduceL1: reduction((node, x, axes) => node.emit.reduce('sum', node.emit.unary('abs', x), axes)),
  ReduceL2: reduction((node, x, axes) => node.emit.unary('sqrt', node.emit.reduce('sum', square(node, x), axes))),
  ReduceSumSquare: reduction((node, x, axes) => node.emit.reduce('sum', square(node, x), axes)),
  ReduceLogSum: reduction((node, x, axes) => node.emit.unary('log', node.emit.reduce('sum', x, axes))),
  /** With the largest taken out, so that no power overflows. */
  ReduceLogSumExp: reduction(({ emit }, x, axes) => {
    const most = emit.reduce('max', x, axes);
    const sum = emit.reduce('sum', emit.unary('exp', emit.binary('Sub', x, most)), axes);
    return emit.binary('Add', emit.unary('log', sum), most);
  }),
  Softmax: along('Softmax'),
  LogSoftmax: along('LogSoftmax'),
  ArgMax: operator(1, 1, (node) =>
    node.fail('has no derivative: it may stand at the end of a network, where the logits before it are used'),
  ),
};
