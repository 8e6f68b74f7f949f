/** Networks of many families and exporters against onnxruntime, and their influence against autograd in float64 (make_networks.py). */
import { lower } from '../../lib/graph/lower';
import { selectParameters } from '../../lib/graph/parameters';
import { directionalDerivative, directionalDifference, referenceCore } from '../support/core';
import { ENGINES } from '../support/engines';
import { largest, relativeError, uniform } from '../support/numbers';
import { tracin, type Definition } from '../support/tracin';
import { checkpointsOf, describeNetwork, expectedInfluence, expectedLogits, lastCheckpoint, NETWORK_NAMES, SIZE, slicesOf } from './stored';

const DEFINITIONS: readonly Definition[] = [
  { loss: 'dice', region: 'predicted', parameters: 'all' },
  { loss: 'cross-entropy', region: 'truth', parameters: 'all' },
  { loss: 'dice', region: 'predicted', parameters: 'head' },
];
/** Of logits (absolute) and of influence (as a share of the largest). */
const TOLERANCE = { reference: 1e-5, cpu: 1e-4, cuda: 1e-4 } as const;

const ascending = (sizes: readonly number[]): number[] => [...sizes].sort((a, b) => a - b);

describe.each(NETWORK_NAMES)('%s', (name) => {
  it('counts every parameter that the output depends on', async () => {
    const { parameters, head } = await describeNetwork(name);
    const lowered = lower(await lastCheckpoint(name), SIZE);
    const counted = lowered.parameters.map(({ size }) => size);
    expect(ascending(counted)).toEqual(ascending(parameters.filter(({ used }) => used).map(({ size }) => size)));
    const last = selectParameters(lowered, 'head').map((chosen) => lowered.parameters.find((parameter) => parameter.name === chosen)!.size);
    expect(ascending(last)).toEqual(ascending(parameters.filter((parameter) => head.includes(parameter.name)).map(({ size }) => size)));
  });

  describe.each(ENGINES)('$name', (engine) => {
    it('computes the logits of onnxruntime', async () => {
      const { classes } = await describeNetwork(name);
      const { images } = await slicesOf('test', classes);
      const program = await engine.compile(await lastCheckpoint(name), { size: SIZE });
      const { logits } = await program.forward(images);
      program.dispose();
      const expected = await expectedLogits(name);
      expect(logits).toHaveLength(expected.length);
      expect(largest(logits.map((value, i) => value - expected[i]!))).toBeLessThan(1e-4);
    });

    it.each(DEFINITIONS)('computes the influence of autograd: $loss, $region, $parameters', async (definition) => {
      const { learningRates, classes } = await describeNetwork(name);
      const [tests, trainings] = [await slicesOf('test', classes), await slicesOf('train', classes)];
      const found = await tracin(engine, { checkpoints: await checkpointsOf(name), learningRates, tests, trainings, definition });
      expect(relativeError(found, await expectedInfluence(name, definition))).toBeLessThan(TOLERANCE[engine.name]);
    });
  });
});

/** Smooth in its parameters, or nearly: relu-like kinks are rarely met by a small step. */
describe.each(['monai-unet', 'keras', 'swin', 'group-norm', 'sigmoid', 'assorted'])('%s', (name) => {
  it('has gradients of every parameter that match finite differences', async () => {
    const { classes } = await describeNetwork(name);
    const { images, targets, count } = await slicesOf('test', classes);
    const core = referenceCore(await lastCheckpoint(name), SIZE);
    const { program, layout } = core;
    const next = uniform(3);
    const masks = Uint8Array.from({ length: count * layout.classes * layout.pixels }, () => (next() > 0 ? 1 : 0));
    const batch = { images, targets, masks };
    const loss = { kind: 'cross-entropy', reduction: 'mean' } as const;
    const { gradients } = program.gradients(batch, loss);
    for (const { name: parameter, dims, offset } of layout.parameters) {
      const direction = Float64Array.from({ length: dims.reduce((product, n) => product * n, 1) }, next);
      const slope = directionalDerivative(gradients, layout.parameterCount, offset, direction);
      const difference = directionalDifference(core, batch, loss, parameter, direction, 1e-6);
      const scale = Math.max(largest(slope), 1e-3);
      const worst = largest(slope.map((value, i) => (value - difference[i]!) / scale));
      // Named, so that a failure says which parameter it is.
      expect({ parameter, agrees: worst < 1e-4 ? true : worst }).toEqual({ parameter, agrees: true });
    }
  });
});
