/** What a program does with wrong input, with an abort, and with the event loop while it works. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadAddon } from '../../lib/engine/addon';
import type { Optimiser, Program, RegionLoss } from '../../lib/engine/engine';
import { withInitializers } from '../../lib/graph/checkpoint';
import type { Graph } from '../../lib/graph/graph';
import { regionBatch, trainingBatch } from '../support/batches';
import { describeNative, emulated, ENGINES } from '../support/engines';
import { GraphBuilder, smallNetwork } from '../support/graphs';
import { relativeError } from '../support/numbers';

const SIZE = [8, 12];
const graph = smallNetwork();
const dice: RegionLoss = { kind: 'dice', reduction: 'mean' };
const sgd: Optimiser = { kind: 'sgd', learningRate: 0.1, momentum: 0, weightDecay: 0 };
const batch = regionBatch({ slices: 2, size: SIZE });

function changed<T extends Float32Array | Uint8Array>(array: T, index: number, value: number): T {
  const copy = array.slice() as T;
  copy[index] = value;
  return copy;
}

function withConstant(value: number): Graph {
  const g = new GraphBuilder();
  return g.build(g.mix(g.node('Mul', ['image', g.constant([], [value])]), 'head', 3, 4));
}

describe.each(ENGINES)('$name', (engine) => {
  let program: Program;
  beforeAll(async () => {
    program = await engine.compile(graph, { size: SIZE });
  });
  afterAll(() => program.dispose());

  it('describes itself in one line', () => {
    expect(engine.description).toMatch(new RegExp(`^${engine.device}: [^\\n]+$`));
  });

  describe('refuses, in one line,', () => {
    const pixels = SIZE[0]! * SIZE[1]!;
    const other = smallNetwork({ width: 5 });
    const scale = graph.initializers.get('top.norm.scale')!.data as Float32Array;
    const refusals: [string, string, RegExp, () => Promise<unknown>][] = [
      [
        'masks whose memory was handed over',
        'DATA',
        /masks: expected a Uint8Array \[.*\], got 0 numbers/,
        () => {
          const masks = batch.masks.slice();
          structuredClone(masks.buffer, { transfer: [masks.buffer] });
          return program.gradients({ ...batch, masks }, dice);
        },
      ],
      ['images of another size', 'DATA', /images: .*\[B, 3, 8, 12\]/, () => program.forward(batch.images.subarray(1))],
      ['no images', 'DATA', /images/, () => program.forward(new Float32Array(0))],
      [
        'a pixel that is no number',
        'DATA',
        /images: NaN at pixel 5 of slice 1, modality 2/,
        () => program.forward(changed(batch.images, pixels * 5 + 5, NaN)),
      ],
      ['an infinite pixel', 'DATA', /images: -Infinity/, () => program.forward(changed(batch.images, 0, -Infinity))],
      [
        'a pixel of a region that is no number',
        'DATA',
        /images: Infinity at pixel 7 of slice 1, modality 0/,
        () => program.gradients({ ...batch, images: changed(batch.images, pixels * 3 + 7, Infinity) }, dice),
      ],
      [
        'a direction of another size',
        'DATA',
        /direction: expected \d+ floats/,
        () => program.tangent(new Float32Array(program.parameterCount + 1), batch.images),
      ],
      [
        'a direction that is no number',
        'DATA',
        /direction: NaN at 7/,
        () => program.tangent(changed(new Float32Array(program.parameterCount), 7, NaN), batch.images),
      ],
      [
        'an unknown label',
        'DATA',
        /targets: label 4 at pixel 3 of slice 1: .* 0 to 3/,
        () => program.gradients({ ...batch, targets: changed(batch.targets, pixels + 3, 4) }, dice),
      ],
      [
        'labels of another size',
        'DATA',
        /targets: .*\[2, 8, 12\]/,
        () => program.gradients({ ...batch, targets: batch.targets.slice(1) }, dice),
      ],
      ['a mask that is not 0 or 1', 'DATA', /masks: 2/, () => program.gradients({ ...batch, masks: changed(batch.masks, 9, 2) }, dice)],
      [
        'masks of another size',
        'DATA',
        /masks: .*\[2, 3, 8, 12\]/,
        () => program.contract(undefined, { ...batch, masks: batch.targets }, dice),
      ],
      ['a summed dice', 'USAGE', /reduction/, () => program.gradients(batch, { kind: 'dice', reduction: 'sum' })],
      ['an unknown loss', 'USAGE', /loss: hinge/, () => program.gradients(batch, { kind: 'hinge' as 'dice', reduction: 'mean' })],
      [
        'class weights of another count',
        'USAGE',
        /classWeights: expected 4/,
        () => program.step(batch, { kind: 'cross-entropy', classWeights: [1, 1] }, sgd),
      ],
      [
        'a learning rate that is no number',
        'USAGE',
        /learningRate NaN/,
        () => program.step(batch, { kind: 'dice' }, { ...sgd, learningRate: NaN }),
      ],
      ['a block without room', 'USAGE', /capacity: 0/, () => program.resident(0)],
      [
        'a state of another network',
        'DATA',
        /m\/nowhere/,
        () => program.restoreOptimiserState(new Map([['m/nowhere', new Float32Array(1)]])),
      ],
      [
        'a state of another size',
        'DATA',
        /head.bias has 3/,
        () => program.restoreOptimiserState(new Map([['m/head.bias', new Float32Array(3)]])),
      ],
      ['a checkpoint of another network', 'CHECKPOINT', /top\.weight/, () => program.load(other)],
      [
        'a checkpoint that diverged',
        'CHECKPOINT',
        /top\.norm\.scale holds/,
        () => program.load(withInitializers(graph, new Map([['top.norm.scale', changed(scale, 1, NaN)]]))),
      ],
      [
        'a network that diverged',
        'CHECKPOINT',
        /top\.norm\.scale holds/,
        () => engine.compile(withInitializers(graph, new Map([['top.norm.scale', changed(scale, 1, NaN)]])), { size: SIZE }),
      ],
      ['an unknown parameter', 'USAGE', /parameters: nowhere/, () => engine.compile(graph, { size: SIZE, parameters: ['nowhere'] })],
      ['a parameter named twice', 'USAGE', /twice/, () => engine.compile(graph, { size: SIZE, parameters: ['head.bias', 'head.bias'] })],
      ['no parameter', 'USAGE', /parameters/, () => engine.compile(graph, { size: SIZE, parameters: [] })],
      ['a size the network cannot take', 'GRAPH', /size|divisible/, () => engine.compile(graph, { size: [7, 12] })],
    ];

    it.each(refusals)('%s', async (_name, code, message, call) => {
      const before = await program.forward(batch.images);
      const error = await call().then(
        () => undefined,
        (reason: unknown) => reason as Error & { code: string },
      );
      expect(error).toMatchObject({ code: `ERR_TRACIN_${code}`, message: expect.stringMatching(message) });
      expect(error!.message).not.toContain('\n');
      // Nothing has changed.
      expect(await program.forward(batch.images)).toEqual(before);
    });

    it('a checkpoint with other constants', async () => {
      const scaled = await engine.compile(withConstant(2), { size: SIZE });
      await expect(scaled.load(withConstant(3))).rejects.toMatchObject({ code: 'ERR_TRACIN_CHECKPOINT' });
      scaled.dispose();
    });
  });

  it('begins with the numbers of the graph, and runs those it loads', async () => {
    const fresh = await engine.compile(graph, { size: SIZE });
    const begun = await fresh.forward(batch.images);
    const other = smallNetwork({ seed: 99 });
    await fresh.load(other);
    const loaded = await fresh.forward(batch.images);
    expect(relativeError(loaded.logits, begun.logits)).toBeGreaterThan(0.01);
    const compiled = await engine.compile(other, { size: SIZE });
    expect((await compiled.forward(batch.images)).logits).toEqual(loaded.logits);
    await fresh.load(graph);
    expect((await fresh.forward(batch.images)).logits).toEqual(begun.logits);
    fresh.dispose();
    compiled.dispose();
  });

  it('keeps its numbers where a checkpoint is refused, whichever number is at fault', async () => {
    const before = await program.snapshot();
    const diverged = smallNetwork({ seed: 99 });
    for (const [name, { data }] of diverged.initializers) {
      const wrong = withInitializers(diverged, new Map([[name, changed(data as Float32Array, 0, Infinity)]]));
      await expect(program.load(wrong)).rejects.toMatchObject({ code: 'ERR_TRACIN_CHECKPOINT' });
      expect(await program.snapshot()).toEqual(before);
    }
  });

  it('gives back what it was loaded with', async () => {
    const snapshot = await program.snapshot();
    expect([...snapshot.keys()].sort()).toEqual([...graph.initializers.keys()].sort());
    for (const [name, values] of snapshot) expect([...values]).toEqual([...(graph.initializers.get(name)!.data as Float32Array)]);
  });

  it('leaves the arrays it is given as they were', async () => {
    const copy = structuredClone(batch);
    await program.gradients(batch, dice);
    await program.contract(undefined, batch, dice);
    expect(batch).toEqual(copy);
  });

  it('reads a view without the rest of its buffer', async () => {
    const room = new Float32Array(batch.images.length + 10).fill(NaN);
    room.set(batch.images, 7);
    const { logits } = await program.forward(room.subarray(7, 7 + batch.images.length));
    expect(logits).toEqual((await program.forward(batch.images)).logits);
  });

  it('reads what several threads share', async () => {
    const shared = <T extends Float32Array | Uint8Array>(array: T): T => {
      const copy = new (array.constructor as new (buffer: SharedArrayBuffer) => T)(new SharedArrayBuffer(array.byteLength));
      copy.set(array);
      return copy;
    };
    const { images, targets, masks } = batch;
    const own = { images: shared(images), targets: shared(targets), masks: shared(masks) };
    expect(await program.gradients(own, dice)).toEqual(await program.gradients(batch, dice));
  });

  it('answers calls in their order', async () => {
    const own = await engine.compile(graph, { size: SIZE });
    const calls = [
      own.forward(batch.images),
      own.step(batch, { kind: 'dice' }, sgd),
      own.forward(batch.images),
      own.load(graph),
      own.forward(batch.images),
    ];
    const [before, , trained, , after] = (await Promise.all(calls)) as { logits: Float64Array }[];
    expect(after!.logits).toEqual(before!.logits);
    expect(relativeError(trained!.logits, before!.logits)).toBeGreaterThan(0);
    own.dispose();
  });

  it('refuses work once disposed, after finishing what it was given', async () => {
    const own = await engine.compile(graph, { size: SIZE });
    const last = own.forward(batch.images);
    own.dispose();
    await expect(own.forward(batch.images)).rejects.toMatchObject({ code: 'ERR_TRACIN_USAGE' });
    expect((await last).logits).toEqual((await program.forward(batch.images)).logits);
  });

  it('serves what a block was given before it was disposed, and refuses it afterwards', async () => {
    const regions = regionBatch({ slices: 1, size: SIZE });
    const kept = await program.resident(1);
    await kept.append(regions, dice);
    const { products } = await program.contract(kept, regions, dice);
    kept.dispose();
    const block = await program.resident(1);
    const calls = [block.append(regions, dice), program.contract(block, regions, dice)] as const;
    block.dispose();
    const [appended, contracted] = await Promise.all(calls);
    expect(contracted.products).toEqual(products);
    expect(contracted.norms).toEqual(appended.norms);
    for (const late of [() => block.append(regions, dice), () => program.contract(block, regions, dice)])
      await expect(late()).rejects.toMatchObject({ code: 'ERR_TRACIN_USAGE', message: expect.stringContaining('disposed') as string });
  });

  describe('at work on a large batch', () => {
    const size = [48, 64];
    // The engines differ in speed about a hundredfold.
    const slices = engine.name === 'reference' ? 8 : 400;
    const large = regionBatch({ slices, size });
    const training = trainingBatch({ slices: Math.min(slices, 60), size });
    const wide = smallNetwork({ width: 8 });
    let busy: Program;
    beforeAll(async () => {
      busy = await engine.compile(wide, { size });
    });
    afterAll(() => busy.dispose());

    /** Longest wait of a 1 ms timer while the work lasts, in ms. */
    async function longestDelay(work: () => Promise<unknown>): Promise<number> {
      const delay = monitorEventLoopDelay({ resolution: 1 });
      delay.enable();
      await sleep(20);
      delay.reset();
      await work();
      delay.disable();
      return delay.max / 1e6;
    }

    // a device that the host emulates has no times to speak of
    (emulated ? it.skip : it)('does not hold up the event loop', async () => {
      // Other processes of a busy machine delay any timer now and then; an engine that blocks does so every time.
      let [best, idle] = [Infinity, 0];
      for (const end = performance.now() + 20_000; best >= 10 && performance.now() < end;) {
        const start = performance.now();
        best = Math.min(best, await longestDelay(() => busy.contract(undefined, large, dice)));
        const took = performance.now() - start;
        expect(took).toBeGreaterThan(20);
        if (best >= 10) idle = Math.max(idle, await longestDelay(() => sleep(took)));
      }
      expect(best).toBeLessThan(Math.max(10, 2 * idle));
    });

    const work: [string, (signal: AbortSignal) => Promise<unknown>][] = [
      ['forward', (signal) => busy.forward(large.images, { signal })],
      ['a tangent pass', (signal) => busy.tangent(new Float32Array(busy.parameterCount).fill(0.1), large.images, { signal })],
      ['gradients', (signal) => busy.contract(undefined, large, dice, { signal })],
      ['a step', (signal) => busy.step(training, { kind: 'dice' }, sgd, { signal })],
    ];

    it.each(work)('stops %s when told, and can be used again', async (_name, call) => {
      const image = large.images.subarray(0, 3 * size[0]! * size[1]!);
      const before = await busy.forward(image);
      const weights = await busy.snapshot();
      const controller = new AbortController();
      const start = performance.now();
      setTimeout(() => controller.abort(), 5);
      await expect(call(controller.signal)).rejects.toMatchObject({ code: 'ERR_TRACIN_ABORTED' });
      expect(performance.now() - start).toBeGreaterThan(4);
      expect(await busy.snapshot()).toEqual(weights);
      expect(await busy.forward(image)).toEqual(before);
    });

    it('keeps a block as it was when an append stops', async () => {
      const block = await busy.resident(slices + 1);
      const first = regionBatch({ slices: 1, size });
      await block.append(first, dice);
      const { products } = await busy.contract(block, first, dice);
      const controller = new AbortController();
      setTimeout(() => controller.abort(), 5);
      await expect(block.append(large, dice, { signal: controller.signal })).rejects.toMatchObject({ code: 'ERR_TRACIN_ABORTED' });
      expect(block.slices).toBe(1);
      expect((await busy.contract(block, first, dice)).products).toEqual(products);
      block.dispose();
    });

    it('does not begin what is aborted already', async () => {
      await expect(busy.forward(large.images, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ERR_TRACIN_ABORTED' });
    });
  });
});

describeNative('loads', (engine) => {
  it('what is used, once', async () => {
    const load = jest.spyOn(loadAddon(engine.name as 'cpu'), 'load');
    const program = await engine.compile(graph, { size: SIZE });
    const other = smallNetwork({ seed: 99 });
    await program.load(other);
    await program.load(other);
    expect(load).toHaveBeenCalledTimes(1);
    const { logits } = await program.forward(batch.images);
    await program.step(batch, { kind: 'dice' }, sgd);
    await program.load(other);
    expect(load).toHaveBeenCalledTimes(2);
    expect((await program.forward(batch.images)).logits).toEqual(logits);
    load.mockRestore();
    program.dispose();
  });
});
