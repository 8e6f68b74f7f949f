import { rmSync } from 'node:fs';
import { mkdtemp, readdir, readFile, realpath, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Engine } from '../../lib/engine/engine';
import { readOnnx } from '../../lib/graph/onnx';
import { openReferenceEngine } from '../../lib/engine/reference';
import { openRun } from '../../lib/training/run';
import { learningRateAt } from '../../lib/training/schedule';
import { train } from '../../lib/training/train';
import type { TrainOptions } from '../../lib/training/options';
import type { Progress } from '../../lib/progress';
import { blobs } from '../support/blobs';
import { ENGINES } from '../support/engines';
import { contents } from '../support/folders';
import { buildNetwork } from '../../models/registry';

const SIDE = 16;
const data = {
  train: blobs({ slices: 6, side: SIDE, role: 'train' }),
  validation: blobs({ slices: 4, side: SIDE, seed: 2, role: 'validation' }),
};

describe('train', () => {
  const engine: Engine = openReferenceEngine();
  let dir: string;
  beforeEach(async () => (dir = await mkdtemp(join(tmpdir(), 'tracin-'))));
  afterEach(() => rm(dir, { recursive: true }));

  const options = (more: Partial<TrainOptions> = {}): TrainOptions => ({
    data,
    network: { name: 'unet', width: 4, levels: 2 },
    run: join(dir, 'run'),
    engine,
    epochs: 3,
    batch: 4,
    optimiser: { kind: 'adam', learningRate: 0.01 },
    augmentation: { flips: true, shift: 2 },
    ...more,
  });

  it('learns, and leaves a run folder that says how', async () => {
    const steps: number[] = [];
    const run = await train(options({ epochs: 12, checkpointEvery: 5, onProgress: ({ done }) => steps.push(done) }));

    expect(run.finished).toBe(true);
    expect(steps).toEqual(Array.from({ length: 24 }, (_, i) => i + 1));
    expect(run.metrics.map(({ epoch }) => epoch)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    expect(run.metrics.at(-1)!.trainLoss).toBeLessThan(0.6 * run.metrics[0]!.trainLoss);
    expect(run.checkpoints.map(({ epoch }) => epoch)).toEqual([5, 10, 12]);
    expect(run.split).toEqual({ train: ['train-0', 'train-1', 'train-2'], validation: ['validation-0', 'validation-1'], test: [] });

    const last = await readOnnx(run.checkpoints.at(-1)!.file);
    const rate = learningRateAt({ kind: 'poly', power: 0.9 }, 0.01, 12, 12);
    expect(Object.fromEntries(last.metadata)).toMatchObject({
      'tracin.epoch': '12',
      'tracin.learning_rate': String(rate),
      'tracin.network': 'unet',
    });
    expect(run.checkpoints.at(-1)!.learningRate).toBe(rate);

    const [header, first] = (await readFile(join(run.dir, 'metrics.csv'), 'utf8')).split('\n');
    expect(header).toBe(
      'epoch,learning_rate,train_loss,train_dice_bright,"train_dice_dark, but not black",validation_dice_bright,"validation_dice_dark, but not black"',
    );
    expect(first).toMatch(/^1,0\.01,\d/);
  });

  it('gives the same bytes for the same seed, and others for another', async () => {
    await train(options());
    await train(options({ run: join(dir, 'again') }));
    await train(options({ run: join(dir, 'other'), seed: 2 }));
    const [run, again, other] = await Promise.all(['run', 'again', 'other'].map((name) => contents(join(dir, name))));
    expect(again).toEqual(run);
    expect(other!['checkpoints/epoch-003.onnx']).not.toBe(run!['checkpoints/epoch-003.onnx']);
  });

  describe.each(ENGINES.map((one) => [one.name, one] as const))('on engine %s', (_, engine) => {
    it.each([
      ['adam', { kind: 'adam', learningRate: 0.01, weightDecay: 1e-3 }],
      ['sgd', { kind: 'sgd', learningRate: 0.05, momentum: 0.9, weightDecay: 1e-3 }],
    ] as const)('goes on after an abort anywhere as if nothing had been (%s)', async (_, optimiser) => {
      const undisturbed = await train(options({ engine, optimiser, checkpointEvery: 2 }));
      for (const stopAt of [1, 3, 4]) {
        const run = join(dir, `stopped-${stopAt}`);
        const abort = new AbortController();
        const onProgress = ({ done }: Progress): void => void (done === stopAt && abort.abort());
        const stopped = train(options({ engine, optimiser, checkpointEvery: 2, run, signal: abort.signal, onProgress }));
        await expect(stopped).rejects.toMatchObject({ code: 'ERR_TRACIN_ABORTED' });
        const resumed = await train(options({ engine, optimiser, checkpointEvery: 2, run, resume: true }));
        expect(resumed.finished).toBe(true);
        expect(await contents(run)).toEqual(await contents(undisturbed.dir));
      }
    });

    it('learns with every loss', async () => {
      for (const loss of ['dice', 'cross-entropy', 'dice+ce'] as const) {
        const run = await train(options({ engine, loss, epochs: 6, run: join(dir, loss) }));
        expect(run.metrics.at(-1)!.trainLoss).toBeLessThan(0.85 * run.metrics[0]!.trainLoss);
      }
    });
  });

  it('makes again what a kill between two files left ahead of the state', async () => {
    await train(options());
    const whole = await contents(join(dir, 'run'));
    // After epoch 2: the checkpoint and the metrics of epoch 3 are written, the state is not.
    const abort = new AbortController();
    const run = join(dir, 'torn');
    await expect(train(options({ run, signal: abort.signal, onEpoch: ({ epoch }) => epoch === 2 && abort.abort() }))).rejects.toThrow(
      'interrupted',
    );
    await writeFile(join(run, 'checkpoints', 'epoch-003.onnx'), Buffer.from(whole['checkpoints/epoch-003.onnx']!, 'base64'));
    await writeFile(join(run, 'metrics.csv'), Buffer.from(whole['metrics.csv']!, 'base64'));
    await train(options({ run, resume: true }));
    expect(await contents(run)).toEqual(whole);
  });

  it('leaves a finished run as it is, and begins one where there is none, when told to resume', async () => {
    await train(options({ resume: true, epochs: 1 }));
    const before = await contents(join(dir, 'run'));
    const epochs: number[] = [];
    await train(options({ resume: true, epochs: 1, onEpoch: ({ epoch }) => epochs.push(epoch) }));
    expect(epochs).toEqual([]);
    expect(await contents(join(dir, 'run'))).toEqual(before);
  });

  it('writes where it was told to, wherever the process goes meanwhile', async () => {
    const before = process.cwd();
    process.chdir(dir);
    try {
      const away = await mkdtemp(join(tmpdir(), 'tracin-away-'));
      const trained = train(options({ run: 'run', epochs: 1, onEpoch: () => process.chdir(dir) }));
      process.chdir(away);
      expect((await trained).dir).toBe(await realpath(join(dir, 'run')));
      expect(await readdir(away)).toEqual([]);
      await rm(away, { recursive: true });
    } finally {
      process.chdir(before);
    }
  });

  it('goes on where the data have moved', async () => {
    const told = (dir: string) => ({ epochs: 1, data: { ...data, options: { dir, slices: 'all' } } });
    await train(options(told('/here')));
    expect((await train(options({ ...told('/there'), resume: true }))).finished).toBe(true);
    const other = train(options({ ...told('/here'), data: { ...data, options: { dir: '/here', slices: [1, 2] } }, resume: true }));
    await expect(other).rejects.toThrow('data.options.slices');
  });

  it('goes on where the file of its network has moved, which it remembers by its whole path', async () => {
    const graph = { ...buildNetwork({ network: 'unet', width: 2, levels: 2, modalities: 2, classes: 3 }), source: 'here.onnx' };
    const { network } = await train(options({ epochs: 1, network: graph }));
    expect(network.name).toBe(resolve('here.onnx'));
    const moved = { ...graph, source: '/there.onnx' };
    expect((await train(options({ epochs: 1, network: moved, resume: true }))).finished).toBe(true);
    const other = { ...buildNetwork({ network: 'unet', width: 2, levels: 2, modalities: 2, classes: 3, seed: 9 }), source: '/there.onnx' };
    await expect(train(options({ epochs: 1, network: other, resume: true }))).rejects.toThrow(/network\.name is ".there\.onnx" now/);
  });

  it('refuses a folder that holds a run, and to resume another one, naming the field', async () => {
    await train(options({ epochs: 1 }));
    const before = await contents(join(dir, 'run'));
    await expect(train(options({ epochs: 1 }))).rejects.toMatchObject({
      code: 'ERR_TRACIN_USAGE',
      message: expect.stringMatching(/already holds a run.*--resume/) as string,
    });
    const others: [Partial<TrainOptions>, RegExp][] = [
      [{ epochs: 2 }, /training\.epochs is 2 now but 1/],
      [{ epochs: 1, optimiser: { kind: 'adam', learningRate: 0.02 } }, /training\.optimiser\.learningRate is 0\.02 now but 0\.01/],
      [{ epochs: 1, seed: 2 }, /training\.seed is 2 now but 1/],
      [{ epochs: 1, network: { name: 'unet', width: 5, levels: 2 } }, /network\.width is 5 now but 4/],
      [{ epochs: 1, data: { ...data, train: blobs({ slices: 6, side: SIDE, seed: 9, role: 'train' }) } }, /data\.train\.fingerprint/],
    ];
    for (const [other, message] of others) {
      await expect(train(options({ ...other, resume: true }))).rejects.toMatchObject({
        code: 'ERR_TRACIN_USAGE',
        message: expect.stringMatching(message) as string,
      });
    }
    expect(await contents(join(dir, 'run'))).toEqual(before);
  });

  it.each<[string, Partial<TrainOptions>, string, RegExp]>([
    ['no epochs', { epochs: 0 }, 'ERR_TRACIN_USAGE', /epochs 0/],
    ['an empty batch', { batch: 0 }, 'ERR_TRACIN_USAGE', /batch 0/],
    ['a learning rate of 0', { optimiser: { kind: 'sgd', learningRate: 0 } }, 'ERR_TRACIN_USAGE', /optimiser\.learningRate 0/],
    [
      'a negative learning rate',
      { optimiser: { kind: 'adam', learningRate: -1e-3 } },
      'ERR_TRACIN_USAGE',
      /optimiser\.learningRate -0\.001/,
    ],
    ['an unknown network', { network: { name: 'vnet' } }, 'ERR_TRACIN_USAGE', /vnet/],
    [
      'a learning rate that falls to 0',
      { schedule: { kind: 'step', every: 1, factor: 1e-200 } },
      'ERR_TRACIN_USAGE',
      /schedule .*learning rate to 0 in epoch 3/,
    ],
    [
      'a learning rate beyond all numbers',
      { schedule: { kind: 'step', every: 1, factor: 1e200 } },
      'ERR_TRACIN_USAGE',
      /schedule .*learning rate to Infinity in epoch 3/,
    ],
    [
      'a setting of another optimiser',
      { optimiser: { kind: 'adam', momentum: 0.5 } as TrainOptions['optimiser'] },
      'ERR_TRACIN_USAGE',
      /optimiser\.momentum 0\.5: adam has no such setting/,
    ],
    ['weights for other classes', { classWeights: [1, 1] }, 'ERR_TRACIN_USAGE', /classWeights .*3 numbers/],
    ['an empty split', { data: { train: blobs({ slices: 0 }) } }, 'ERR_TRACIN_DATA', /training split is empty/],
    ['an empty validation split', { data: { ...data, validation: blobs({ slices: 0 }) } }, 'ERR_TRACIN_DATA', /validation split is empty/],
    ['data without labels', { data: { train: blobs({ slices: 2, labelled: false }) } }, 'ERR_TRACIN_DATA', /no labels/],
    ['splits of two sizes', { data: { ...data, validation: blobs({ slices: 2, side: 24 }) } }, 'ERR_TRACIN_DATA', /differ in size/],
    ['a size the network cannot halve', { data: { train: blobs({ slices: 2, side: 17 }) } }, 'ERR_TRACIN_GRAPH', /divisible/],
  ])('refuses %s and leaves no folder', async (_, more, code, message) => {
    const refused = train(options(more));
    await expect(refused).rejects.toMatchObject({ code, message: expect.stringMatching(message) as string });
    await expect(readdir(join(dir, 'run'))).rejects.toThrow('ENOENT');
  });

  it('stops when the loss is no longer finite and keeps the finished checkpoints', async () => {
    let step = 0;
    const failing: Engine = {
      ...engine,
      async compile(graph, compileOptions) {
        const program = await engine.compile(graph, compileOptions);
        const own = program.step.bind(program);
        program.step = async (...call) => (++step > 3 ? NaN : own(...call));
        return program;
      },
    };
    await expect(train(options({ engine: failing }))).rejects.toMatchObject({
      message: expect.stringMatching(/no longer finite in epoch 2 at learning rate 0\.00.*up to epoch 1 is kept/) as string,
    });
    expect((await openRun(join(dir, 'run'))).checkpoints.map(({ epoch }) => epoch)).toEqual([1]);
  });

  it('does not begin anew where the state of a run has gone', async () => {
    await train(options());
    await rm(join(dir, 'run', 'state.safetensors'));
    const refused = train(options({ resume: true }));
    await expect(refused).rejects.toMatchObject({
      code: 'ERR_TRACIN_STUDY',
      message: expect.stringMatching(/state\.safetensors stands after epoch 0 but .* has 3/) as string,
    });
  });

  it('refuses a folder with the remains of a run', async () => {
    await train(options({ epochs: 1 }));
    await rm(join(dir, 'run', 'run.json'));
    const remains = expect.stringMatching(/checkpoints is left of a run without run\.json/) as string;
    await expect(train(options({ epochs: 1 }))).rejects.toMatchObject({ code: 'ERR_TRACIN_USAGE', message: remains });
  });

  it('gives a folder to one of two that begin at once', async () => {
    const alone = await train(options({ run: join(dir, 'alone'), seed: 2 }));
    const both = await Promise.allSettled([2, 3].map((seed) => train(options({ seed }))));
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const reason = { code: 'ERR_TRACIN_USAGE', message: expect.stringContaining('already holds a run') as string };
    expect(both.find(({ status }) => status === 'rejected')).toMatchObject({ reason });
    const same = (await openRun(join(dir, 'run'))).training.seed === 2;
    expect((await contents(join(dir, 'run')))['state.safetensors'] === (await contents(alone.dir))['state.safetensors']).toBe(same);
  });

  it('stops where another process has trained further in the same folder', async () => {
    let [begun, go] = [(): void => undefined, (): void => undefined];
    const [reached, released] = [new Promise<void>((done) => (begun = done)), new Promise<void>((done) => (go = done))];
    let reads = 0;
    const waiting = {
      ...data.train,
      read: async (at: readonly number[]) => (reads++ === 1 && (begun(), await released), data.train.read(at)),
    };
    const slow = train(options({ data: { ...data, train: waiting }, resume: true }));
    await reached;
    await train(options({ resume: true }));
    const whole = await contents(join(dir, 'run'));
    go();
    const message = expect.stringMatching(/stands after epoch 3, while epoch 1 was trained: another process trains/) as string;
    await expect(slow).rejects.toMatchObject({ code: 'ERR_TRACIN_STUDY', message });
    expect(await contents(join(dir, 'run'))).toEqual(whole);
  });

  it('stops where the folder is removed, and makes no other', async () => {
    const run = join(dir, 'run');
    const onEpoch = ({ epoch }: { epoch: number }) => epoch === 1 && rmSync(run, { recursive: true });
    const message = expect.stringMatching(/run\.json is gone, while epoch 2 was trained/) as string;
    await expect(train(options({ onEpoch }))).rejects.toMatchObject({ code: 'ERR_TRACIN_STUDY', message });
    expect(await readdir(dir)).toEqual([]);
  });

  it('stops where the data change, and keeps the epochs before', async () => {
    let state = 'before';
    const changing = { ...data.train, fingerprint: async () => state };
    const given = options({ data: { ...data, train: changing } });
    const changed = train({ ...given, onEpoch: ({ epoch }) => epoch === 2 && (state = 'after') });
    const message = expect.stringMatching(/^the training data changed in epoch 3: .*up to epoch 2 is kept/) as string;
    await expect(changed).rejects.toMatchObject({ code: 'ERR_TRACIN_DATA', message });
    expect((await openRun(join(dir, 'run'))).metrics).toHaveLength(2);
    state = 'before';
    expect((await train({ ...given, resume: true })).finished).toBe(true);
  });

  describe('openRun', () => {
    const refusal = async (what: RegExp): Promise<void> => {
      await expect(openRun(join(dir, 'run'))).rejects.toMatchObject({
        code: 'ERR_TRACIN_STUDY',
        message: expect.stringMatching(what) as string,
      });
    };

    it('refuses a folder without a run and one whose files are damaged, naming the file', async () => {
      await refusal(/run\.json does not exist/);
      const { dir: run, checkpoints } = await train(options({ epochs: 1 }));
      const json = await readFile(join(run, 'run.json'), 'utf8');

      await truncate(join(run, 'run.json'), 100);
      await refusal(/run\.json: is not valid JSON/);
      await writeFile(join(run, 'run.json'), json.replace('"epochs": 1', '"epochs": "one"'));
      await refusal(/run\.json: training\.epochs/);
      await writeFile(join(run, 'run.json'), json.replace('"formatVersion": 1', '"formatVersion": 9'));
      await refusal(/formatVersion 9 is unknown/);
      await writeFile(join(run, 'run.json'), json);

      const metrics = await readFile(join(run, 'metrics.csv'), 'utf8');
      await writeFile(join(run, 'metrics.csv'), metrics.slice(0, -5));
      await refusal(/metrics\.csv: its last line is cut off/);
      await writeFile(join(run, 'metrics.csv'), metrics);

      await rm(checkpoints[0]!.file);
      await refusal(/epoch-001\.onnx is missing/);
    });
  });
});
