/**
 * Support boxes: where on an input of an operation the cotangent can be non-zero, when that of its result is zero outside a box
 * (equally: what of the input that part of the result reads). A box covers the axes of a value after its first.
 */
import type { AxisTaps, Operation, OperationKind, OperatorType, Window } from './lowered';

type Range = readonly [number, number];

/** Half-open range on each axis after the first, [from, to); empty where to ≤ from. */
export type Box = readonly Range[];

/** Attributes of a kind that engines run. */
export type AttributesOf<T extends OperatorType> = OperationKind extends infer Kind
  ? Kind extends { readonly type: infer Type; readonly attributes: infer Attributes }
    ? T extends Type
      ? Attributes
      : never
    : never
  : never;

/** @param input sizes of the input's axes after its first */
type BoxRule<T extends OperatorType> = (attributes: AttributesOf<T>, output: Box, input: readonly number[]) => Box;

const isEmpty = (box: Box): boolean => box.some(([from, to]) => to <= from);

/** Operators that work on each position alone; axes lie right-aligned and one of size 1 was broadcast. */
function same(_: unknown, output: Box, input: readonly number[]): Box {
  const shift = output.length - input.length;
  return input.map((size, axis): Range => {
    const [from, to] = output[axis + shift] ?? [0, size];
    return size === 1 && from < to ? [0, 1] : [from, to];
  });
}

function whole(_: unknown, output: Box, input: readonly number[]): Box {
  const empty = isEmpty(output);
  return input.map((size) => [0, empty ? 0 : size]);
}

/** Along an axis counted with the first, every position may feed every other. */
function open({ axis }: { readonly axis: number }, output: Box, input: readonly number[]): Box {
  return output.map((range, i) => (i === axis - 1 && range[0] < range[1] ? [0, input[i]!] : range));
}

function extent(window: Window, axis: number): number {
  return (window.kernel[axis]! - 1) * window.dilations[axis]! + 1;
}

/** Result o reads input o·stride − before + k·dilation. */
function sliding(window: Window, output: Box, input: readonly number[]): Box {
  return output.map(([from, to], axis) => {
    if (to <= from) return [0, 0];
    const start = (index: number): number => index * window.strides[axis]! - window.before[axis]!;
    return [Math.max(0, start(from)), Math.min(input[axis]!, start(to - 1) + extent(window, axis))];
  });
}

/** Result o = i·stride − before + k·dilation is fed by input i. */
function transposed(window: Window, output: Box, input: readonly number[]): Box {
  return output.map(([from, to], axis) => {
    if (to <= from) return [0, 0];
    const stride = window.strides[axis]!;
    const before = window.before[axis]!;
    return [
      Math.max(0, Math.ceil((from + before - extent(window, axis) + 1) / stride)),
      Math.min(input[axis]!, Math.floor((to - 1 + before) / stride) + 1),
    ];
  });
}

function reads(taps: AxisTaps, [from, to]: Range): Range {
  let first = taps.inputSize;
  let last = -1;
  for (let tap = from * taps.taps; tap < to * taps.taps; tap++) {
    if (taps.weight[tap] === 0) continue;
    first = Math.min(first, taps.index[tap]!);
    last = Math.max(last, taps.index[tap]!);
  }
  return last < first ? [0, 0] : [first, last + 1];
}

const RULES: { readonly [T in OperatorType]: BoxRule<T> } = {
  Conv: sliding,
  ConvTranspose: transposed,
  BatchNormalization: same,
  Relu: same,
  LeakyRelu: same,
  Sigmoid: same,
  Elementwise: same,
  PRelu: same,
  Normalize: whole,
  Rearrange: whole,
  Reduce: whole,
  MatMul: whole,
  Compare: same,
  Where: same,
  Softmax: open,
  LogSoftmax: open,
  MaxPool: sliding,
  AveragePool: sliding,
  GlobalAveragePool: whole,
  Resize: ({ axes }, output) => output.map((range, axis) => reads(axes[axis]!, range)),
  Concat: open,
  Add: same,
  Sub: same,
  Mul: same,
  Div: same,
  Pow: same,
  Min: same,
  Max: same,
};

/**
 * Where on an input of an operation the cotangent can be non-zero, when that of its result is zero outside `output`.
 * @param input sizes of the input's axes after its first
 */
export function inputBox(operation: Operation, output: Box, input: readonly number[]): Box {
  const rule: BoxRule<OperatorType> = RULES[operation.type];
  return rule(operation.attributes, output, input);
}
