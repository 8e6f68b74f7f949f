/** Forward mode: reference against finite differences and against its own gradients, the other engines against it. */
import fc from 'fast-check';
import type { Engine, RegionLoss } from '../../lib/engine/engine';
import { sizeOf } from '../../lib/engine/layout';
import type { Graph } from '../../lib/graph/graph';
import { buildNetwork, NETWORKS } from '../../models/registry';
import { checkpointsOf, NETWORK_NAMES, SIZE as STORED_SIZE } from '../networks/stored';
import { pick, regionBatch } from '../support/batches';
import { directionalDerivative, logitsDifference, referenceCore, slopesAlong } from '../support/core';
import { describeNative, ENGINES, TOLERANCE } from '../support/engines';
import { functionCases } from '../support/function-cases';
import { smallNetwork } from '../support/graphs';
import { largest, relativeError, uniform } from '../support/numbers';
import { OTHER_RANKS, planarCases } from '../support/operator-cases';
import { tensorCases } from '../support/tensor-cases';

interface Network {
  readonly name: string;
  readonly graph: Graph;
  readonly size: readonly number[];
}

const SLICES = 2;
const OPERATORS: readonly Network[] = [
  ...planarCases([7, 9]),
  ...functionCases([7, 9]),
  ...tensorCases([8, 10]),
  ...OTHER_RANKS,
  ...NETWORKS.map((network) => ({ name: network, graph: buildNetwork({ network, width: 4, levels: 3, seed: 3 }), size: [16, 24] })),
];
const LOSSES: readonly RegionLoss[] = [
  { kind: 'dice', reduction: 'mean' },
  { kind: 'cross-entropy', reduction: 'sum' },
];

const direction = (length: number, seed = 5): Float64Array => Float64Array.from({ length }, uniform(seed));
const modalitiesOf = (graph: Graph): number => Number(graph.inputs[0]!.dims[1]);

/** Σ cotangent · tangent is what the gradients say of the same direction, for every region. */
function agreesWithGradients(graph: Graph, size: readonly number[]): void {
  const { program, layout } = referenceCore(graph, size);
  const shape = { slices: SLICES, size, modalities: layout.modalities, classes: layout.classes };
  const batch = regionBatch(shape);
  const v = direction(layout.parameterCount);
  const found = program.tangent(v, batch.images);
  expect(found.logits).toEqual(program.forward(batch.images, false).logits);
  for (const loss of LOSSES) {
    const { gradients, norms } = program.gradients(batch, loss);
    const expected = directionalDerivative(gradients, layout.parameterCount, 0, v);
    expect(largest(norms)).toBeGreaterThan(0);
    // Slopes that cancel to nearly nothing keep the rounding of what cancelled.
    const scale = Math.max(largest(expected), 1e-3 * Math.sqrt(largest(norms)));
    expect(largest(slopesAlong(found, layout, batch, loss).map((slope, i) => slope - expected[i]!)) / scale).toBeLessThan(1e-10);
  }
}

async function agreesWithReference(engine: Engine, graph: Graph, size: readonly number[], tolerance: number): Promise<void> {
  const { program: reference, layout } = referenceCore(graph, size);
  const { images } = regionBatch({ slices: SLICES, size, modalities: layout.modalities, classes: layout.classes });
  const first = images.subarray(0, images.length / SLICES);
  const program = await engine.compile(graph, { size });
  // As a float32 engine sees it, all at once and parameter by parameter: no motion hides behind a larger one.
  const all = Float32Array.from(direction(layout.parameterCount));
  const stride = Math.ceil(layout.parameters.length / 6);
  const chosen = layout.parameters.filter((_, i) => i % stride === 0);
  const parts = chosen.map(({ name, dims, offset }) => {
    const v = new Float32Array(all.length);
    v.set(all.subarray(offset, offset + sizeOf(dims)), offset);
    return { name, v };
  });
  const expected = reference.tangent(all, images);
  const found = await program.tangent(all, images);
  expect(relativeError(found.logits, expected.logits)).toBeLessThan(tolerance);
  expect(relativeError(found.tangents, expected.tangents)).toBeLessThan(tolerance);
  for (const { name, v } of parts) {
    const right = reference.tangent(v, first).tangents;
    const here = (await program.tangent(v, first)).tangents;
    const scale = Math.max(largest(right), 1e-2 * largest(expected.tangents));
    const error = largest(right.map((y, i) => y - here[i]!)) / scale;
    expect({ name, close: error < 5 * tolerance, error }).toEqual({ name, close: true, error });
  }
  program.dispose();
}

