/** Long work leaves turns of the event loop to others. Counted, not timed: a busy machine is late with everything. */
import { createHash } from 'node:crypto';
import type { Program } from '../lib/engine/engine';
import { GraphBuilder } from '../lib/graph/builder';
import { updateInTurns } from '../lib/hash';
import { argmaxLabels, labelling } from '../lib/inference/labels';
import { programPredictor } from '../lib/inference/predictor';
import { isFiniteState } from '../lib/training/state';
import { atOnce, inTurns, type Turns } from '../lib/turns';
import { buildNetwork, buildNetworkInTurns } from '../models/registry';
import { uniform } from './support/numbers';

/** What comes of some work, and how many turns others had meanwhile. */
async function withOthers<T>(work: () => Promise<T>): Promise<{ result: T; turns: number }> {
  let turns = 0;
  let over = false;
  const other = (): void => {
    if (over) return;
    turns++;
    setImmediate(other);
  };
  setImmediate(other);
  const result = await work();
  over = true;
  return { result, turns };
}

function pauses<T>(work: Turns<T>): { result: T; pauses: number } {
  for (let pauses = 0; ; pauses++) {
    const step = work.next();
    if (step.done) return { result: step.value, pauses };
  }
}

const noise = (count: number): Float32Array => Float32Array.from({ length: count }, uniform(1));

test('between pieces that take long there is a turn, and none between short ones', async () => {
  function* pieces(milliseconds: number): Turns<string> {
    for (let piece = 0; piece < 5; piece++, yield) for (const end = performance.now() + milliseconds; performance.now() < end;);
    return 'done';
  }
  expect(atOnce(pieces(0))).toBe('done');
  expect(await withOthers(() => inTurns(pieces(5)))).toEqual({ result: 'done', turns: 5 });
});

test('labels are taken map by map', async () => {
  const [slices, classes, pixels] = [3, 4, 35];
  const logits = noise(slices * classes * pixels);
  expect(pauses(labelling(logits, classes, pixels))).toEqual({
    result: argmaxLabels(logits, classes, pixels),
    pauses: slices * (classes - 1),
  });
});

test('a predictor by an engine leaves turns', async () => {
  const [slices, classes, side] = [40, 4, 256];
  const logits = noise(slices * classes * side * side);
  const lowered = { values: [{ dims: [classes, side, side] }], logits: 0 };
  const program = { lowered, forward: () => Promise.resolve({ logits }) } as unknown as Program;
  const { turns } = await withOthers(() => programPredictor(program, 'network').labels(new Float32Array(0), []));
  expect(turns).toBeGreaterThan(2);
});

test('a network is drawn in pieces, the same numbers as in one go', async () => {
  const builder = new GraphBuilder({ name: 'wide', modalities: 64 });
  const logits = builder.conv('head', builder.image, { channels: 512, kernel: 3 });
  expect(pauses(builder.building(logits)).pauses).toBe((512 * 64 * 9) / 8192);
  const options = { network: 'unet', width: 16, levels: 4, seed: 7 } as const;
  const { result, turns } = await withOthers(() => buildNetworkInTurns(options));
  expect(result.initializers).toEqual(buildNetwork(options).initializers);
  expect(turns).toBeGreaterThan(0);
});

test('long arrays are hashed, and looked through, in pieces', async () => {
  const data = noise(6 << 20).subarray(1);
  const hash = createHash('sha256');
  const { turns } = await withOthers(() => updateInTurns(hash, data));
  expect(turns).toBe(12);
  expect(hash.digest('hex')).toBe(createHash('sha256').update(data).digest('hex'));

  const state = { epoch: 1, network: new Map([['kernel', data]]), optimiser: new Map() };
  const looked = await withOthers(() => isFiniteState(state));
  expect(looked.result).toBe(true);
  expect(looked.turns).toBeGreaterThan(0);
  data[data.length - 1] = NaN;
  expect(await isFiniteState(state)).toBe(false);
});
