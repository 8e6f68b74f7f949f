/** Conv and ConvTranspose (opset 11 and 22 of ONNX are the same here). */
import type { AttributesOf } from '../boxes';
import type { OperationKind } from '../lowered';
import type { Term } from '../lowering/term';
import { operator, type NodeView, type OperatorEntry } from './operator';
import { AUTO_PADS, extent, padAutomatically, readWindow, slidingSizes } from './window';

interface Weights {
  readonly kernel: readonly number[];
  readonly groups: number;
}

/** The kernel's spatial sizes and the groups, checked against the input and the bias. */
function readWeights(node: NodeView, transposed: boolean): Weights {
  const { dims } = node.term(1);
  const groups = node.int('group', 1);
  const channels = node.image[0]!;
  if (dims.length !== node.image.length + 1) node.fail(`its kernel [${dims.join(', ')}] has not the rank of its input`);
  const [first, second] = dims as [number, number];
  const [wanted, outputs] = transposed ? [first, second * groups] : [second * groups, first];
  if (groups < 1 || wanted !== channels || outputs % groups !== 0 || channels % groups !== 0) {
    node.fail(`its kernel [${dims.join(', ')}] in ${groups} groups does not fit ${channels} input channels`);
  }
  const bias = node.input(2)?.dims;
  if (bias && (bias.length !== 1 || bias[0] !== outputs))
    node.fail(`its bias [${bias.join(', ')}] does not fit ${outputs} output channels`);
  return { kernel: dims.slice(2), groups };
}

/** Attributes and the result's dims [C, …]. */
export interface Convolution<T extends 'Conv' | 'ConvTranspose'> {
  readonly attributes: AttributesOf<T>;
  readonly dims: readonly number[];
}

export function readConv(node: NodeView): Convolution<'Conv'> {
  const { kernel, groups } = readWeights(node, false);
  const window = padAutomatically(node, readWindow(node, kernel));
  const dims = [node.term(1).dims[0]!, ...slidingSizes(window, node.image.slice(1), node.fail)];
  return { attributes: { ...window, groups }, dims };
}

export function readConvTranspose(node: NodeView): Convolution<'ConvTranspose'> {
  const attributes = transposedAttributes(node);
  const sizes = node.image
    .slice(1)
    .map(
      (size, axis) =>
        attributes.strides[axis]! * (size - 1) +
        attributes.outputPadding[axis]! +
        extent(attributes, axis) -
        attributes.before[axis]! -
        attributes.after[axis]!,
    );
  if (sizes.some((size) => size < 1)) node.fail('its pads leave nothing of the output');
  return { attributes, dims: [node.term(1).dims[1]! * attributes.groups, ...sizes] };
}

function transposedAttributes(node: NodeView): AttributesOf<'ConvTranspose'> {
  const { kernel, groups } = readWeights(node, true);
  const window = readWindow(node, kernel);
  const rank = kernel.length;
  const outputPadding = [...node.ints('output_padding', new Array<number>(rank).fill(0))];
  if (outputPadding.length !== rank || outputPadding.some((value) => value < 0))
    node.fail(`output_padding must be ${rank} numbers of at least 0`);
  const mode = node.string('auto_pad', AUTO_PADS, 'NOTSET');
  const stated = node.has('output_shape') ? node.ints('output_shape', []) : undefined;
  if (stated && stated.length !== rank) node.fail(`output_shape must be ${rank} numbers`);
  if (!stated && !mode.startsWith('SAME')) {
    const none = mode === 'VALID' ? { before: kernel.map(() => 0), after: kernel.map(() => 0) } : {};
    return { ...window, ...none, groups, outputPadding };
  }
  // The pads follow from the wanted size (ConvTranspose of the ONNX specification). A stated size that needs less than no
  // pads is padding of the output; with SAME the result stays smaller than input · stride, as in onnxruntime.
  const before: number[] = [];
  const after: number[] = [];
  node.image.slice(1).forEach((size, axis) => {
    const wanted = stated ? stated[axis]! : size * window.strides[axis]!;
    const total = window.strides[axis]! * (size - 1) + outputPadding[axis]! + extent(window, axis) - wanted;
    if (total < 0 && stated) outputPadding[axis]! -= total;
    const padded = Math.max(0, total);
    const small = Math.floor(padded / 2);
    before.push(mode === 'SAME_UPPER' ? small : padded - small);
    after.push(mode === 'SAME_UPPER' ? padded - small : small);
  });
  return { ...window, before, after, groups, outputPadding };
}

function convolve(node: NodeView, type: 'Conv' | 'ConvTranspose'): Term {
  const { emit } = node;
  const { attributes, dims } = type === 'Conv' ? readConv(node) : readConvTranspose(node);
  const kernel = node.term(1);
  const inputs = [emit.featureMap(node.term(0)), emit.value(emit.parameter(kernel, 'kernel'), kernel.dims)];
  const bias = node.input(2);
  if (bias?.kind !== 'known') {
    if (bias) inputs.push(emit.value(emit.parameter(bias, 'bias'), bias.dims));
    return emit.map({ type, attributes } as OperationKind, inputs, [1, ...dims]);
  }
  // Exporters give convolutions without a bias one of zeros: it is no parameter.
  const made = emit.map({ type, attributes } as OperationKind, inputs, [1, ...dims]);
  if (bias.data.every((value) => value === 0)) return made;
  return emit.binary('Add', made, emit.reshape(bias, [dims[0]!, ...dims.slice(1).map(() => 1)]));
}

export const convolutions: Readonly<Record<string, OperatorEntry>> = {
  Conv: operator(2, 3, (node) => convolve(node, 'Conv')),
  ConvTranspose: operator(2, 3, (node) => convolve(node, 'ConvTranspose')),
};
