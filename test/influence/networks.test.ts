import { rm } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openReferenceEngine } from '../../lib/engine/reference';
import { writeOnnx } from '../../lib/graph/onnx';
import { resolveNetworks, type NetworkSource } from '../../lib/influence/networks';
import { computeInfluence } from '../../lib/influence/run';
import { train } from '../../lib/training/train';
import { openTiny, tinyNetwork, type Tiny } from './support/tiny';

let tiny: Tiny;
beforeAll(async () => void (tiny = await openTiny()));
afterAll(() => tiny.close());

const refusal = (code: string, message: string): object => ({ code, message: expect.stringContaining(message) as string });

describe('checkpoint files', () => {
  test('keep their order, with rate and sha256 of each', async () => {
    const files = tiny.checkpoints.toReversed();
    const { checkpoints, graph } = await resolveNetworks({ checkpoints: files, learningRates: [0.2, 0.1] }, 'recorded');
    expect(checkpoints.map(({ file, learningRate, epoch }) => [file, learningRate, epoch])).toEqual([
      [files[0], 0.2, null],
      [files[1], 0.1, null],
    ]);
    const bytes = await readFile(files[0]!);
    expect(checkpoints[0]!.sha256).toBe(createHash('sha256').update(bytes).digest('hex'));
    expect(graph.source).toBe(files[0]);
  });

  test('need no rates where the definition takes 1 for all', async () => {
    const { checkpoints } = await resolveNetworks({ checkpoints: tiny.checkpoints }, 'one');
    expect(checkpoints.map(({ learningRate }) => learningRate)).toEqual([1, 1]);
    const rates = { checkpoints: tiny.checkpoints, learningRates: [1, 2] };
    await expect(resolveNetworks(rates, 'one')).rejects.toMatchObject(refusal('ERR_TRACIN_USAGE', 'leave them out'));
  });

  test.each<[string, number[] | undefined]>([
    ['1 learning rates for 2 checkpoints', [0.1]],
    ['3 learning rates for 2 checkpoints', [0.1, 0.1, 0.1]],
    ['no learning rates for 2 checkpoints', undefined],
    ['learning rate 0 of checkpoint', [0.1, 0]],
    ['learning rate -0.1 of checkpoint', [-0.1, 0.1]],
    ['learning rate NaN of checkpoint', [0.1, NaN]],
    ['learning rate Infinity of checkpoint', [Infinity, 1]],
  ])('are refused with %s', async (message, learningRates) => {
    const networks: NetworkSource = { checkpoints: tiny.checkpoints, learningRates };
    await expect(resolveNetworks(networks, 'recorded')).rejects.toMatchObject(refusal('ERR_TRACIN_USAGE', message));
  });

  test('are refused when one is named twice, missing, or of another network', async () => {
    const [first] = tiny.checkpoints;
    const twice = { checkpoints: [first!, first!], learningRates: [1, 1] };
    await expect(resolveNetworks(twice, 'recorded')).rejects.toMatchObject(refusal('ERR_TRACIN_USAGE', 'named twice'));
    const missing = { checkpoints: [join(tiny.dir, 'none.onnx')], learningRates: [1] };
    await expect(resolveNetworks(missing, 'recorded')).rejects.toMatchObject(refusal('ERR_TRACIN_IO', 'none.onnx'));
    const other = join(tiny.dir, 'other.onnx');
    await writeOnnx(other, tinyNetwork(1, 5));
    const mixed = { checkpoints: [first!, other], learningRates: [1, 1] };
    await expect(resolveNetworks(mixed, 'recorded')).rejects.toMatchObject(refusal('ERR_TRACIN_CHECKPOINT', other));
  });
});

describe('a run', () => {
  const run = (): string => join(tiny.dir, 'run');
  beforeAll(async () => {
    await train({
      data: { train: tiny.train },
      network: tinyNetwork(1),
      run: run(),
      engine: openReferenceEngine(),
      epochs: 3,
      batch: 5,
      optimiser: { kind: 'sgd', learningRate: 0.1 },
    });
  });

  test('gives its checkpoints in the order of epochs, all or some, with the rates in force', async () => {
    const all = await resolveNetworks({ run: run() }, 'recorded');
    expect(all.checkpoints.map(({ epoch }) => epoch)).toEqual([1, 2, 3]);
    expect(all.checkpoints[0]!.learningRate).toBeGreaterThan(all.checkpoints[2]!.learningRate);
    const some = await resolveNetworks({ run: run(), checkpoints: [3, 1] }, 'recorded');
    expect(some.checkpoints).toEqual([all.checkpoints[0], all.checkpoints[2]]);
  });

  test.each<[string, string, () => NetworkSource]>([
    ['ERR_TRACIN_USAGE', 'no checkpoint of epoch 7: choose from 1, 2, 3', () => ({ run: run(), checkpoints: [1, 7] })],
    ['ERR_TRACIN_USAGE', 'named twice', () => ({ run: run(), checkpoints: [1, 1] })],
    ['ERR_TRACIN_USAGE', 'no epochs chosen', () => ({ run: run(), checkpoints: [] })],
    ['ERR_TRACIN_STUDY', 'run.json', () => ({ run: tiny.dir })],
  ])('%s: %s', async (code, message, source) => {
    await expect(resolveNetworks(source(), 'recorded')).rejects.toMatchObject(refusal(code, message));
  });

  test('makes a study that knows where its checkpoints are', async () => {
    const out = join(tiny.dir, 'study');
    const study = await computeInfluence({
      train: tiny.train,
      test: tiny.test,
      networks: { run: run(), checkpoints: [2, 3] },
      engine: openReferenceEngine(),
      out,
      datasets: { train: { images: 'train.npy' } },
    });
    expect(study.checkpoints.map(({ epoch }) => epoch)).toEqual([2, 3]);
    expect(study.checkpoints[0]!.file).toBe(join(run(), 'checkpoints', 'epoch-002.onnx'));
    expect(study.record.datasets.train.options).toEqual({ images: 'train.npy' });
    await rm(out, { recursive: true });
  });
});
