import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { withInitializers } from '../../lib/graph/checkpoint';
import type { Graph } from '../../lib/graph/graph';
import { lower } from '../../lib/graph/lower';
import { readOnnx, writeOnnx } from '../../lib/graph/onnx';
import { openInference } from '../../lib/inference/inference';
import { argmaxLabels } from '../../lib/inference/labels';
import { readPlacement } from '../../lib/inference/placement';
import { predictLabels } from '../../lib/inference/predict-labels';
import { listProviders, type Provider } from '../../lib/inference/providers';
import { buildNetwork, NETWORKS } from '../../models/registry';
import { blobs } from '../support/blobs';
import { ENGINES } from '../support/engines';
import { largest, relativeError, uniform } from '../support/numbers';
import { CHECKPOINTS, describeOracle } from '../support/oracle';

const SIZE = [32, 16];
const SLICES = 3;

function images(modalities: number): Float32Array {
  return Float32Array.from({ length: SLICES * modalities * SIZE[0]! * SIZE[1]! }, uniform(3));
}

/** Running statistics and numbers as after some training: nothing is 0 or 1 by construction. */
function disturbed(graph: Graph): Graph {
  const next = uniform(5);
  const trained = lower(graph, SIZE).values.filter(({ kind }) => kind === 'parameter' || kind === 'statistic');
  const moved = trained.map(({ name }) => {
    const { data } = graph.initializers.get(name)!;
    return [name, Float32Array.from(data as Float32Array, (value) => value * (1 + 0.2 * next()) + 0.02 * (1 + next()))] as const;
  });
  return withInitializers(graph, new Map(moved));
}

