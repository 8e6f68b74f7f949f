/** What a call computes with is what it was given, whatever becomes of the caller's arrays and objects while it waits and works. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { CallOptions, Optimiser, Program, RegionBatch, RegionLoss } from '../../lib/engine/engine';
import { regionBatch, trainingBatch } from '../support/batches';
import { ENGINES } from '../support/engines';
import { smallNetwork } from '../support/graphs';

const SIZE = [8, 12];
const loss: RegionLoss = { kind: 'dice', reduction: 'mean' };
const batch = regionBatch({ slices: 2, size: SIZE });

const gone = (array: Float32Array | Uint8Array): unknown => structuredClone(array.buffer, { transfer: [array.buffer as ArrayBuffer] });

describe.each(ENGINES)('$name', (engine) => {
  let program: Program;
  beforeEach(async () => {
    program = await engine.compile(smallNetwork(), { size: SIZE });
  });
  afterEach(() => program.dispose());

  const copy = (): RegionBatch => ({ images: batch.images.slice(), targets: batch.targets.slice(), masks: batch.masks.slice() });

  it('computes with the labels of the moment of the call', async () => {
    const { gradients } = await program.gradients(batch, loss);
    const { norms } = await program.contract(undefined, batch, loss);
    const [first, second] = [copy(), copy()];
    const calls = [program.gradients(first, loss), program.contract(undefined, second, loss)] as const;
    // an absent region among them is one no longer
    for (const { targets, masks } of [first, second]) void [targets.fill(255), masks.fill(1)];
    expect((await calls[0]).gradients).toEqual(gradients);
    expect((await calls[1]).norms).toEqual(norms);
  });

  it('computes with the loss and the optimiser of the moment of the call', async () => {
    const training = trainingBatch({ slices: 2, size: SIZE });
    const rule = { kind: 'sgd', learningRate: 0.1, momentum: 0, weightDecay: 0 } as const;
    const classWeights = [1, 2, 3, 4];
    await program.step(training, { kind: 'cross-entropy', classWeights: [...classWeights] }, rule);
    const expected = await program.snapshot();
    await program.load(smallNetwork());
    const [mean, still]: [{ -readonly [K in keyof RegionLoss]: RegionLoss[K] }, { -readonly [K in keyof Optimiser]: Optimiser[K] }] = [
      { ...loss },
      { ...rule },
    ];
    const called = [
      program.gradients(batch, mean),
      program.step(training, { kind: 'cross-entropy', classWeights }, still as Optimiser),
    ] as const;
    Object.assign(mean, { kind: 'cross-entropy' });
    Object.assign(still, { learningRate: 0 });
    classWeights.fill(1);
    const { losses } = await called[0];
    await called[1];
    expect(await program.snapshot()).toEqual(expected);
    await program.load(smallNetwork());
    expect(losses).toEqual((await program.gradients(batch, loss)).losses);
  });

  const calls: [string, (given: RegionBatch) => Promise<unknown>][] = [
    ['forward', ({ images }) => program.forward(images)],
    ['tangent', ({ images }) => program.tangent(new Float32Array(program.parameterCount), images)],
    ['gradients', (given) => program.gradients(given, loss)],
    ['contract', (given) => program.contract(undefined, given, loss)],
    ['step', (given) => program.step(given, { kind: 'dice' }, { kind: 'sgd', learningRate: 0, momentum: 0, weightDecay: 0 })],
  ];
  it.each(calls)('%s: images handed over before they are used are missing, and nothing else', async (_, call) => {
    const expected = await program.forward(batch.images);
    for (const turns of [0, 1, 2, 3, 5, 8, 13]) {
      const given = copy();
      const outcome = call(given).catch((error: unknown) => error);
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      const kept = gone(given.images);
      const end = await outcome;
      if (end instanceof Error)
        expect(end).toMatchObject({ code: 'ERR_TRACIN_DATA', message: expect.stringMatching(/^images: /) as string });
      expect(kept).toBeInstanceOf(ArrayBuffer);
    }
    await program.load(smallNetwork());
    expect(await program.forward(batch.images)).toEqual(expected);
  });

  it('leaves Buffers with their caller', async () => {
    const expected = await program.gradients(batch, loss);
    const [targets, masks] = [Buffer.from(batch.targets), Buffer.alloc(batch.masks.length)];
    masks.set(batch.masks);
    expect(await program.gradients({ ...batch, targets, masks }, loss)).toEqual(expected);
    expect([targets.length, masks.length]).toEqual([batch.targets.length, batch.masks.length]);
    expect(Uint8Array.from(masks)).toEqual(batch.masks);
  });

  it('knows nothing by names that a batch or options have besides', async () => {
    const expected = await program.gradients(batch, loss);
    const besides = { slices: 4000, staged: 1, forwarded: true, norms: 1, handle: 1 };
    expect(await program.gradients({ ...batch, ...besides }, { ...loss, ...besides }, besides as CallOptions)).toEqual(expected);
  });
});

test('what no thread can be given is refused, and nothing waits for an answer', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [join(__dirname, '..', 'support', 'unsendable-child.js')], {
    timeout: 20_000,
  });
  expect(stdout).toMatch(/^ERR_TRACIN_USAGE gradients: .* could not be cloned. Give plain data, without functions$/);
});
