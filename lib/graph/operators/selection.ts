/** Operators that take parts of a tensor or put parts together. */
import type { Term } from '../lowering/term';
import { operator, type NodeView, type OperatorEntry } from './operator';

const count = (length: number): number[] => Array.from({ length }, (_, i) => i);

/** Starts and ends beyond the axis mean its ends. */
function slice(node: NodeView): Term {
  const x = node.term(0);
  const starts = node.list('starts', 1) ?? node.fail('does not say where it starts');
  const ends = node.list('ends', 2) ?? node.fail('does not say where it ends');
  const axes = node.axes(node.list('axes', 3) ?? count(starts.length), x.dims.length);
  const steps = node.list('steps', 4) ?? axes.map(() => 1);
  if ([starts, ends, steps].some(({ length }) => length !== axes.length)) node.fail('has starts, ends, axes and steps of different length');
  return axes.reduce((made, axis, i) => {
    const [size, step] = [x.dims[axis]!, steps[i]!];
    if (step === 0) node.fail('steps by 0');
    const place = (at: number, low: number, high: number): number => Math.min(Math.max(at < 0 ? at + size : at, low), high);
    const [low, high] = step > 0 ? [0, size] : [-1, size - 1];
    const start = place(starts[i]!, step > 0 ? 0 : Math.min(0, size - 1), high);
    const length = Math.max(0, Math.ceil((place(ends[i]!, low, high) - start) / step));
    return node.emit.arrange(made, (arrangement) => arrangement.slice(axis, length === 0 ? 0 : start, step, length));
  }, x);
}

/** By stated sizes, or evenly among the outputs with a smaller last part. */
function split(node: NodeView): Term[] {
  const x = node.term(0);
  const axis = node.axis('axis', 0, x.dims.length);
  const length = x.dims[axis]!;
  const even = Math.ceil(length / node.outputCount);
  const sizes = node.list('split', 1) ?? Array.from({ length: node.outputCount }, (_, i) => Math.min(even, length - i * even));
  if (sizes.some((size) => size < 0) || sizes.reduce((sum, size) => sum + size, 0) !== length)
    node.fail(`splits ${length} into [${sizes.join(', ')}]`);
  let at = 0;
  return sizes.map((size) => {
    const start = at;
    at += size;
    return node.emit.arrange(x, (arrangement) => arrangement.slice(axis, start, 1, size));
  });
}

/** The position that stands at `i` outside of 0 … size − 1, −1 for the fill. */
const OUTSIDE = {
  constant: () => -1,
  edge: (i: number, size: number) => Math.min(Math.max(i, 0), size - 1),
  wrap: (i: number, size: number) => ((i % size) + size) % size,
  reflect(i: number, size: number): number {
    const period = Math.max(1, 2 * (size - 1));
    const at = ((i % period) + period) % period;
    return Math.min(at, period - at);
  },
};

function pad(node: NodeView): Term {
  const x = node.term(0);
  const mode = node.string('mode', ['constant', 'reflect', 'edge', 'wrap'], 'constant');
  const pads = node.list('pads', 1) ?? node.fail('does not say how much it pads');
  const fill = node.has('value') ? node.float('value', 0) : (node.known(2)?.data[0] ?? 0);
  const axes = node.axes(node.known(3)?.data ? Array.from(node.known(3)!.data) : count(x.dims.length), x.dims.length);
  if (pads.length !== 2 * axes.length || !pads.every(Number.isSafeInteger)) node.fail(`has ${pads.length} pads for ${axes.length} axes`);
  return axes.reduce((made, axis, i) => {
    const [before, after, size] = [pads[i]!, pads[i + axes.length]!, x.dims[axis]!];
    if (before === 0 && after === 0) return made;
    const length = size + before + after;
    if (!(length > 0 && length < 2 ** 24)) node.fail(`pads an axis of ${size} to ${length}`);
    const positions = count(length).map((o) => (o >= before && o < before + size ? o - before : OUTSIDE[mode](o - before, size)));
    return node.emit.take(made, axis, positions, fill);
  }, x);
}

function gather(node: NodeView): Term {
  const x = node.term(0);
  const axis = node.axis('axis', 0, x.dims.length);
  const size = x.dims[axis]!;
  const indices = node.known(1) ?? node.fail('has no indices');
  const positions = Array.from(indices.data, (index) => (index < 0 ? index + size : index));
  const wrong = positions.find((position) => !(position >= 0 && position < size));
  if (wrong !== undefined) node.fail(`index ${wrong} is outside of ${size}`);
  return node.emit.reshape(node.emit.take(x, axis, positions), [...x.dims.slice(0, axis), ...indices.dims, ...x.dims.slice(axis + 1)]);
}

export const selections: Readonly<Record<string, OperatorEntry>> = {
  Slice: operator(1, 5, slice),
  Split: operator(1, 2, split),
  Pad: operator(1, 4, pad),
  Gather: operator(2, 2, gather),
  Concat: operator(1, Infinity, (node) => {
    const parts = Array.from({ length: node.inputCount }, (_, index) => node.term(index));
    return node.emit.concat(parts, node.axis('axis', 1, parts[0]!.dims.length));
  }),
};
