/** Resident blocks and their products: what every engine must give, whatever the batches. */
import fc from 'fast-check';
import type { Block, Floats, Program, RegionBatch, RegionLoss } from '../../lib/engine/engine';
import { pick, regionBatch } from '../support/batches';
import { ENGINES, TOLERANCE } from '../support/engines';
import { GraphBuilder, smallNetwork } from '../support/graphs';
import { largest, relativeError } from '../support/numbers';

const SIZE = [8, 12];
const K = 3;
const TESTS = 4;
const TRAININGS = 6; // 18 regions: more than the cuda engine multiplies by a kernel of its own
const tests = regionBatch({ slices: TESTS, size: SIZE }, 1);
const trainings = regionBatch({ slices: TRAININGS, size: SIZE }, 2);
const LOSSES: readonly RegionLoss[] = [
  { kind: 'dice', reduction: 'mean' },
  { kind: 'cross-entropy', reduction: 'sum' },
];
const graph = smallNetwork();

/** Lengths of consecutive runs that make up `count`. */
function runs(count: number): fc.Arbitrary<number[]> {
  return fc
    .subarray(Array.from({ length: count - 1 }, (_, i) => i + 1))
    .map((cuts) => [...cuts, count].map((cut, i) => cut - (cuts[i - 1] ?? 0)));
}

/** The batch cut into consecutive runs of slices. */
function cut(batch: RegionBatch, slices: number, lengths: readonly number[]): { batch: RegionBatch; first: number; length: number }[] {
  let first = 0;
  return lengths.map((length) => {
    const positions = Array.from({ length }, (_, i) => first + i);
    first += length;
    return { batch: pick(batch, slices, positions), first: first - length, length };
  });
}

async function resident(program: Program, batch: RegionBatch, slices: number, loss: RegionLoss): Promise<Block> {
  const block = await program.resident(slices);
  await block.append(batch, loss);
  return block;
}

/** products [R, B, K] with rows and columns exchanged, [B · K, R] */
function transposed(products: Floats, rows: number): Float64Array {
  const columns = products.length / rows;
  return Float64Array.from(products, (_, i) => products[(i % rows) * columns + Math.floor(i / rows)]!);
}

/** Of gradients [rows, P] with others [columns, P]: [rows, columns] */
function dotProducts(left: Floats, right: Floats, P: number): Float64Array {
  const columns = right.length / P;
  return Float64Array.from({ length: (left.length / P) * columns }, (_, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    let sum = 0;
    for (let p = 0; p < P; p++) sum += left[row * P + p]! * right[column * P + p]!;
    return sum;
  });
}

