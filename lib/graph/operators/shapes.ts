/** Constants and the arithmetic on shapes that exporters write: known before the network runs. */
import { known, sizeOf, wholeNumbers, type Known, type Term } from '../lowering/term';
import { operator, type NodeView, type OperatorEntry } from './operator';

/** Codes of float, float16, double and bfloat16 in TensorProto.DataType. */
const FLOATS = [1, 10, 11, 16];
const BOOL = 9;
const LARGEST = 2 ** 24;

const required = (node: NodeView, index: number): Known => node.known(index) ?? node.fail(`needs its input ${index}`);

function constant(node: NodeView): Term {
  const floats = node.floats('value_floats');
  if (floats) return known([floats.length], floats, false);
  if (node.has('value_ints')) return wholeNumbers(node.ints('value_ints', []));
  if (node.has('value_float')) return known([], [node.float('value_float', 0)], false);
  if (node.has('value_int')) return known([], [node.int('value_int', 0)], true);
  return node.tensor('value') ?? node.fail('holds no number');
}

/** Floating-point numbers stay what they are; whole ones of the image have no derivative. */
function cast(node: NodeView): Term {
  const x = node.term(0);
  const to = node.int('to', 1);
  if (FLOATS.includes(to)) return x.kind === 'known' ? known(x.dims, x.data, false, x.name) : x;
  if (x.kind === 'computed') return node.fail('makes whole numbers of values computed from the image, which has no derivative');
  const value = x.kind === 'weights' ? x.numbers() : x;
  if (to === BOOL) return known(x.dims, value.data.map((each) => Number(each !== 0)), true); // prettier-ignore
  // In float32, as for Floor; whole numbers may be larger than that holds.
  return known(x.dims, value.integer ? value.data : value.data.map((each) => Math.trunc(Math.fround(each))), true);
}

function constantOfShape(node: NodeView): Term {
  const dims = Array.from(node.known(0)?.data ?? []);
  if (!dims.every((size) => Number.isSafeInteger(size) && size >= 0) || sizeOf(dims) > LARGEST)
    node.fail(`makes a tensor of [${dims.join(', ')}]`);
  const value = node.tensor('value');
  return known(dims, new Float64Array(sizeOf(dims)).fill(value?.data[0] ?? 0), value?.integer ?? false);
}

function range(node: NodeView): Term {
  const [start, limit, delta] = [required(node, 0), required(node, 1), required(node, 2)];
  const [from, to, step] = [start.data[0]!, limit.data[0]!, delta.data[0]!];
  const length = Math.max(0, Math.ceil((to - from) / step));
  if (!(length <= LARGEST)) node.fail(`counts from ${from} to ${to} by ${step}`);
  return known([length], Float64Array.from({ length }, (_, i) => from + i * step), start.integer); // prettier-ignore
}

/** Positions of the numbers that are not 0, [rank, count]. */
function nonZero(node: NodeView): Term {
  const { dims, data } = required(node, 0);
  const places = [...data.keys()].filter((i) => data[i] !== 0);
  const rows = dims.map((size, axis) => {
    const step = sizeOf(dims.slice(axis + 1));
    return places.map((place) => Math.floor(place / step) % size);
  });
  return known([dims.length, places.length], rows.flat(), true);
}

export const shapes: Readonly<Record<string, OperatorEntry>> = {
  Constant: operator(0, 0, constant),
  Shape: operator(1, 1, (node) =>
    wholeNumbers(node.term(0).dims.slice(node.int('start', 0), node.has('end') ? node.int('end', 0) : undefined)),
  ),
  Size: operator(1, 1, (node) => known([], [sizeOf(node.term(0).dims)], true)),
  Cast: operator(1, 1, cast),
  CastLike: operator(2, 2, (node) => node.term(0)),
  ConstantOfShape: operator(1, 1, constantOfShape),
  Range: operator(3, 3, range),
  NonZero: operator(1, 1, nonZero),
};