describe.each(OPERATORS)('reference: $name', ({ graph, size }) => {
  it('agrees with finite differences of the logits', () => {
    const core = referenceCore(graph, size);
    const { images } = regionBatch({ slices: SLICES, size, modalities: modalitiesOf(graph) });
    const v = direction(core.layout.parameterCount);
    const expected = logitsDifference(core, images, v, 1e-6);
    expect(largest(expected)).toBeGreaterThan(0);
    expect(relativeError(core.program.tangent(v, images).tangents, expected)).toBeLessThan(1e-6);
  });

  it('agrees with the gradients', () => agreesWithGradients(graph, size));
});

describeNative('cpu agrees with reference', (engine) => {
  it.each(OPERATORS)('$name', ({ graph, size }) => agreesWithReference(engine, graph, size, TOLERANCE.cpu));
  it.each(NETWORK_NAMES)('%s', async (name) => {
    const [graph] = await checkpointsOf(name);
    await agreesWithReference(engine, graph!, STORED_SIZE, 1e-4);
  });
});

it.each(NETWORK_NAMES)('reference: %s agrees with the gradients', async (name) => {
  agreesWithGradients((await checkpointsOf(name))[0]!, STORED_SIZE);
});

describe.each(ENGINES)('$name', (engine) => {
  const size = [8, 12];
  const graph = smallNetwork();

  it('takes each slice of a batch as if it came alone', async () => {
    const program = await engine.compile(graph, { size });
    const count = 5;
    const batch = regionBatch({ slices: count, size });
    const v = direction(program.parameterCount);
    const { tangents } = await program.tangent(v, batch.images);
    const length = tangents.length / count;
    await fc.assert(
      fc.asyncProperty(fc.subarray([0, 1, 2, 3, 4], { minLength: 1 }), async (positions) => {
        const some = await program.tangent(v, pick(batch, count, positions).images);
        positions.forEach((p, i) => {
          const own = some.tangents.subarray(i * length, (i + 1) * length);
          expect(relativeError(own, tangents.slice(p * length, (p + 1) * length))).toBeLessThanOrEqual(
            engine.name === 'reference' ? 0 : 1e-6,
          );
        });
      }),
      { numRuns: 8, seed: 1 },
    );
    program.dispose();
  });

  it('is linear in the direction, and follows the selected parameters alone', async () => {
    const { images } = regionBatch({ slices: 2, size });
    const names = ['head.bias', 'top.norm.scale', 'bottom.weight'];
    const [all, some] = [await engine.compile(graph, { size }), await engine.compile(graph, { size, parameters: names })];
    const v = direction(some.parameterCount);
    const wide = new Float64Array(all.parameterCount);
    for (const { name, dims, offset } of some.parameters) {
      wide.set(v.subarray(offset, offset + sizeOf(dims)), all.parameters.find((parameter) => parameter.name === name)!.offset);
    }
    const expected = (await all.tangent(wide, images)).tangents;
    expect(largest(expected)).toBeGreaterThan(0);
    const found = (await some.tangent(v, images)).tangents;
    expect(relativeError(found, expected)).toBeLessThan(1e-6);
    const doubled = (
      await some.tangent(
        v.map((x) => -2 * x),
        images,
      )
    ).tangents;
    expect(
      relativeError(
        doubled,
        found.map((y) => -2 * y),
      ),
    ).toBeLessThan(1e-6);
    expect(
      largest(
        (
          await some.tangent(
            v.map(() => 0),
            images,
          )
        ).tangents,
      ),
    ).toBe(0);
    all.dispose();
    some.dispose();
  });

  it('leaves gradients, and what trains, as they were', async () => {
    const loss = LOSSES[0]!;
    const batch = regionBatch({ slices: 2, size });
    const program = await engine.compile(graph, { size });
    const before = await program.gradients(batch, loss);
    await program.tangent(direction(program.parameterCount), batch.images);
    expect(await program.gradients(batch, loss)).toEqual(before);
    // The next pass sees what a step has changed.
    await program.step(batch, { kind: 'dice' }, { kind: 'sgd', learningRate: 0.5, momentum: 0, weightDecay: 0 });
    const { logits } = await program.tangent(direction(program.parameterCount), batch.images);
    expect(logits).toEqual((await program.forward(batch.images)).logits);
    program.dispose();
  });
});
