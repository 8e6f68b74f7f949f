/** The cuda engine where it rounds: influence on the zoo beside the cpu engine's, and on PyTorch's network beside the oracle's. */
import { readNpy } from '../../lib/npy';
import type { Engine, Precision, RegionBatch } from '../../lib/engine/engine';
import { openNativeEngine } from '../../lib/engine/native';
import type { Graph } from '../../lib/graph/graph';
import { spearman } from '../../lib/statistics';
import { buildNetwork, NETWORKS } from '../../models/registry';
import { regionBatch } from '../support/batches';
import { cpu, cuda } from '../support/engines';
import { joinedChannels } from '../support/graphs';
import { relativeError, type Numbers } from '../support/numbers';
import { describeOracle, influenceByEngine, oracleError, oracleFile } from '../support/oracle';

const SIZE = [32, 40];
/** On a device that the host emulates. */
const MINUTES = 300_000;
const LOSS = { kind: 'dice', reduction: 'mean' } as const;
const shape = { slices: 3, size: SIZE, modalities: 4 };

/** The largest error, as a share of the largest number. Networks that nothing was trained into leave many products next to zero, whose order says little. */
const PRECISIONS: readonly { precision: Precision; error: number }[] = [
  { precision: 'tf32', error: 1e-3 },
  { precision: 'bf16', error: 5e-2 },
];

const graphs = [
  ...NETWORKS.map((network) => ({ network, graph: buildNetwork({ network, width: 16, levels: 3, seed: 3 }) })),
  { network: 'channels joined', graph: joinedChannels(4) },
];

/** Products of all regions of two batches. */
async function productsOf(engine: Engine, graph: Graph, tests: RegionBatch, trainings: RegionBatch): Promise<Numbers> {
  const program = await engine.compile(graph, { size: SIZE });
  const block = await program.resident(shape.slices);
  await block.append(tests, LOSS);
  const { products } = await program.contract(block, trainings, LOSS);
  block.dispose();
  program.dispose();
  return products;
}

(cpu && cuda ? describe : describe.skip).each(PRECISIONS)('cuda in $precision', ({ precision, error }) => {
  const rounding = (): Engine => openNativeEngine('cuda', { precision });

  describe.each(graphs)('$network', ({ graph }) => {
    it(
      'is near the cpu engine',
      async () => {
        const [tests, trainings] = [regionBatch(shape, 1), regionBatch(shape, 2)];
        const found = await productsOf(rounding(), graph, tests, trainings);
        const right = await productsOf(cpu!, graph, tests, trainings);
        expect(found).not.toEqual(right);
        expect(relativeError(found, right)).toBeLessThan(error);
      },
      MINUTES,
    );
  });

  it('goes forward in float32', async () => {
    const graph = buildNetwork({ network: 'attention-unet', width: 16, levels: 3, seed: 3 });
    const { images } = regionBatch(shape);
    const logits = [];
    for (const engine of [cuda!, rounding()]) {
      const program = await engine.compile(graph, { size: SIZE });
      logits.push(Float32Array.from((await program.forward(images)).logits));
      program.dispose();
    }
    expect(relativeError(logits[1]!, logits[0]!)).toBe(0);
  });

  describeOracle('oracle', () => {
    it(
      'is near the stored influence, in its order, too',
      async () => {
        const definition = { loss: 'dice', region: 'predicted', parameters: 'all' } as const;
        const found = await influenceByEngine(rounding(), definition);
        expect(await oracleError(found, definition)).toBeLessThan(error);
        const { data } = await readNpy(oracleFile('expected_dice_predicted_all.npy'));
        expect(spearman(found, data as Float64Array)).toBeGreaterThan(0.999);
      },
      MINUTES,
    );
  });
});
