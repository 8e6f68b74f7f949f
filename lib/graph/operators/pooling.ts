/** Pools: the largest, the mean or the norm of a window or of a whole map. */
import type { Window } from '../lowered';
import { scalar, sizeOf, type Term } from '../lowering/term';
import { operator, type NodeView, type OperatorEntry } from './operator';
import { extent, padAutomatically, readWindow, slidingSizes } from './window';

/**
 * With ceil_mode a last, partial window counts if it starts inside the input or its left pad (MaxPool of the ONNX specification);
 * that is the same as more padding after, which no pool reads.
 */
function withPartialWindows(node: NodeView, window: Window): Window {
  if (node.int('ceil_mode', 0) === 0) return window;
  const after = node.image.slice(1).map((size, axis) => {
    const stride = window.strides[axis]!;
    const room = size + window.before[axis]! + window.after[axis]! - extent(window, axis);
    let last = Math.ceil(room / stride);
    if (last * stride >= size + window.before[axis]!) last--;
    return Math.max(window.after[axis]!, last * stride + extent(window, axis) - size - window.before[axis]!);
  });
  return { ...window, after };
}

/** `window` with partial windows where the pool has such. */
export function poolWindow(node: NodeView): { readonly window: Window; readonly stated: Window } {
  const stated = padAutomatically(node, readWindow(node));
  const paddedAway = stated.kernel.some((size, axis) => Math.max(stated.before[axis]!, stated.after[axis]!) >= size);
  if (paddedAway) node.fail('has pads as large as its kernel');
  return { stated, window: withPartialWindows(node, stated) };
}

const dimsOf = (node: NodeView, window: Window): number[] => [1, node.image[0]!, ...slidingSizes(window, node.image.slice(1), node.fail)];

/** A window's averages; `counted`: over all its positions, else over those inside the map. */
function average(node: NodeView, x: Term, window: Window, counted: boolean): Term {
  const sizes = slidingSizes(window, x.dims.slice(2), node.fail);
  const attributes = { ...window, countIncludePad: counted };
  return node.emit.map({ type: 'AveragePool', attributes }, [node.emit.featureMap(x)], [...x.dims.slice(0, 2), ...sizes]);
}

function averagePool(node: NodeView): Term {
  const { window, stated } = poolWindow(node);
  const counted = node.int('count_include_pad', 0) !== 0;
  const partial = window.after.some((pad, axis) => pad > stated.after[axis]!);
  if (!counted || !partial) return average(node, node.term(0), window, counted);
  // The pads count, what a last window has beyond them does not: with the pads in the map, those inside it are counted.
  let padded = node.term(0);
  stated.before.forEach((before, axis) => {
    const size = node.image[axis + 1]!;
    const positions = Array.from({ length: before + size + stated.after[axis]! }, (_, i) =>
      i < before || i >= before + size ? -1 : i - before,
    );
    padded = node.emit.take(padded, axis + 2, positions, 0);
  });
  const none = window.before.map(() => 0);
  const rest = window.after.map((pad, axis) => pad - stated.after[axis]!);
  return average(node, padded, { ...window, before: none, after: rest }, false);
}

/** (Σ |x|^p)^(1/p) over a window; pads are 0. */
function lpPool(node: NodeView): Term {
  const { emit } = node;
  const { window } = poolWindow(node);
  const p = node.int('p', 2);
  const x = node.term(0);
  const powers = p === 2 ? emit.binary('Mul', x, x) : emit.binary('Pow', emit.unary('abs', x), scalar(p));
  const sum = emit.binary('Mul', average(node, powers, window, true), scalar(sizeOf(window.kernel)));
  return p === 1 ? sum : emit.binary('Pow', sum, scalar(1 / p));
}

/** The axes of a map after its channels. */
const spatialAxes = (node: NodeView): number[] => Array.from(node.term(0).dims.keys()).slice(2);

export const pools: Readonly<Record<string, OperatorEntry>> = {
  MaxPool: operator(1, 1, (node) => {
    const { window } = poolWindow(node);
    return node.emit.map({ type: 'MaxPool', attributes: window }, [node.emit.featureMap(node.term(0))], dimsOf(node, window));
  }),
  AveragePool: operator(1, 1, averagePool),
  LpPool: operator(1, 1, lpPool),
  GlobalAveragePool: operator(1, 1, (node) => {
    const dims = [1, node.image[0]!, ...node.image.slice(1).map(() => 1)];
    return node.emit.map({ type: 'GlobalAveragePool', attributes: {} }, [node.emit.featureMap(node.term(0))], dims);
  }),
  GlobalMaxPool: operator(1, 1, (node) => node.emit.reduce('max', node.term(0), spatialAxes(node))),
};
