import { createHash } from 'node:crypto';
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openReferenceEngine } from '../../lib/engine/reference';
import type { Graph, Tensor } from '../../lib/graph/graph';
import { readOnnx, writeOnnx } from '../../lib/graph/onnx';
import { resolveNetworks, type Networks, type NetworkSource } from '../../lib/influence/networks';
import { computeInfluence } from '../../lib/influence/run';
import { train } from '../../lib/training/train';
import { buildNetwork } from '../../models/registry';
import { encodeSafetensors, type StoredTensor } from '../support/safetensors';
import { openTiny, SIZE, tinyNetwork, type Tiny } from './support/tiny';

let tiny: Tiny;
beforeAll(async () => void (tiny = await openTiny()));
afterAll(() => tiny.close());

const resolved = (source: NetworkSource, rates: 'recorded' | 'one' = 'recorded'): Promise<Networks> =>
  resolveNetworks(source, rates, { size: SIZE });
const refusal = (code: string, message: string): object => ({ code, message: expect.stringContaining(message) as string });

describe('checkpoint files', () => {
  test('keep their order, with rate and sha256 of each', async () => {
    const files = tiny.checkpoints.toReversed();
    const { checkpoints, graph } = await resolved({ checkpoints: files, learningRates: [0.2, 0.1] });
    expect(checkpoints.map(({ file, learningRate, epoch }) => [file, learningRate, epoch])).toEqual([
      [files[0], 0.2, null],
      [files[1], 0.1, null],
    ]);
    const bytes = await readFile(files[0]!);
    expect(checkpoints[0]!.sha256).toBe(createHash('sha256').update(bytes).digest('hex'));
    expect(graph.source).toBe(files[0]);
  });

  test('take the bytes of their numbers as they are read, which may be more than the file has', async () => {
    const network = buildNetwork({ network: 'unet', width: 8, levels: 2, seed: 1 });
    const size = [8, 8];
    const half = [...network.initializers].map(([name, tensor]): [string, Tensor] => [name, { ...tensor, type: 'float16' }]);
    const file = join(tiny.dir, 'half.onnx');
    await writeOnnx(file, { ...network, initializers: new Map(half) });
    const bytes = half.reduce((sum, [, { data }]) => sum + data.byteLength, 0);
    expect((await stat(file)).size).toBeLessThan(bytes);
    const { largestFile } = await resolveNetworks({ checkpoints: [file], learningRates: [1] }, 'recorded', { size });
    expect(largestFile).toBe(bytes);
  });

  test('are refused where they are replaced before they are read again', async () => {
    const files = [1, 2, 3].map((seed) => join(tiny.dir, `seed-${seed}.onnx`));
    for (const [i, file] of files.entries()) await writeOnnx(file, tinyNetwork(i + 1));
    const { read } = await resolved({ checkpoints: files, learningRates: [1, 1, 1] });
    await writeOnnx(files[1]!, tinyNetwork(7));
    const message = `${files[1]} was replaced while in use`;
    await expect(read({ file: files[1]! })).rejects.toMatchObject(refusal('ERR_TRACIN_CHECKPOINT', message));
    expect((await read({ file: files[2]! })).source).toBe(files[2]);
  });

  test('need no rates where the definition takes 1 for all', async () => {
    const { checkpoints } = await resolved({ checkpoints: tiny.checkpoints }, 'one');
    expect(checkpoints.map(({ learningRate }) => learningRate)).toEqual([1, 1]);
    const rates = { checkpoints: tiny.checkpoints, learningRates: [1, 2] };
    await expect(resolved(rates, 'one')).rejects.toMatchObject(refusal('ERR_TRACIN_USAGE', 'leave them out'));
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
    await expect(resolved(networks)).rejects.toMatchObject(refusal('ERR_TRACIN_USAGE', message));
  });

  test('are refused when one is named twice, missing, or of another network', async () => {
    const [first] = tiny.checkpoints;
    const twice = { checkpoints: [first!, first!], learningRates: [1, 1] };
    await expect(resolved(twice)).rejects.toMatchObject(refusal('ERR_TRACIN_USAGE', 'named twice'));
    const missing = { checkpoints: [join(tiny.dir, 'none.onnx')], learningRates: [1] };
    await expect(resolved(missing)).rejects.toMatchObject(refusal('ERR_TRACIN_IO', 'none.onnx'));
    const other = join(tiny.dir, 'other.onnx');
    await writeOnnx(other, tinyNetwork(1, 5));
    const mixed = { checkpoints: [first!, other], learningRates: [1, 1] };
    await expect(resolved(mixed)).rejects.toMatchObject(refusal('ERR_TRACIN_CHECKPOINT', other));
  });

  test('are read once while the same one is asked for again, and no more are kept than the first and that one', async () => {
    const third = join(tiny.dir, 'third.onnx');
    await writeOnnx(third, tinyNetwork(3));
    const { checkpoints, graph, read } = await resolved({ checkpoints: [...tiny.checkpoints, third], learningRates: [1, 1, 1] });
    const last = await read(checkpoints[2]!);
    expect(last.source).toBe(third);
    expect(await read(checkpoints[2]!)).toBe(last);
    expect(await read(checkpoints[0]!)).toBe(graph);
    expect(await read(checkpoints[2]!)).toBe(last);
    expect((await read(checkpoints[1]!)).source).toBe(tiny.checkpoints[1]);
    await rm(third);
    await expect(read(checkpoints[2]!)).rejects.toMatchObject(refusal('ERR_TRACIN_IO', 'third.onnx'));
  });
});

