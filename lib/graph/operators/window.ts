/** Windows sliding over the spatial axes: convolutions and pools. */
import type { Window } from '../lowered';
import type { NodeView } from './operator';

export const AUTO_PADS = ['NOTSET', 'VALID', 'SAME_UPPER', 'SAME_LOWER'] as const;

const ones = (rank: number): number[] => Array.from({ length: rank }, () => 1);

/** Positions from the first to the last tap, on one axis. */
export function extent(window: Pick<Window, 'kernel' | 'dilations'>, axis: number): number {
  return (window.kernel[axis]! - 1) * window.dilations[axis]! + 1;
}

function positive(node: NodeView, name: string, values: readonly number[], rank: number, least: number): readonly number[] {
  if (values.length !== rank || values.some((value) => value < least)) {
    node.fail(`${name} [${values.join(', ')}] must be ${rank} numbers of at least ${least}`);
  }
  return values;
}

/**
 * Attributes kernel_shape, strides, dilations, pads; `auto_pad` is left to the caller, who knows which way sizes go.
 * @param kernel sizes of the weights, for operators that have some
 */
export function readWindow(node: NodeView, kernel?: readonly number[]): Window {
  const rank = node.image.length - 1;
  const sizes = positive(node, 'kernel_shape', node.ints('kernel_shape', kernel ?? []), rank, 1);
  if (kernel && sizes.some((size, axis) => size !== kernel[axis])) {
    node.fail(`kernel_shape [${sizes.join(', ')}] differs from its weights' [${kernel.join(', ')}]`);
  }
  const strides = positive(node, 'strides', node.ints('strides', ones(rank)), rank, 1);
  const dilations = positive(node, 'dilations', node.ints('dilations', ones(rank)), rank, 1);
  const pads = positive(node, 'pads', node.ints('pads', ones(2 * rank).fill(0)), 2 * rank, 0);
  return { kernel: sizes, strides, dilations, before: pads.slice(0, rank), after: pads.slice(rank) };
}

/** SAME pads of a sliding window: ⌈input / stride⌉ results, the odd one after (UPPER) or before (LOWER). */
export function padAutomatically(node: NodeView, window: Window): Window {
  const mode = node.string('auto_pad', AUTO_PADS, 'NOTSET');
  if (mode === 'NOTSET') return window;
  // onnxruntime refuses it for convolutions and ignores the dilation for pools.
  if (mode !== 'VALID' && window.dilations.some((dilation) => dilation > 1))
    node.fail(`has auto_pad ${mode} with dilations: export it with pads`);
  const before: number[] = [];
  const after: number[] = [];
  node.image.slice(1).forEach((size, axis) => {
    const stride = window.strides[axis]!;
    const total = mode === 'VALID' ? 0 : Math.max(0, (Math.ceil(size / stride) - 1) * stride + extent(window, axis) - size);
    const small = Math.floor(total / 2);
    before.push(mode === 'SAME_UPPER' ? small : total - small);
    after.push(mode === 'SAME_UPPER' ? total - small : small);
  });
  return { ...window, before, after };
}

/** Sizes of what a sliding window makes of an input. */
export function slidingSizes(window: Window, input: readonly number[], fail: (message: string) => never): number[] {
  return input.map((size, axis) => {
    const room = size + window.before[axis]! + window.after[axis]! - extent(window, axis);
    if (room < 0) fail(`its window of ${extent(window, axis)} does not fit an input of ${size}: use larger images`);
    return Math.floor(room / window.strides[axis]!) + 1;
  });
}
