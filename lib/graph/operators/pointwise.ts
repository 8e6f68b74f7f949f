/** Operators on each position alone: BatchNormalization, Relu, LeakyRelu, Sigmoid, Softmax. */
import { sameBox, type Operand, type OperationEntry } from './operator';

const alike = {
  inputs: ['activation'] as const,
  required: 1,
  shape: (_: unknown, [input]: readonly (Operand | undefined)[]): readonly number[] => input!.dims,
  box: sameBox,
};

/** Running statistics are used whatever `training_mode` says: influence is that of the network in use. */
export const batchNormalization: OperationEntry<'BatchNormalization'> = {
  ...alike,
  inputs: ['activation', 'scale', 'shift', 'statistic', 'statistic'],
  required: 5,
  attributes(node) {
    const channels = node.image[0]!;
    for (let index = 1; index < 5; index++) {
      const { dims } = node.input(index)!;
      if (dims.length !== 1 || dims[0] !== channels) node.fail(`its input ${index} [${dims.join(', ')}] does not fit ${channels} channels`);
    }
    return { epsilon: node.float('epsilon', 1e-5), momentum: node.float('momentum', 0.9) };
  },
};

export const relu: OperationEntry<'Relu'> = { ...alike, attributes: () => ({}) };
export const sigmoid: OperationEntry<'Sigmoid'> = { ...alike, attributes: () => ({}) };

export const leakyRelu: OperationEntry<'LeakyRelu'> = {
  ...alike,
  attributes: (node) => ({ alpha: node.float('alpha', 0.01) }),
};

export const softmax: OperationEntry<'Softmax'> = {
  ...alike,
  attributes(node) {
    const axis = node.axis('axis', -1, node.image.length + 1);
    if (axis === 0) node.fail('runs over the batch axis, which would mix images');
    return { axis: axis - 1 };
  },
  // Along a spatial axis every position feeds every other.
  box: ({ axis }, output, input) => output.map((range, i) => (i === axis - 1 && range[0] < range[1] ? [0, input[i]!] : range)),
};