describe('state dicts', () => {
  let network: string;
  let dicts: string[];
  beforeAll(async () => {
    network = join(tiny.dir, 'net.onnx');
    await writeOnnx(network, tinyNetwork(9));
    dicts = await Promise.all(tiny.checkpoints.map(async (file, t) => stateDict(await readOnnx(file), `${t}.safetensors`)));
  });

  /** A module's state dict, its names beginning with `module.`, its counter of batches beside them. */
  async function stateDict(graph: Graph, name: string): Promise<string> {
    const tensors = [...graph.initializers].map(([key, { dims, data }]) => {
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      return [`module.${key}`, { dtype: 'F32', shape: dims, bytes }] as [string, StoredTensor];
    });
    const tracked = { dtype: 'I64', shape: [], bytes: new Uint8Array(8) };
    const file = join(tiny.dir, name);
    await writeFile(file, encodeSafetensors(Object.fromEntries([...tensors, ['module.norm.num_batches_tracked', tracked] as const])));
    return file;
  }
  const map = [['^', 'module.']] as [string, string][];

  test('make the study that ONNX files of the same numbers make', async () => {
    const notices: string[] = [];
    const study = async (networks: NetworkSource, name: string) =>
      computeInfluence({
        ...{ train: tiny.train, test: tiny.test, networks, out: join(tiny.dir, name), engine: openReferenceEngine() },
        onNotice: (line) => notices.push(line),
      });
    const learningRates = [0.3, 0.1];
    const whole = await study({ checkpoints: tiny.checkpoints, learningRates }, 'whole');
    const dict = await study({ network, checkpoints: dicts, learningRates, map }, 'dicts');
    for (const row of whole.tests.slices.keys()) expect(await dict.scores(row)).toEqual(await whole.scores(row));
    expect(await dict.predicted('test', 0)).toEqual(await whole.predicted('test', 0));
    expect(notices).toEqual([
      `${dicts[0]} and 1 more: 1 tensors without counterpart in ${network}, left out: module.norm.num_batches_tracked`,
    ]);
    expect(dict.checkpoints.map(({ file }) => file)).toEqual(dicts);
    expect(dict.record.network).toMatchObject({ file: '../net.onnx', map });
    expect(whole.record.network).toBeUndefined();
  });

  test('may stand beside ONNX files of the network', async () => {
    const { checkpoints, read } = await resolved({ network, checkpoints: [dicts[0]!, tiny.checkpoints[1]!], map }, 'one');
    for (const [t, checkpoint] of checkpoints.entries()) {
      const own = await readOnnx(tiny.checkpoints[t]!);
      expect((await read(checkpoint)).initializers).toEqual(own.initializers);
    }
  });

  test.each<[string, string, () => NetworkSource]>([
    ['USAGE', 'holds numbers alone: name the ONNX file of its network', () => ({ checkpoints: dicts })],
    ['USAGE', 'weights.pt is a pickle: save its state dict', () => ({ network, checkpoints: ['weights.pt'] })],
    ['USAGE', 'a map is for .safetensors', () => ({ checkpoints: tiny.checkpoints, map })],
    ['CHECKPOINT', "0.safetensors: has no tensor 'body.weight'", () => ({ network, checkpoints: dicts })],
    ['USAGE', "net.onnx has no initializer 'x'", () => ({ network, checkpoints: dicts, map: { x: 'y' } })],
  ])('%s: %s', async (code, message, source) => {
    await expect(resolved(source(), 'one')).rejects.toMatchObject(refusal(`ERR_TRACIN_${code}`, message));
  });
});

test('checkpoints may not differ in constants of the arithmetic', async () => {
  const scaled = (by: number): Graph => {
    const graph = tinyNetwork(1);
    const scale = { type: 'float32', dims: [], data: Float32Array.of(by) } as const;
    const nodes = [{ name: 'scale', operator: 'Mul', domain: '', inputs: ['image', 'by'], outputs: ['scaled'], attributes: new Map() }];
    const rest = graph.nodes.map((node) => ({ ...node, inputs: node.inputs.map((name) => (name === 'image' ? 'scaled' : name)) }));
    return { ...graph, nodes: [...nodes, ...rest], initializers: new Map([...graph.initializers, ['by', scale]]) };
  };
  const files = await Promise.all(
    [1, 2].map(async (by) => {
      const file = join(tiny.dir, `scaled-${by}.onnx`);
      await writeOnnx(file, scaled(by));
      return file;
    }),
  );
  await expect(resolved({ checkpoints: files }, 'one')).rejects.toMatchObject(
    refusal('ERR_TRACIN_CHECKPOINT', `${files[1]}: 'by' has other numbers than in ${files[0]}`),
  );
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
    const all = await resolved({ run: run() });
    expect(all.checkpoints.map(({ epoch }) => epoch)).toEqual([1, 2, 3]);
    expect(all.checkpoints[0]!.learningRate).toBeGreaterThan(all.checkpoints[2]!.learningRate);
    const some = await resolved({ run: run(), checkpoints: [3, 1] });
    expect(some.checkpoints).toEqual([all.checkpoints[0], all.checkpoints[2]]);
  });

  test.each<[string, string, () => NetworkSource]>([
    ['ERR_TRACIN_USAGE', 'no checkpoint of epoch 7: choose from 1, 2, 3', () => ({ run: run(), checkpoints: [1, 7] })],
    ['ERR_TRACIN_USAGE', 'named twice', () => ({ run: run(), checkpoints: [1, 1] })],
    ['ERR_TRACIN_USAGE', 'no epochs chosen', () => ({ run: run(), checkpoints: [] })],
    ['ERR_TRACIN_STUDY', 'run.json', () => ({ run: tiny.dir })],
  ])('%s: %s', async (code, message, source) => {
    await expect(resolved(source())).rejects.toMatchObject(refusal(code, message));
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
