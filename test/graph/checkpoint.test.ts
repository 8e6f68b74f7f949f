import { assertSameNetwork, withInitializers } from '../../lib/graph/checkpoint';
import type { Graph, Node } from '../../lib/graph/graph';
import { buildNetwork } from '../../models/registry';
import { floats, graphOf, integers, node } from './support';

const network = (): Graph => buildNetwork({ network: 'resunet', width: 2, levels: 2 });

test('withInitializers replaces numbers and adds metadata, and leaves the original alone', () => {
  const graph = network();
  const before = [...graph.initializers.get('head.bias')!.data];
  const next = withInitializers(graph, new Map([['head.bias', Float64Array.of(1, 2, 3, 0.1)]]), new Map([['tracin.epoch', '2']]));
  expect(next.initializers.get('head.bias')).toEqual(floats([4], [1, 2, 3, 0.1]));
  expect([...next.metadata]).toEqual([['tracin.network', 'resunet'], ['tracin.epoch', '2']]); // prettier-ignore
  expect([...graph.initializers.get('head.bias')!.data]).toEqual(before);
  expect([...next.initializers.keys()]).toEqual([...graph.initializers.keys()]);
  assertSameNetwork(graph, next);
});

test.each([
  ['a name it has not', 'tail.bias', 4, "no floating-point initializer 'tail.bias'"],
  ['another count', 'head.bias', 5, 'has 4 numbers, not 5'],
])('withInitializers refuses %s', (_, name, length, message) => {
  expect(() => withInitializers(network(), new Map([[name, new Float32Array(length)]]))).toThrow(
    expect.objectContaining({ code: 'ERR_TRACIN_CHECKPOINT', message: expect.stringContaining(message) as string }) as Error,
  );
});

describe('assertSameNetwork', () => {
  const refuse = (reference: Graph, checkpoint: Graph, message: string): void => {
    const work = (): void => assertSameNetwork(reference, { ...checkpoint, source: 'other.onnx' });
    expect(work).toThrow(
      expect.objectContaining({ code: 'ERR_TRACIN_CHECKPOINT', message: expect.stringContaining(message) as string }) as Error,
    );
    expect(work).toThrow(/^other\.onnx: .+$/);
  };

  test('takes other numbers and other node names', () => {
    const graph = network();
    const renamed = { ...graph, nodes: graph.nodes.map((one) => ({ ...one, name: '' })) };
    assertSameNetwork(graph, renamed);
    assertSameNetwork(graph, buildNetwork({ network: 'resunet', width: 2, levels: 2, seed: 5 }));
  });

  test('names the first difference', () => {
    const graph = network();
    refuse(graph, buildNetwork({ network: 'resunet', width: 3, levels: 2 }), "'encoder.0.conv1.kernel' is [3, 4, 3, 3], not [2, 4, 3, 3]");
    refuse(graph, buildNetwork({ network: 'unet', width: 2, levels: 2 }), 'it has no initializer');
    refuse(graph, { ...graph, initializers: new Map([...graph.initializers, ['more', floats([1], [1])]]) }, "an initializer 'more' more");
    const changed = (change: (one: Node, index: number) => Node): Graph => ({ ...graph, nodes: graph.nodes.map(change) });
    const at = (place: number, edit: Partial<Node>): Graph => changed((one, index) => (index === place ? { ...one, ...edit } : one));
    refuse(graph, at(1, { operator: 'InstanceNormalization' }), 'node 1 is InstanceNormalization');
    refuse(graph, at(0, { inputs: ['image'] }), 'wired differently');
    refuse(graph, at(0, { attributes: new Map([...graph.nodes[0]!.attributes, ['group', 2]]) }), "has another 'group'");
    refuse(graph, at(0, { attributes: new Map() }), "has another 'kernel_shape'");
    refuse(graph, { ...graph, nodes: graph.nodes.slice(0, -1) }, 'it lacks Conv');
    refuse({ ...graph, nodes: graph.nodes.slice(0, -1) }, graph, "it has Conv 'head' more");
  });

  test('numbers that are sizes must be equal, numbers in attributes too', () => {
    const sized = (size: number): Graph =>
      graphOf([node('Resize', ['image', '', '', 'sizes'], ['logits'])], { sizes: integers([1, 1, size, size]) });
    assertSameNetwork(sized(4), sized(4));
    refuse(sized(4), sized(5), "'sizes' has other numbers");
    const constant = (value: number): Graph => graphOf([node('Constant', [], ['logits'], { value: floats([], [value]) })], {});
    assertSameNetwork(constant(NaN), constant(NaN));
    refuse(constant(1), constant(2), "has another 'value'");
  });
});
