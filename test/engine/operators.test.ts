/** Every operator inside a tiny network: forward against onnxruntime, gradients against finite differences, engines against each other. */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Engine, RegionBatch, RegionLoss } from '../../lib/engine/engine';
import { sizeOf } from '../../lib/engine/layout';
import type { Graph } from '../../lib/graph/graph';
import { serialiseOnnx } from '../../lib/graph/onnx';
import { builders } from '../support/case-builders';
import { patchBatch, regionBatch } from '../support/batches';
import { directionalDerivative, directionalDifference, referenceCore } from '../support/core';
import { describeNative, TOLERANCE } from '../support/engines';
import { largest, relativeError, uniform, type Numbers } from '../support/numbers';
import { record } from '../support/record';
import { functionCases } from '../support/function-cases';
import { OTHER_RANKS, planarCases } from '../support/operator-cases';
import { tensorCases } from '../support/tensor-cases';

const SLICES = 3;
const SMALL = [...planarCases([7, 9]), ...functionCases([7, 9]), ...tensorCases([8, 10])];
/** Wide enough for a patch's cotangent to reach only part of the map. */
const WIDE = [...planarCases([37, 52]), ...functionCases([20, 36]), ...tensorCases([20, 36])];
const LOSSES: readonly RegionLoss[] = [
  { kind: 'dice', reduction: 'mean' },
  { kind: 'cross-entropy', reduction: 'mean' },
];

describe.each([...SMALL, ...OTHER_RANKS])('reference: $name', ({ graph, size }) => {
  const batch = regionBatch({ slices: SLICES, size });
  const core = referenceCore(graph, size);

  it('forward agrees with onnxruntime', async () => {
    const session = await InferenceSession.create(serialiseOnnx(graph), { logSeverityLevel: 3 });
    const { logits } = await session.run({ image: new Tensor('float32', batch.images, [SLICES, 3, ...size]) });
    await session.release();
    expect(logits!.dims).toEqual([SLICES, 4, ...size]);
    expect(relativeError(core.program.forward(batch.images, false).logits, logits!.data as Float32Array)).toBeLessThan(3e-6);
  });

  it('every weight that is read is a parameter', () => {
    const weights = [...graph.initializers.keys()].filter((name) => !/\.(mean|variance)$|^unread\./.test(name));
    expect(core.layout.parameters.map(({ name }) => name).sort()).toEqual(weights.sort());
  });

  it.each(LOSSES)('gradients of $kind agree with finite differences', (loss) => {
    const { gradients } = core.program.gradients(batch, loss);
    const P = core.layout.parameterCount;
    for (const { name, dims, offset } of core.layout.parameters) {
      const direction = Float64Array.from({ length: sizeOf(dims) }, uniform(offset + 1));
      const slopes = directionalDerivative(gradients, P, offset, direction);
      const differences = directionalDifference(core, batch, loss, name, direction);
      const scale = Math.max(...differences.map(Math.abs), 1e-3);
      const wrong = [...slopes]
        .map((slope, region) => ({ name, region, slope, difference: differences[region]! }))
        .filter(({ slope, difference }) => !(Math.abs(slope - difference) < 1e-6 * scale));
      expect(wrong).toEqual([]);
    }
  });
});

/** Windows for which the library behind the cpu engine asks for so much memory that the engine goes through parts of the map. */
const DEMANDING = builders([37, 52]).conv('7×7 in 2 groups', [64, 2], [7, 7], { pads: [3, 3, 3, 3], groups: 2 });

describeNative('agrees with reference', (engine) => {
  it.each([...SMALL, ...OTHER_RANKS])('$name', async ({ name, graph, size }) =>
    agrees(engine, name, graph, size, regionBatch({ slices: SLICES, size })),
  );
  it.each(WIDE)('on patches of a wide map: $name', async ({ name, graph, size }) =>
    agrees(engine, name, graph, size, patchBatch({ slices: SLICES, size })),
  );
  it('part by part', async () =>
    agrees(engine, DEMANDING.name, DEMANDING.graph, DEMANDING.size, regionBatch({ slices: 1, size: DEMANDING.size })));
});

/** Dot products of all pairs of rows of `width` numbers. */
function gram(rows: Float64Array, width: number): Float64Array {
  const count = rows.length / width;
  return Float64Array.from({ length: count * count }, (_, at) => {
    const [left, right] = [Math.floor(at / count) * width, (at % count) * width];
    let sum = 0;
    for (let i = 0; i < width; i++) sum += rows[left + i]! * rows[right + i]!;
    return sum;
  });
}

async function agrees(engine: Engine, name: string, graph: Graph, size: readonly number[], batch: RegionBatch): Promise<void> {
  const near = (quantity: string, found: Numbers, right: Numbers): void => {
    const error = relativeError(found, right);
    record(engine.name, name, quantity, error);
    expect(error).toBeLessThan(TOLERANCE[engine.name]);
  };
  const { program: expected, layout } = referenceCore(graph, size);
  const actual = await engine.compile(graph, { size });
  expect(actual.parameters).toEqual(layout.parameters);
  const outputs = expected.forward(batch.images, true);
  const found = await actual.forward(batch.images, { features: true });
  near('logits', found.logits, outputs.logits);
  near('features', found.features!, outputs.features!);
  for (const loss of LOSSES) {
    const right = expected.gradients(batch, loss);
    const here = await actual.gradients(batch, loss);
    near('losses', here.losses, right.losses);
    near('gradients', here.gradients, right.gradients);
    near('norms', here.norms, right.norms);
    const block = await actual.resident(SLICES);
    await block.append(batch, loss);
    const { products } = await actual.contract(block, batch, loss);
    block.dispose();
    near('products', products, gram(right.gradients, layout.parameterCount));
    // Parameter by parameter as well, so that a small gradient is not hidden behind a large one (but not where it cancels to 0).
    for (const { name: parameter, dims, offset } of layout.parameters) {
      const own = (all: Numbers): Numbers =>
        all.filter((_, i) => i % layout.parameterCount >= offset && i % layout.parameterCount < offset + sizeOf(dims));
      const [expectedOnes, foundOnes] = [own(right.gradients), own(here.gradients)];
      const scale = Math.max(largest(expectedOnes), 0.01 * largest(right.gradients));
      const error = largest(expectedOnes.map((g, i) => g - foundOnes[i]!)) / scale;
      expect({ parameter, close: error < 10 * TOLERANCE[engine.name], error }).toEqual({ parameter, close: true, error });
    }
  }
  actual.dispose();
}
