/** Conv and ConvTranspose (opset 11 and 22 of ONNX are the same here). */
import type { NodeView, OperationEntry, Operand } from './operator';
import { AUTO_PADS, extent, padAutomatically, readWindow, slidingBox, slidingSizes, transposedBox } from './window';

interface Weights {
  readonly kernel: readonly number[];
  readonly groups: number;
}

/** The kernel's spatial sizes and the groups, checked against the input and the bias. */
function readWeights(node: NodeView, transposed: boolean): Weights {
  const dims = node.input(1)!.dims;
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

function spatial(inputs: readonly (Operand | undefined)[]): readonly number[] {
  return inputs[0]!.dims.slice(1);
}

export const conv: OperationEntry<'Conv'> = {
  inputs: ['activation', 'kernel', 'bias'],
  required: 2,
  attributes(node) {
    const { kernel, groups } = readWeights(node, false);
    return { ...padAutomatically(node, readWindow(node, kernel)), groups };
  },
  shape: (window, inputs, fail) => [inputs[1]!.dims[0]!, ...slidingSizes(window, spatial(inputs), fail)],
  box: slidingBox,
};

export const convTranspose: OperationEntry<'ConvTranspose'> = {
  inputs: ['activation', 'kernel', 'bias'],
  required: 2,
  attributes(node) {
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
  },
  shape(window, inputs, fail) {
    const sizes = spatial(inputs).map(
      (size, axis) =>
        window.strides[axis]! * (size - 1) +
        window.outputPadding[axis]! +
        extent(window, axis) -
        window.before[axis]! -
        window.after[axis]!,
    );
    if (sizes.some((size) => size < 1)) fail('its pads leave nothing of the output');
    return [inputs[1]!.dims[1]! * window.groups, ...sizes];
  },
  box: transposedBox,
};
