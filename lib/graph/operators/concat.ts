import { known, type NodeView, type OperationEntry } from './operator';

function foldConcat(node: NodeView): ReturnType<typeof known> {
  const parts = Array.from({ length: node.inputCount }, (_, index) => node.known(index) ?? known([0], []));
  if (parts.some(({ dims }) => dims.length !== 1)) node.fail('joins known tensors that are not lists');
  const data = parts.flatMap((part) => [...part.data]);
  return known([data.length], data);
}

export const concat: OperationEntry<'Concat'> = {
  inputs: ['activation'],
  required: 1,
  variadic: true,
  attributes(node) {
    const axis = node.axis('axis', 1, node.image.length + 1);
    if (axis === 0) node.fail('joins along the batch axis, which would mix images');
    return { axis: axis - 1 };
  },
  shape({ axis }, inputs, fail) {
    const result = [...inputs[0]!.dims];
    for (const input of inputs.slice(1)) {
      const dims = input!.dims;
      const fits = dims.length === result.length && dims.every((size, i) => i === axis || size === result[i]);
      if (!fits) fail(`joins maps of different size, [${inputs[0]!.dims.join(', ')}] and [${dims.join(', ')}]`);
      result[axis]! += dims[axis]!;
    }
    return result;
  },
  // Along a spatial axis the inputs lie one after another: open that axis.
  box: ({ axis }, output, input) => output.map((range, i) => (i === axis - 1 && range[0] < range[1] ? [0, input[i]!] : range)),
  fold: foldConcat,
};
