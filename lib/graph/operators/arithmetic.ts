/** Add, Sub, Mul with numpy broadcasting. */
import { known, sameBox, type Known, type NodeView, type OperationEntry, type Operand } from './operator';

type Arithmetic = OperationEntry<'Add'> & OperationEntry<'Sub'> & OperationEntry<'Mul'>;

/** Dims of the broadcast, or undefined where the two do not fit. */
function broadcast(a: readonly number[], b: readonly number[]): number[] | undefined {
  const rank = Math.max(a.length, b.length);
  const result: number[] = [];
  for (let axis = 0; axis < rank; axis++) {
    const [x, y] = [a[axis - rank + a.length] ?? 1, b[axis - rank + b.length] ?? 1];
    if (x !== y && x !== 1 && y !== 1) return undefined;
    result.push(x === 1 ? y : x);
  }
  return result;
}

/** With a batch axis of one image in front of an activation. */
const full = ({ dims, batch }: Operand): readonly number[] => (batch ? [1, ...dims] : dims);

function foldArithmetic(node: NodeView, combine: (a: number, b: number) => number): Known {
  const [a, b] = [node.known(0) ?? known([0], []), node.known(1) ?? known([0], [])];
  const dims = broadcast(a.dims, b.dims) ?? node.fail(`[${a.dims.join(', ')}] and [${b.dims.join(', ')}] do not broadcast`);
  const size = dims.reduce((product, length) => product * length, 1);
  const at = (from: Known, index: number): number => {
    let offset = 0;
    let step = 1;
    for (let axis = dims.length - 1, rest = index; axis >= 0; axis--) {
      const length = from.dims[axis - dims.length + from.dims.length] ?? 1;
      if (length > 1) offset += (rest % dims[axis]!) * step;
      rest = Math.floor(rest / dims[axis]!);
      step *= length;
    }
    return from.data[offset]!;
  };
  return known(
    dims,
    Float64Array.from({ length: size }, (_, index) => combine(at(a, index), at(b, index))),
  );
}

function arithmetic(combine: (a: number, b: number) => number): Arithmetic {
  return {
    inputs: ['operand', 'operand'],
    required: 2,
    attributes: () => ({}),
    shape(_, inputs, fail) {
      const [a, b] = [inputs[0]!, inputs[1]!];
      const label = `[${a.dims.join(', ')}] and [${b.dims.join(', ')}]`;
      const rank = Math.max(...[a, b].filter(({ batch }) => batch).map(({ dims }) => dims.length + 1));
      // An activation of smaller rank would have its batch axis laid over another axis.
      if ([a, b].some((operand) => (operand.batch ? operand.dims.length + 1 !== rank : operand.dims.length > rank))) {
        fail(`combines ${label}, whose ranks differ`);
      }
      const result = broadcast(full(a), full(b)) ?? fail(`combines maps of different size, ${label}`);
      if (result.length === rank && result[0] !== 1)
        fail(`combines ${label}: a constant along the batch axis would differ from image to image`);
      return result.slice(1);
    },
    box: sameBox,
    fold: (node) => foldArithmetic(node, combine),
  };
}

export const add: OperationEntry<'Add'> = arithmetic((a, b) => a + b);
export const sub: OperationEntry<'Sub'> = arithmetic((a, b) => a - b);
export const mul: OperationEntry<'Mul'> = arithmetic((a, b) => a * b);