describe.each(ENGINES)('$name', (engine) => {
  // Sums in another order may differ in the last digits of float32; the reference engine takes slices one by one.
  const same = TOLERANCE[engine.name] === 0 ? 0 : 1e-6;
  let program: Program;

  beforeAll(async () => {
    program = await engine.compile(graph, { size: SIZE });
  });
  afterAll(() => program.dispose());

  it.each(LOSSES)('products of $kind are dot products of gradients', async (loss) => {
    const block = await resident(program, tests, TESTS, loss);
    const { products, norms, losses } = await program.contract(block, trainings, loss);
    const left = await program.gradients(tests, loss);
    const right = await program.gradients(trainings, loss);
    const expected = dotProducts(left.gradients, right.gradients, program.parameterCount);
    expect(relativeError(products, expected)).toBeLessThan(1e-6);
    expect(relativeError(norms, right.norms)).toBeLessThan(1e-6);
    expect(relativeError(losses, right.losses)).toBeLessThan(1e-6);
    block.dispose();
  });

  it.each([516, 517])('products of a kernel of %i² numbers are dot products of gradients', async (width) => {
    const g = new GraphBuilder();
    const x = g.mix('image', 'first', 3, width);
    const gate = g.node('Sigmoid', [g.mix(g.node('GlobalAveragePool', [x]), 'long', width, width)]);
    const long = await engine.compile(g.build(g.mix(g.node('Mul', [x, gate]), 'head', width, 4)), { size: SIZE });
    const loss = LOSSES[0]!;
    const [some, others] = [pick(tests, TESTS, [0, 2]), pick(trainings, TRAININGS, [1, 2, 4])];
    const block = await resident(long, some, 2, loss);
    const { products, norms } = await long.contract(block, others, loss);
    const [left, right] = [await long.gradients(some, loss), await long.gradients(others, loss)];
    expect(relativeError(products, dotProducts(left.gradients, right.gradients, long.parameterCount))).toBeLessThan(1e-6);
    expect(relativeError(norms, right.norms)).toBeLessThan(1e-6);
    block.dispose();
    long.dispose();
  });

  it.each(LOSSES)('products of $kind are the same when roles are exchanged', async (loss) => {
    const block = await resident(program, tests, TESTS, loss);
    const other = await resident(program, trainings, TRAININGS, loss);
    const there = await program.contract(block, trainings, loss);
    const back = await program.contract(other, tests, loss);
    expect(relativeError(transposed(back.products, TRAININGS * K), there.products)).toBeLessThan(1e-6);
    block.dispose();
    other.dispose();
  });

  it('maps that a forward pass left serve the gradients of its images, and of no others', async () => {
    const loss = LOSSES[0]!;
    const block = await resident(program, tests, TESTS, loss);
    const slices = Math.min(2, program.keptSlices);
    if (slices === 0) return block.dispose();
    const batch = pick(trainings, TRAININGS, [1, 3].slice(0, slices));
    const whole = { ...batch, masks: batch.masks.slice().fill(1) }; // boxes are whole, too
    for (const some of [batch, whole]) {
      const expected = await program.contract(block, some, loss);
      await program.forward(some.images);
      const found = await program.contract(block, some, loss, { forwarded: true });
      expect(relativeError(found.products, expected.products)).toBeLessThan(1e-6);
      expect(relativeError(found.norms, expected.norms)).toBeLessThan(1e-6);
      expect(relativeError(found.losses, expected.losses)).toBeLessThan(1e-6);
      if (some === whole) expect(found).toEqual(expected);
    }
    const refused = { code: 'ERR_TRACIN_USAGE', message: expect.stringContaining('forward') as string };
    await expect(program.contract(block, batch, loss, { forwarded: true })).rejects.toMatchObject(refused); // used already
    await program.forward(batch.images);
    await program.gradients(batch, loss);
    await expect(program.contract(block, batch, loss, { forwarded: true })).rejects.toMatchObject(refused);
    await program.forward(batch.images.slice());
    await expect(program.contract(block, batch, loss, { forwarded: true })).rejects.toMatchObject(refused);
    block.dispose();
  });

  it('products do not depend on batch sizes nor on which rows are resident together', async () => {
    const loss = LOSSES[0]!;
    const whole = await resident(program, tests, TESTS, loss);
    const expected = await program.contract(whole, trainings, loss);
    const columns = TRAININGS * K;
    await fc.assert(
      fc.asyncProperty(runs(TESTS), runs(TESTS), runs(TRAININGS), async (blockLengths, appendLengths, batchLengths) => {
        const products = new Float64Array(expected.products.length);
        let firstRow = 0;
        for (const part of cut(tests, TESTS, blockLengths)) {
          const block = await program.resident(part.length);
          // Appends are cut where both the block and the drawn runs end.
          let left = part.length;
          const lengths = appendLengths.flatMap((n) => ((left -= n), left >= 0 ? [n] : left + n > 0 ? [left + n] : []));
          for (const piece of cut(part.batch, part.length, lengths)) await block.append(piece.batch, loss);
          expect(block.slices).toBe(part.length);
          for (const { batch, first, length } of cut(trainings, TRAININGS, batchLengths)) {
            const found = await program.contract(block, batch, loss);
            for (let r = 0; r < part.length * K; r++) {
              products.set(found.products.subarray(r * length * K, (r + 1) * length * K), (firstRow + r) * columns + first * K);
            }
          }
          firstRow += part.length * K;
          block.dispose();
        }
        expect(relativeError(products, expected.products)).toBeLessThanOrEqual(same);
      }),
      { numRuns: 12, seed: 1 },
    );
    whole.dispose();
  });

  it('an absent region has no loss, no gradient and no product', async () => {
    const loss = LOSSES[0]!;
    const absent = K - 1; // of slice 0 in both batches
    const { gradients, norms, losses } = await program.gradients(tests, loss);
    expect([norms[absent], losses[absent]]).toEqual([0, 0]);
    expect(largest(gradients.slice(absent * program.parameterCount, (absent + 1) * program.parameterCount))).toBe(0);
    expect(largest(gradients)).toBeGreaterThan(0);
    const block = await resident(program, tests, TESTS, loss);
    const { products } = await program.contract(block, trainings, loss);
    const row = products.slice(absent * TRAININGS * K, (absent + 1) * TRAININGS * K);
    const column = products.filter((_, i) => i % (TRAININGS * K) === absent);
    expect([largest(row), largest(column)]).toEqual([0, 0]);
    block.dispose();
  });

  it('without a block gives norms and losses alone', async () => {
    const loss = LOSSES[1]!;
    const alone = await program.contract(undefined, trainings, loss);
    const full = await program.gradients(trainings, loss);
    expect(alone.products).toHaveLength(0);
    expect(relativeError(alone.norms, full.norms)).toBeLessThanOrEqual(same);
    expect(relativeError(alone.losses, full.losses)).toBeLessThanOrEqual(same);
  });

  it('a block keeps its room when cleared and refuses what does not fit', async () => {
    const loss = LOSSES[0]!;
    const block = await program.resident(TESTS);
    await block.append(tests, loss);
    await expect(block.append(trainings, loss)).rejects.toMatchObject({ code: 'ERR_TRACIN_USAGE' });
    expect(block.slices).toBe(TESTS);
    block.clear();
    expect(block.slices).toBe(0);
    expect((await program.contract(block, trainings, loss)).products).toHaveLength(0);
    const one = pick(trainings, TRAININGS, [3]);
    await block.append(one, loss);
    const { products } = await program.contract(block, one, loss);
    const { gradients, norms } = await program.gradients(one, loss);
    const diagonal = Float64Array.from({ length: K }, (_, k) => products[k * K + k]!);
    expect(relativeError(diagonal, norms)).toBeLessThan(1e-6);
    expect(largest(gradients)).toBeGreaterThan(0);
    block.dispose();
    await expect(block.append(one, loss)).rejects.toMatchObject({ code: 'ERR_TRACIN_USAGE' });
  });

  it('calls that nobody waits for are one after another, clearing among them', async () => {
    const loss = LOSSES[0]!;
    const other = smallNetwork({ seed: 6 });
    const expected = [];
    for (const checkpoint of [graph, other]) {
      await program.load(checkpoint);
      const block = await resident(program, tests, TESTS, loss);
      expected.push((await program.contract(block, trainings, loss)).products);
      block.dispose();
    }
    const block = await program.resident(TESTS);
    const calls = [graph, other].map((checkpoint) => {
      const loaded = program.load(checkpoint);
      block.clear();
      const appended = block.append(tests, loss);
      const gone = new AbortController();
      const failed = block.append(tests, loss, { signal: gone.signal }).catch((error: unknown) => error);
      gone.abort();
      return Promise.all([program.contract(block, trainings, loss), failed, loaded, appended]);
    });
    expect(block.slices).toBe(0);
    const found = await Promise.all(calls);
    expect(found.map(([{ products }]) => products)).toEqual(expected);
    for (const [, failed] of found) expect(failed).toMatchObject({ code: 'ERR_TRACIN_ABORTED' });
    expect(block.slices).toBe(TESTS);
    block.dispose();
    await program.load(graph);
  });

  it('selected parameters have the gradients they have among all, in the order named', async () => {
    const loss = LOSSES[0]!;
    const names = ['head.weight', 'top.norm.scale', 'bottom.weight'];
    const some = await engine.compile(graph, { size: SIZE, parameters: names });
    const { gradients } = await some.gradients(trainings, loss);
    const all = await program.gradients(trainings, loss);
    expect(some.parameters.map(({ name }) => name)).toEqual(names);
    const expected = Float64Array.from(gradients, (_, i) => {
      const [region, p] = [Math.floor(i / some.parameterCount), i % some.parameterCount];
      const own = some.parameters.findLast(({ offset }) => offset <= p)!;
      const { offset } = program.parameters.find(({ name }) => name === own.name)!;
      return all.gradients[region * program.parameterCount + offset + p - own.offset]!;
    });
    expect(relativeError(gradients, expected)).toBeLessThanOrEqual(same);
    some.dispose();
  });

  it('says how much memory it takes', async () => {
    const width = engine.name === 'reference' ? 8 : 4;
    expect(program.memory.row).toBeGreaterThanOrEqual(width * program.parameterCount);
    expect(program.memory.fixed).toBeGreaterThan(0);
    expect(program.memory.slice).toBeGreaterThan(0);
  });
});
