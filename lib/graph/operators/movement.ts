/** Operators that move numbers and leave them as they are: other dims, other places. */
import { broadcast, sizeOf, type Term } from '../lowering/term';
import { operator, type NodeView, type OperatorEntry } from './operator';

const product = sizeOf;
const rank = (node: NodeView): number => node.term(0).dims.length;

/** 0 keeps a size (unless `allowzero`), one −1 takes what is left. */
function reshape(node: NodeView): Term {
  const x = node.term(0);
  const wanted = node.list('shape', 1) ?? [];
  const keeps = node.int('allowzero', 0) === 0;
  const dims = wanted.map((size, axis) =>
    size === 0 && keeps ? (x.dims[axis] ?? node.fail(`keeps axis ${axis}, which its input has not`)) : size,
  );
  const free = dims.indexOf(-1);
  if (free >= 0) dims[free] = sizeOf(x.dims) / sizeOf(dims.with(free, 1));
  if (dims.some((size) => !Number.isSafeInteger(size) || size < 0))
    node.fail(`reshapes [${x.dims.join(', ')}] to [${wanted.join(', ')}], which has another size`);
  return node.emit.reshape(x, dims);
}

function flatten(node: NodeView): Term {
  const { dims } = node.term(0);
  const axis = node.int('axis', 1);
  const at = axis < 0 ? axis + dims.length : axis;
  if (at < 0 || at > dims.length) node.fail(`has axis ${axis} for a tensor of rank ${dims.length}`);
  return node.emit.reshape(node.term(0), [product(dims.slice(0, at)), product(dims.slice(at))]);
}

function squeeze(node: NodeView): Term {
  const { dims } = node.term(0);
  const stated = node.list('axes', 1);
  const gone = stated ? node.axes(stated, dims.length) : [...dims.keys()].filter((axis) => dims[axis] === 1);
  if (gone.some((axis) => dims[axis] !== 1)) node.fail(`drops axes [${gone.join(', ')}] of [${dims.join(', ')}], which are not of size 1`);
  return node.emit.reshape(node.term(0), dims.filter((_, axis) => !gone.includes(axis))); // prettier-ignore
}

function unsqueeze(node: NodeView): Term {
  const { dims } = node.term(0);
  const stated = node.list('axes', 1) ?? node.fail('does not say which axes it adds');
  const added = node.axes(stated, dims.length + stated.length);
  const rest = [...dims];
  const result = Array.from({ length: dims.length + added.length }, (_, axis) => (added.includes(axis) ? 1 : rest.shift()!));
  return node.emit.reshape(node.term(0), result);
}

function expand(node: NodeView): Term {
  const { dims } = node.term(0);
  const wanted = node.list('shape', 1) ?? [];
  return node.emit.expand(node.term(0), broadcast(dims, wanted) ?? node.fail(`expands [${dims.join(', ')}] to [${wanted.join(', ')}]`));
}

function transpose(node: NodeView): Term {
  const count = rank(node);
  const reversed = Array.from({ length: count }, (_, axis) => count - 1 - axis);
  const order = node.axes(node.ints('perm', reversed), count);
  return order.length === count ? node.emit.transpose(node.term(0), order) : node.fail(`has a perm of ${order.length} axes for ${count}`);
}

function tile(node: NodeView): Term {
  const { emit } = node;
  const { dims } = node.term(0);
  const repeats = node.list('repeats', 1) ?? [];
  if (repeats.length !== dims.length || repeats.some((count) => count < 0))
    node.fail(`has repeats [${repeats.join(', ')}] for ${dims.length} axes`);
  const apart = emit.reshape(node.term(0), dims.flatMap((size) => [1, size])); // prettier-ignore
  const wide = emit.expand(apart, dims.flatMap((size, axis) => [repeats[axis]!, size])); // prettier-ignore
  return emit.reshape(wide, dims.map((size, axis) => size * repeats[axis]!)); // prettier-ignore
}

/** The block size, checked against what it divides, or its square does. */
function blocks(node: NodeView, divided: readonly number[], power: 1 | 2): number {
  const size = node.int('blocksize', 0);
  const fits = size > 0 && rank(node) === 4 && divided.every((length) => length % size ** power === 0);
  return fits ? size : node.fail(`has blocks of ${size} for [${node.term(0).dims.join(', ')}]`);
}

function depthToSpace(node: NodeView): Term {
  const { emit } = node;
  const [n, c, h, w] = node.term(0).dims as [number, number, number, number];
  const b = blocks(node, [c], 2);
  const depth = c / (b * b);
  const columns = node.string('mode', ['DCR', 'CRD'], 'DCR') === 'CRD';
  const apart = emit.reshape(node.term(0), columns ? [n, depth, b, b, h, w] : [n, b, b, depth, h, w]);
  return emit.reshape(emit.transpose(apart, columns ? [0, 1, 4, 2, 5, 3] : [0, 3, 4, 1, 5, 2]), [n, depth, h * b, w * b]);
}

function spaceToDepth(node: NodeView): Term {
  const { emit } = node;
  const [n, c, h, w] = node.term(0).dims as [number, number, number, number];
  const b = blocks(node, [h, w], 1);
  const apart = emit.reshape(node.term(0), [n, c, h / b, b, w / b, b]);
  return emit.reshape(emit.transpose(apart, [0, 3, 5, 1, 2, 4]), [n, c * b * b, h / b, w / b]);
}

export const movements: Readonly<Record<string, OperatorEntry>> = {
  Identity: operator(1, 1, (node) => node.term(0)),
  /** As in use: nothing is dropped. */
  Dropout: operator(1, 3, (node) => node.term(0)),
  Reshape: operator(1, 2, reshape),
  Flatten: operator(1, 1, flatten),
  Squeeze: operator(1, 2, squeeze),
  Unsqueeze: operator(1, 2, unsqueeze),
  Expand: operator(2, 2, expand),
  Transpose: operator(1, 1, transpose),
  Tile: operator(2, 2, tile),
  DepthToSpace: operator(1, 1, depthToSpace),
  SpaceToDepth: operator(1, 1, spaceToDepth),
};
