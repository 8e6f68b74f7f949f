/** Rearranged tensors: chains against the same steps on nested positions, and what of them is left in a lowered network. */
import fc from 'fast-check';
import { lower } from '../../lib/graph/lower';
import { Arrangement, inverse } from '../../lib/graph/lowering/arrangement';
import { floats, graphOf, integers, node, offset, positions, product, ramp } from './support';

const FILL = 7;
interface Tensor {
  readonly dims: readonly number[];
  readonly numbers: readonly number[];
}
/** A step on an arrangement, and by definition: which position of the tensor before each position reads (undefined: the fill). */
interface Step {
  readonly change: (arrangement: Arrangement) => Arrangement;
  readonly dims: readonly number[];
  readonly reads: (position: readonly number[]) => readonly number[] | undefined;
}

function stepOf(kind: number, dims: readonly number[], next: (below: number) => number): Step {
  const axis = next(dims.length);
  const size = dims[axis]!;
  switch (kind) {
    case 0: {
      const order = [...dims.keys()].sort(() => next(3) - 1);
      return { change: (a) => a.transpose(order), dims: order.map((i) => dims[i]!), reads: (p) => inverse(order).map((i) => p[i]!) };
    }
    case 1: {
      const back = next(2) === 1;
      const start = next(size);
      const [step, length] = back ? [-1, start + 1] : [1 + next(2), 1];
      return {
        change: (a) => a.slice(axis, start, step, length),
        dims: dims.with(axis, length),
        reads: (p) => p.with(axis, start + p[axis]! * step),
      };
    }
    case 2: {
      const taken = Array.from({ length: 1 + next(4) }, () => next(size + 1) - 1);
      return {
        change: (a) => a.take(axis, taken, FILL),
        dims: dims.with(axis, taken.length),
        reads: (p) => (taken[p[axis]!]! < 0 ? undefined : p.with(axis, taken[p[axis]!]!)),
      };
    }
    case 3: {
      const wide = dims.map((length) => (length === 1 ? 1 + next(3) : length));
      return { change: (a) => a.expand([2, ...wide]), dims: [2, ...wide], reads: (p) => p.slice(1).map((i, k) => (dims[k] === 1 ? 0 : i)) };
    }
    default: {
      const flat = next(2) === 0 || dims.length < 2 ? [product(dims)] : [dims[0]!, product(dims.slice(1))];
      return { change: (a) => a.reshape(flat), dims: flat, reads: (p) => positions(dims)[offset(p, flat)]! };
    }
  }
}

test('any chain reads what its steps read', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(4), { maxLength: 6 }), fc.infiniteStream(fc.nat(60)), (kinds, numbers) => {
      const next = (below: number): number => (numbers.next().value as number) % below;
      let arrangement = Arrangement.of([2, 3, 4]);
      let tensor: Tensor = { dims: [2, 3, 4], numbers: [...Array(24).keys()] };
      for (const kind of kinds) {
        const { change, dims, reads } = stepOf(kind, tensor.dims, next);
        if (product(dims) > 500) return;
        const before = tensor;
        arrangement = change(arrangement);
        tensor = {
          dims,
          numbers: positions(dims).map((position) => {
            const from = reads(position);
            return from ? before.numbers[offset(from, before.dims)]! : -1;
          }),
        };
      }
      expect(arrangement.dims).toEqual(tensor.dims);
      expect([...arrangement.indices()]).toEqual(tensor.numbers);
      expect(arrangement.fill).toBe(tensor.numbers.includes(-1) ? FILL : arrangement.fill);
      const order = arrangement.order();
      if (order) expect(arrangement.transpose(order).reshape([tensor.numbers.length]).table).toBe(arrangement.table);
    }),
    { numRuns: 2000, seed: 5 },
  );
});

/** Types of the operations between the image and a 1×1 head. */
function typesOf(nodes: ReturnType<typeof node>[], initializers: Record<string, ReturnType<typeof floats>>): string[] {
  const graph = graphOf([...nodes, node('Conv', ['x', 'head'], ['logits'])], { ...initializers, head: floats([2, 2, 1, 1], ramp(4)) }, { dims: ['N', 2, 'H', 'W'] }); // prettier-ignore
  return lower(graph, [8, 8]).operations.map(({ type }) => type);
}

test('a chain is one Rearrange, and one that leads back is none', () => {
  const apart = [
    node('Reshape', ['image', 'split'], ['a']),
    node('Transpose', ['a'], ['b'], { perm: [0, 2, 4, 3, 5, 1] }),
    node('Reshape', ['b', 'windows'], ['c']),
  ];
  const together = [
    node('Reshape', ['d', 'blocks'], ['e']),
    node('Transpose', ['e'], ['f'], { perm: [0, 5, 1, 3, 2, 4] }),
    node('Reshape', ['f', 'map'], ['x']),
  ];
  const dims = {
    split: integers([1, 2, 2, 4, 2, 4]),
    windows: integers([4, 16, 2]),
    blocks: integers([1, 2, 2, 4, 4, 2]),
    map: integers([1, 2, 8, 8]),
  };
  expect(typesOf([...apart, node('Softmax', ['c'], ['d'], { axis: 2 }), ...together], dims)).toEqual([
    'Rearrange',
    'Softmax',
    'Rearrange',
    'Conv',
  ]);
  expect(typesOf([...apart, node('Identity', ['c'], ['d']), ...together], dims)).toEqual(['Conv']);
  const turned = [
    node('Transpose', ['image'], ['t'], { perm: [0, 3, 2, 1] }),
    node('Relu', ['t'], ['r']),
    node('Transpose', ['r'], ['x'], { perm: [0, 3, 2, 1] }),
  ];
  expect(typesOf(turned, {})).toEqual(['Relu', 'Conv']);
});

test('a rolled map is one Rearrange', () => {
  const roll = [
    node('Slice', ['image', 'three', 'end', 'axis'], ['a']),
    node('Slice', ['image', 'zero', 'three', 'axis'], ['b']),
    node('Concat', ['a', 'b'], ['x'], { axis: 2 }),
  ];
  expect(typesOf(roll, { three: integers([3]), zero: integers([0]), end: integers([99]), axis: integers([2]) })).toEqual([
    'Rearrange',
    'Conv',
  ]);
});
