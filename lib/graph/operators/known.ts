/** Operators gone after lowering: constants, and the arithmetic on shapes that exporters write before a Resize. */
import { known, type Known, type NodeView, type VanishingEntry } from './operator';

const list = (values: ArrayLike<number>): Known => known([values.length], values);

function required(node: NodeView, index: number): Known {
  return node.known(index) ?? node.fail(`needs its input ${index}`);
}

/** Lists and single numbers: all that shape arithmetic is made of. */
function requiredList(node: NodeView, index: number): Known {
  const value = required(node, index);
  return value.dims.length <= 1 ? value : node.fail(`works on a known tensor of rank ${value.dims.length}, which is not supported`);
}

export const identity: VanishingEntry = { passes: true };
/** As in use: nothing is dropped. */
export const dropout: VanishingEntry = { passes: true };

export const constant: VanishingEntry = {
  fold(node) {
    const values = node.floats('value_floats') ?? (node.has('value_ints') ? node.ints('value_ints', []) : undefined);
    if (values) return list(values);
    if (node.has('value_float')) return known([], [node.float('value_float', 0)]);
    if (node.has('value_int')) return known([], [node.int('value_int', 0)]);
    return node.tensor('value') ?? node.fail('holds no number');
  },
};

/** One image a batch: only spatial sizes and channels are used of it. */
export const shape: VanishingEntry = {
  fold(node) {
    const operand = node.input(0) ?? node.fail('needs its input 0');
    const dims = operand.batch ? [1, ...operand.dims] : operand.dims;
    return list(dims.slice(node.int('start', 0), node.has('end') ? node.int('end', 0) : undefined));
  },
};

export const cast: VanishingEntry = {
  fold(node) {
    const value = required(node, 0);
    const toFloat = [1, 10, 11, 16].includes(node.int('to', 1));
    return known(value.dims, toFloat ? value.data : value.data.map(Math.trunc));
  },
};

export const unsqueeze: VanishingEntry = {
  fold(node) {
    const value = requiredList(node, 0);
    return value.dims.length === 0 ? list(value.data) : node.fail('adds an axis to a known list, which is not supported');
  },
};

export const gather: VanishingEntry = {
  fold(node) {
    const [{ data }, indices] = [requiredList(node, 0), requiredList(node, 1)];
    const picked = indices.data.map(
      (index) => data[index < 0 ? index + data.length : index] ?? node.fail(`index ${index} is outside of ${data.length}`),
    );
    return known(indices.dims, picked);
  },
};

export const slice: VanishingEntry = {
  fold(node) {
    const { data } = requiredList(node, 0);
    const at = (index: number, fallback: number): number => node.known(index)?.data[0] ?? fallback;
    if (at(4, 1) !== 1) node.fail('takes steps through a known list, which is not supported');
    return list(data.slice(at(1, 0), at(2, data.length)));
  },
};