describe('inference by onnxruntime', () => {
  let dir: string;
  let file: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'tracin-'));
    file = join(dir, 'two-modalities.onnx');
    await writeOnnx(file, disturbed(buildNetwork({ network: 'unet', width: 4, levels: 2, modalities: 2, classes: 3, seed: 1 })));
  });
  afterAll(() => rm(dir, { recursive: true }));

  const agrees = async (path: string, modalities: number): Promise<void> => {
    const shape = [SLICES, modalities, ...SIZE];
    const inference = await openInference(path, { features: true, threads: 2 });
    const logits = await inference.logits(images(modalities), shape);
    const features = await inference.features(images(modalities), shape);
    expect(largest(logits)).toBeGreaterThan(0.01);
    for (const engine of ENGINES) {
      const program = await engine.compile(await readOnnx(path), { size: SIZE });
      const ours = await program.forward(images(modalities), { features: true });
      expect(relativeError(logits, ours.logits)).toBeLessThan(1e-4);
      expect(relativeError(features, ours.features!)).toBeLessThan(1e-4);
      program.dispose();
    }
    await inference.close();
  };

  it.each(NETWORKS)('agrees with our engines within 1e-4 on %s', async (network) => {
    const path = join(dir, `${network}.onnx`);
    await writeOnnx(path, disturbed(buildNetwork({ network, width: 4, levels: 3, seed: 2 })));
    await agrees(path, 4);
  });

  describeOracle('on a checkpoint exported by PyTorch', () => {
    it('agrees with our engines within 1e-4', () => agrees(CHECKPOINTS[2]!, 4));
  });

  it('gives labels that are the argmax of its logits, batch by batch the same', async () => {
    const source = blobs({ slices: 5 });
    const inference = await openInference(file);
    const { images: all } = await source.read([0, 1, 2, 3, 4]);
    const expected = argmaxLabels(await inference.logits(all, [5, 2, 24, 24]), 3, 24 * 24);
    expect(new Set(expected).size).toBeGreaterThan(1);
    for (const batch of [1, 2, 5]) {
      const done: number[] = [];
      const labels = await predictLabels(inference, source, { batch, onProgress: (progress) => done.push(progress.done) });
      expect(Buffer.compare(labels, expected)).toBe(0);
      expect(done.at(-1)).toBe(5);
    }
    await inference.close();
  });

  it('leaves the event loop free while the network runs, and closes only after the run in flight', async () => {
    const inference = await openInference(file, { threads: 1 });
    let running = true;
    const run = inference.logits(new Float32Array(16 * 2 * 128 * 128), [16, 2, 128, 128]).finally(() => (running = false));
    let turns = 0;
    const closed = inference.close();
    while (running) {
      await setImmediate();
      turns++;
    }
    expect(turns).toBeGreaterThan(20);
    expect((await run).length).toBe(16 * 3 * 128 * 128);
    await closed;
  });

  it('stops between batches when told to', async () => {
    const inference = await openInference(file);
    const abort = new AbortController();
    const predicted = predictLabels(inference, blobs({ slices: 6 }), { batch: 1, signal: abort.signal, onProgress: () => abort.abort() });
    await expect(predicted).rejects.toMatchObject({ code: 'ERR_TRACIN_ABORTED' });
    await inference.close();
  });

  it('runs on the provider asked for or says what installs it', async () => {
    for (const status of await listProviders()) {
      if (status.available) {
        const inference = await openInference(file, { provider: status.name });
        expect(inference.provider).toBe(status.name);
        await inference.close();
      } else {
        const refused = openInference(file, { provider: status.name });
        await expect(refused).rejects.toMatchObject({ code: 'ERR_TRACIN_ENGINE', message: status.reason });
        expect(status.reason).toMatch(/ONNXRUNTIME_NODE_INSTALL=true node \/.*install\.js|ldd \/.*providers_cuda\.so|apt-get install/);
      }
    }
    expect((await listProviders())[0]).toMatchObject({ name: 'cpu', available: true });
  });

  it('takes the cpu for a missing provider only when told to, and says why', async () => {
    for (const name of ['cuda', 'webgpu'] as const) {
      const status = (await listProviders()).find((one) => one.name === name)!;
      const inference = await openInference(file, { provider: `${name},cpu` });
      expect(inference.provider).toBe(status.available ? name : 'cpu');
      expect(inference.notes).toEqual(status.available ? [] : [status.reason]);
      await inference.close();
    }
  });

  it('reads from a profile where the nodes of a session ran', async () => {
    const session = await InferenceSession.create(file, { enableProfiling: true, profileFilePrefix: join(dir, 'profile') });
    await session.run({ image: new Tensor('float32', images(2).slice(0, 2 * 32 * 16), [1, 2, ...SIZE]) });
    session.endProfiling();
    await session.release();
    const name = (await readdir(dir)).find((entry) => entry.startsWith('profile'))!;
    const profile = await readFile(join(dir, name), 'utf8');
    const here = readPlacement(profile, 'cpu');
    expect(here).toEqual({ there: expect.any(Number) as number, elsewhere: 0, operators: [] });
    expect(here.there).toBeGreaterThan(5);
    expect(readPlacement(profile, 'cuda')).toEqual({
      there: 0,
      elsewhere: here.there,
      operators: expect.arrayContaining(['Conv', 'MaxPool']) as string[],
    });
  });

  it('says how to install onnxruntime-node where it is missing', async () => {
    const script = `require(process.argv[1]).openInference(process.argv[2]).catch((error) => console.log(error.code, error.message))`;
    const hook = join(__dirname, '..', 'support', 'without-onnxruntime.js');
    const compiled = resolve(__dirname, '../../dist/lib/inference/inference.js');
    const { stdout } = await promisify(execFile)(process.execPath, ['-e', script, compiled, file], {
      env: { ...process.env, NODE_OPTIONS: `--require ${hook}` },
    });
    expect(stdout).toBe('ERR_TRACIN_ENGINE onnxruntime-node is not installed: run `npm install onnxruntime-node`\n');
  });

  it('refuses what it cannot run in one line that names the file or the shape', async () => {
    const refusal = (code: string, message: RegExp) => ({ code, message: expect.stringMatching(message) as string });
    await expect(openInference(join(dir, 'none.onnx'))).rejects.toMatchObject(refusal('ERR_TRACIN_IO', /none\.onnx: it does not exist/));
    const cut = join(dir, 'cut.onnx');
    await writeFile(cut, (await readFile(file)).subarray(0, 900));
    await expect(openInference(cut)).rejects.toMatchObject(refusal('ERR_TRACIN_GRAPH', /cut\.onnx/));
    await expect(openInference(file, { provider: 'banana' as Provider })).rejects.toMatchObject(
      refusal('ERR_TRACIN_USAGE', /banana.*cpu \| cuda \| webgpu/),
    );
    await expect(openInference(file, { threads: 0 })).rejects.toMatchObject(refusal('ERR_TRACIN_USAGE', /threads 0/));

    const inference = await openInference(file);
    await expect(inference.logits(new Float32Array(3 * 64), [1, 3, 8, 8])).rejects.toMatchObject(
      refusal('ERR_TRACIN_DATA', /\[1, 3, 8, 8\] do not fit/),
    );
    await expect(inference.logits(new Float32Array(5), [1, 2, 8, 8])).rejects.toMatchObject(refusal('ERR_TRACIN_USAGE', /5 numbers/));
    await expect(inference.logits(new Float32Array(2 * 81), [1, 2, 9, 9])).rejects.toMatchObject({
      message: expect.stringMatching(/divisible by the network's stride/) as string,
    });
    await expect(inference.features(new Float32Array(2 * 64), [1, 2, 8, 8])).rejects.toMatchObject(
      refusal('ERR_TRACIN_USAGE', /features: true/),
    );
    await expect(predictLabels(inference, { ...blobs({ slices: 1 }), classes: ['one'] })).rejects.toMatchObject(
      refusal('ERR_TRACIN_DATA', /2 foreground classes.*has 1 \(one\)/),
    );
    await inference.close();
  });
});
