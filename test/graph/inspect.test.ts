import { inspectGraph } from '../../lib/graph/inspect';
import { NETWORKS, buildNetwork } from '../../models/registry';
import { smallNetwork } from '../support/graphs';
import { node } from './support';

test.each(NETWORKS)('every floating-point number of %s is counted once, as parameter or statistic', (network) => {
  const graph = buildNetwork({ network, width: 4, levels: 3 });
  const { network: found, failure } = inspectGraph(graph);
  expect(failure).toBeUndefined();
  const sizes = new Map([...graph.initializers].map(([name, { data }]) => [name, data.length]));
  const statistics = found!.statistics.reduce((sum, name) => sum + sizes.get(name)!, 0);
  const scales = [...sizes].filter(([name]) => name.startsWith('upsample.')).reduce((sum, [, size]) => sum + size, 0);
  expect(found!.parameterCount + statistics + scales).toBe([...sizes.values()].reduce((sum, size) => sum + size, 0));
  expect(found!.kinds.reduce((sum, { numbers }) => sum + numbers, 0)).toBe(found!.parameterCount);
  expect(found!.kinds.reduce((sum, { tensors }) => sum + tensors, 0)).toBe(found!.parameters.length);
  expect(found!.size.every((length, axis) => length >= 192 && length % found!.stride[axis]! === 0)).toBe(true);
});

test('says what a network takes, gives and is', () => {
  const { network, operators, failure } = inspectGraph(smallNetwork(), { size: [8, 6] });
  expect(failure).toBeUndefined();
  expect(network).toMatchObject({
    ...{ size: [8, 6], stride: [2, 2], output: 'logits', modalities: 3, logits: 4, notes: [] },
    head: { node: expect.any(String) as string, kernel: 'head.weight', features: [4, 8, 6] },
    kinds: [
      { role: 'kernel', tensors: 4, numbers: 3 * 4 * 9 + 4 * 8 * 9 + 12 * 4 * 9 + 16 },
      { role: 'scale', tensors: 3, numbers: 16 },
      { role: 'shift', tensors: 3, numbers: 16 },
      { role: 'bias', tensors: 1, numbers: 4 },
    ],
  });
  expect(operators.map(({ operator, count }) => [operator, count])).toEqual([
    ['Conv', 4],
    ['BatchNormalization', 3],
    ['Relu', 3],
    ['MaxPool', 1],
    ['Constant', 1],
    ['Resize', 1],
    ['Concat', 1],
    ['Identity', 1],
  ]);
});

test('lists every unsupported operator with a node, not the first alone', () => {
  const graph = smallNetwork();
  const [first, ...rest] = graph.nodes;
  const strange = [node('Fancy', ['image'], ['a']), { ...node('Conv', ['a'], ['b']), domain: 'com.acme' }, node('Unique', ['b'], ['c'])];
  const nodes = [...strange, { ...first!, inputs: ['c', ...first!.inputs.slice(1)] }, ...rest];
  const { network, failure, operators } = inspectGraph({ ...graph, nodes });
  expect(network).toBeUndefined();
  expect(failure).toBe(
    "test network: 3 operators are not supported: Fancy (node 'Fancy of a'), com.acme.Conv (node 'Conv of b'), Unique (node 'Unique of c'): export the network with operators of the table in the guide",
  );
  expect(operators.filter(({ supported }) => !supported).map(({ operator }) => operator)).toEqual(['Fancy', 'Conv', 'Unique']);
});

test('says why a network of known operators does not run', () => {
  expect(inspectGraph(smallNetwork(), { size: [7, 8] }).failure).toContain('sizes must be divisible by [2, 2]');
});

test('says which of several outputs is taken', () => {
  const graph = smallNetwork();
  const [output] = graph.outputs;
  const nodes = [...graph.nodes, node('Relu', ['logits'], ['aux'])];
  const several = { ...graph, nodes, outputs: [output!, { ...output!, name: 'aux' }] };
  expect(inspectGraph(several).network).toMatchObject({
    output: 'logits',
    notes: ["output 'logits' is taken, the network also has aux: choose with --output"],
  });
  expect(inspectGraph(several, { output: 'aux' }).network!.output).toBe('aux');
});

test.each([
  ['onnx::Conv_12', 'onnx::Conv_13', 'Conv-1'],
  ['body.weight', 'body.weight_bias', 'Conv-1'],
  ['body.weight', 'body.bias', 'node_Conv_32'],
])('notices normalisations that the exporter has folded into %s and %s of %s', (kernel, bias, called) => {
  const graph = smallNetwork();
  const name = (old: string): string => ({ 'head.weight': kernel, 'head.bias': bias })[old] ?? old;
  const folded = {
    ...graph,
    initializers: new Map([...graph.initializers].map(([old, tensor]) => [name(old), tensor])),
    nodes: graph.nodes.map((one) => ({ ...one, name: one.inputs[1] === 'head.weight' ? called : one.name, inputs: one.inputs.map(name) })),
  };
  expect(inspectGraph(folded).network!.notes).toEqual([expect.stringMatching(/folded into 1 convolutions .*over the folded kernels/)]);
});
