/** MaxPool, AveragePool, GlobalAveragePool. */
import type { Window } from '../lowered';
import { wholeBox, type NodeView, type OperationEntry } from './operator';
import { extent, padAutomatically, readWindow, slidingBox, slidingSizes } from './window';

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

function poolWindow(node: NodeView): { readonly window: Window; readonly stated: Window } {
  const stated = padAutomatically(node, readWindow(node));
  const paddedAway = stated.kernel.some((size, axis) => Math.max(stated.before[axis]!, stated.after[axis]!) >= size);
  if (paddedAway) node.fail('has pads as large as its kernel');
  return { stated, window: withPartialWindows(node, stated) };
}

const channelsAnd = (dims: readonly number[], sizes: readonly number[]): number[] => [dims[0]!, ...sizes];

export const maxPool: OperationEntry<'MaxPool'> = {
  inputs: ['activation'],
  required: 1,
  attributes: (node) => poolWindow(node).window,
  shape: (window, [input], fail) => channelsAnd(input!.dims, slidingSizes(window, input!.dims.slice(1), fail)),
  box: slidingBox,
};

export const averagePool: OperationEntry<'AveragePool'> = {
  inputs: ['activation'],
  required: 1,
  attributes(node) {
    const { window, stated } = poolWindow(node);
    const countIncludePad = node.int('count_include_pad', 0) !== 0;
    if (countIncludePad && window.after.some((pad, axis) => pad > stated.after[axis]!)) {
      node.fail('ceil_mode with count_include_pad is not supported where the last window is partial: use images it divides');
    }
    return { ...window, countIncludePad };
  },
  shape: (window, [input], fail) => channelsAnd(input!.dims, slidingSizes(window, input!.dims.slice(1), fail)),
  box: slidingBox,
};

export const globalAveragePool: OperationEntry<'GlobalAveragePool'> = {
  inputs: ['activation'],
  required: 1,
  attributes: () => ({}),
  shape: (_, [input]) => input!.dims.map((size, axis) => (axis === 0 ? size : 1)),
  box: wholeBox,
};
