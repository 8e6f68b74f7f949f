/** Arithmetic on shapes and other known numbers, gone before the network runs, against onnxruntime. */
import type { Node, Tensor } from '../../lib/graph/graph';
import { lower } from '../../lib/graph/lower';
import { referenceCore } from '../support/core';
import { floats, graphOf, integers, node, ramp, runGraph } from './support';

const number = (value: number): Tensor => ({ type: 'int64', dims: [], data: BigInt64Array.of(BigInt(value)) });
const list = integers([7, -7, 3, 0, 12, -1]);

/** Nodes that make `r`, of `count` numbers, of known ones; initializers `l` [6], `two`, `five`, `float` are there. */
const cases: [string, number, Node[]][] = [
  ['a quotient of whole numbers', 6, [node('Div', ['l', 'two'], ['r'])]],
  ['a quotient', 6, [node('Cast', ['l'], ['f'], { to: 1 }), node('Div', ['f', 'float'], ['r'])]],
  ['a remainder', 6, [node('Mod', ['l', 'five'], ['r'])]],
  ['a remainder of its dividend\'s sign', 6, [node('Mod', ['l', 'five'], ['r'], { fmod: 1 })]],
  ['truncation', 6, [node('Cast', ['l'], ['f'], { to: 1 }), node('Mul', ['f', 'float'], ['g']), node('Cast', ['g'], ['r'], { to: 7 })]],
  ['truth', 6, [node('Cast', ['l'], ['r'], { to: 9 })]],
  ['comparison and choice', 6, [node('Greater', ['l', 'two'], ['c']), node('Where', ['c', 'l', 'five'], ['r'])]],
  ['logic', 6, [node('Less', ['l', 'two'], ['a']), node('Equal', ['l', 'l'], ['b']), node('And', ['a', 'b'], ['c']), node('Not', ['c'], ['d']), node('Or', ['c', 'd'], ['e']), node('Xor', ['e', 'c'], ['r'])]],
  ['rounding', 6, [node('Cast', ['l'], ['f'], { to: 1 }), node('Mul', ['f', 'half'], ['g']), node('Round', ['g'], ['h']), node('Floor', ['g'], ['i']), node('Ceil', ['g'], ['j']), node('Sum', ['h', 'i', 'j'], ['r'])]],
  // 10 · 0.7 and 10 · 0.3 are whole in float32 alone.
  ['sizes cut to whole numbers', 3, [node('Constant', [], ['t'], { value: floats([1], [10]) }), node('Constant', [], ['p'], { value: floats([1], [0.7]) }), node('Constant', [], ['q'], { value: floats([1], [0.3]) }), node('Mul', ['t', 'p'], ['u']), node('Mul', ['t', 'q'], ['v']), node('Floor', ['u'], ['f']), node('Ceil', ['v'], ['g']), node('Cast', ['u'], ['i'], { to: 7 }), node('Cast', ['i'], ['h'], { to: 1 }), node('Concat', ['f', 'g', 'h'], ['r'], { axis: 0 })]],
  ['functions', 6, [node('Cast', ['l'], ['f'], { to: 1 }), node('Abs', ['f'], ['a']), node('Sqrt', ['a'], ['s']), node('Exp', ['f'], ['e']), node('Cos', ['f'], ['c']), node('Max', ['s', 'c'], ['m']), node('Add', ['m', 'e'], ['r'])]],
  ['a range', 4, [node('Range', ['two', 'thirteen', 'three'], ['r'])]],
  ['a grid', 12, [node('Range', ['zero', 'four', 'one'], ['a']), node('Range', ['zero', 'three', 'one'], ['b']), node('Unsqueeze', ['b', 'axis'], ['c']), node('Mul', ['a', 'c'], ['r'])]],
  ['a shape', 4, [node('Shape', ['image'], ['r'])]],
  ['a part of a shape', 2, [node('Shape', ['image'], ['r'], { start: -2 })]],
  ['a size', 1, [node('Size', ['image'], ['r'])]],
  ['constants of a shape', 6, [node('ConstantOfShape', ['dims'], ['r'], { value: { type: 'int64', dims: [1], data: BigInt64Array.of(5n) } })]],
  ['positions that are not 0', 5, [node('NonZero', ['l'], ['r'])]],
  ['a reduction', 3, [node('Reshape', ['l', 'dims'], ['m']), node('ReduceSum', ['m', 'axis'], ['a']), node('ReduceMax', ['m'], ['b'], { axes: [1] }), node('ReduceProd', ['m'], ['c'], { axes: [1], keepdims: 0 }), node('Squeeze', ['b', 'axis'], ['bs']), node('Squeeze', ['a', 'axis'], ['as']), node('Add', ['as', 'bs'], ['d']), node('Add', ['d', 'c'], ['r'])]],
  ['parts put together', 7, [node('Slice', ['l', 'axis', 'far'], ['s']), node('Gather', ['l', 'two'], ['g']), node('Unsqueeze', ['g', 'front'], ['u']), node('Concat', ['s', 'u', 'u'], ['r'], { axis: 0 })]],
  ['parts taken apart', 6, [node('Split', ['l'], ['a', 'b'], { axis: 0 }), node('Concat', ['b', 'a'], ['r'], { axis: 0 })]],
  ['numbers transposed, tiled, padded', 10, [node('Reshape', ['l', 'dims'], ['m']), node('Transpose', ['m'], ['t']), node('Tile', ['t', 'twice'], ['u']), node('Expand', ['u', 'dims1'], ['e']), node('Pad', ['e', 'pads'], ['r'])]],
]; // prettier-ignore

test.each(cases)('%s', async (_, count, nodes) => {
  const initializers = {
    l: list,
    dims: integers([3, 2]),
    dims1: integers([2, 6]),
    pads: integers([0, 1, 0, -2]),
    twice: integers([1, 2]),
    axis: integers([1]),
    front: integers([0]),
    far: integers([2 ** 40]),
    zero: number(0),
    one: number(1),
    two: number(2),
    three: number(3),
    four: number(4),
    five: number(5),
    thirteen: number(13),
    float: floats([], [1.5]),
    half: floats([], [0.5]),
    row: integers([1, 1, 1, -1]),
    head: floats([2, 1, 1, 1], [1, 2]),
  };
  const [size, padded] = [[1, 16], integers([0, 0, 0, 0, 0, 0, 0, 16 - count])];
  const graph = graphOf(
    [
      ...nodes,
      node('Cast', ['r'], ['numbers'], { to: 1 }),
      node('Reshape', ['numbers', 'row'], ['line']),
      node('Pad', ['line', 'padded'], ['map']),
      node('Add', ['image', 'map'], ['x']),
      node('Conv', ['x', 'head'], ['logits']),
    ],
    { ...initializers, padded },
    { dims: ['N', 1, ...size] },
  );
  const used = new Set(graph.nodes.flatMap(({ inputs }) => inputs));
  const needed = { ...graph, initializers: new Map([...graph.initializers].filter(([name]) => used.has(name))) };
  const image = ramp(16);
  const ran = await runGraph(needed, image, [1, 1, ...size]);
  const { logits } = referenceCore(needed, size).program.forward(image, false);
  logits.forEach((value, i) => expect(value / (1 + Math.abs(value))).toBeCloseTo(ran.data[i]! / (1 + Math.abs(ran.data[i]!)), 5));
  expect(lower(needed, size).operations.map(({ type }) => type)).toEqual(['Add', 'Conv']);
});
