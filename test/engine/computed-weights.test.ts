/** Operators whose weights are not stored as such: computed from others, or constants. Engines agree with the reference, or it refuses. */
import type { RegionLoss } from '../../lib/engine/engine';
import type { Graph, Node, Tensor } from '../../lib/graph/graph';
import { regionBatch } from '../support/batches';
import { referenceCore } from '../support/core';
import { describeNative, TOLERANCE } from '../support/engines';
import { functionCases } from '../support/function-cases';
import { relativeError, uniform } from '../support/numbers';
import { OTHER_RANKS, planarCases } from '../support/operator-cases';
import { tensorCases } from '../support/tensor-cases';

const CASES = [...planarCases([7, 9]), ...functionCases([7, 9]), ...tensorCases([8, 10]), ...OTHER_RANKS];
const LOSS: RegionLoss = { kind: 'dice', reduction: 'mean' };
const FACTOR: Tensor = { type: 'float32', dims: [], data: Float32Array.of(1.25) };

const constant = (name: string, value: Tensor): Node => ({
  name,
  operator: 'Constant',
  domain: '',
  inputs: [],
  outputs: [name],
  attributes: new Map([['value', value]]),
});

/** The network with other nodes in place of its weights; `replace` gives them, and initializers they read. */
function withWeights(graph: Graph, replace: (name: string, weight: Tensor) => { stored: [string, Tensor][]; nodes: Node[] }): Graph {
  const initializers = new Map<string, Tensor>();
  const made: Node[] = [];
  for (const [name, tensor] of graph.initializers) {
    const isWeight = tensor.type === 'float32' && !/\.(mean|variance)$|^unread\./.test(name);
    const { stored, nodes } = isWeight ? replace(name, tensor) : { stored: [[name, tensor] as [string, Tensor]], nodes: [] };
    for (const [key, value] of stored) initializers.set(key, value);
    made.push(...nodes);
  }
  return { ...graph, initializers, nodes: [...made, ...graph.nodes] };
}

/** Every weight is another one times 1.25. */
function computed(graph: Graph): Graph {
  const changed = withWeights(graph, (name, weight) => ({
    stored: [[`${name}.stored`, weight]],
    nodes: [{ name, operator: 'Mul', domain: '', inputs: [`${name}.stored`, 'factor'], outputs: [name], attributes: new Map() }],
  }));
  return { ...changed, nodes: [constant('factor', FACTOR), ...changed.nodes] };
}

/** Vectors, the biases, scales and shifts of an operator, are constants; kernels need to be stored. */
const constants = (graph: Graph): Graph =>
  withWeights(graph, (name, weight) =>
    weight.dims.length < 2 ? { stored: [], nodes: [constant(name, weight)] } : { stored: [[name, weight]], nodes: [] },
  );

describeNative('agrees with reference', (engine) => {
  describe.each([
    { weights: 'computed from others', change: computed },
    { weights: 'constant where they are vectors', change: constants },
  ])('where weights are $weights', ({ change }) => {
    it.each(CASES)('$name', async ({ graph: stored, size }) => {
      const graph = change(stored);
      const { program: expected, layout } = referenceCore(graph, size);
      const actual = await engine.compile(graph, { size });
      expect(actual.parameters).toEqual(layout.parameters);
      const batch = regionBatch({ slices: 2, size });
      const [right, found] = [expected.gradients(batch, LOSS), await actual.gradients(batch, LOSS)];
      expect(relativeError(found.losses, right.losses)).toBeLessThan(TOLERANCE[engine.name]);
      expect(relativeError(found.gradients, right.gradients)).toBeLessThan(10 * TOLERANCE[engine.name]);
      const direction = Float32Array.from({ length: layout.parameterCount }, uniform(1));
      const moved = await actual.tangent(direction, batch.images);
      const { tangents } = expected.tangent(Float64Array.from(direction), batch.images);
      expect(relativeError(moved.tangents, tangents)).toBeLessThan(10 * TOLERANCE[engine.name]);
      actual.dispose();
    });
  });
});
