import fc from 'fast-check';
import type { TracinError } from '../../lib/errors';
import { describePlan, layOut, type PlanInput } from '../../lib/influence/plan';
import { formatBytes } from '../../lib/rounded';

const input: PlanInput = {
  checkpoints: 3,
  tests: 100,
  trainings: 1000,
  classes: 3,
  modalities: 4,
  pixels: 192 * 192,
  process: 1e8,
  cached: true,
  programs: [{ fixed: 4e7, slice: 7.5e6, row: 4e6 }],
  checkpointFile: 4e6,
};

/** What a refusal names, in bytes: the memory that it would take, or the memory to allow. */
function named(wanted: PlanInput, which: RegExp): number {
  try {
    layOut({ ...wanted, memory: 1 });
  } catch (error) {
    expect(error).toMatchObject({ code: 'ERR_TRACIN_MEMORY' });
    const [, value, unit] = which.exec((error as TracinError).message)!;
    return Math.floor(Number(value) * 1024 ** ['B', 'KiB', 'MiB', 'GiB'].indexOf(unit!));
  }
  throw new Error('a byte of memory was enough');
}
const leastMemory = (wanted: PlanInput): number => named(wanted, /at least ([\d.]+) (\w+)/);
const advisedMemory = (wanted: PlanInput): number => named(wanted, /: allow ([\d.]+) (\w+) \(--memory\)/);

describe('memory plan', () => {
  test('one pass when all test gradients fit, more when they do not, never above the budget', () => {
    expect(layOut({ ...input, memory: 4e9 })).toMatchObject({ passes: 1, capacity: 100 });
    const small = layOut({ ...input, memory: 9e8 });
    expect(small.passes).toBeGreaterThan(2);
    expect(small.slicesToCompute).toBe(3 * (100 + small.passes * 1000));
    fc.assert(
      fc.property(fc.integer({ min: 5e8, max: 4e9 }), fc.integer({ min: 1, max: 300 }), (memory, tests) => {
        const plan = layOut({ ...input, memory, tests });
        expect(plan.memory.total).toBeLessThanOrEqual(memory);
        expect(plan.passes * plan.capacity).toBeGreaterThanOrEqual(tests);
        expect((plan.passes - 1) * plan.capacity).toBeLessThan(tests);
        expect(plan.tileSlices % plan.batch).toBe(0);
      }),
    );
  });

  test('says the least memory that does, and that much does', () => {
    const least = leastMemory(input);
    expect(layOut({ ...input, memory: least })).toMatchObject({ capacity: 1, batch: 1, passes: 100 });
    expect(() => layOut({ ...input, memory: Math.floor(0.99 * least) })).toThrow(/at least/);
  });

  test('what it asks for is enough at once, whatever the network, the slices and the cache, in a process that grew meanwhile, too', () => {
    const count = (max: number) => fc.integer({ min: 1, max });
    const program = fc.record({ fixed: fc.nat(1e8), slice: fc.nat(2e7), row: fc.nat(2e8), device: fc.constantFrom(undefined, 8e9) });
    const wanted = fc.record({
      checkpoints: count(5),
      tests: fc.nat(200),
      trainings: count(3000),
      classes: count(5),
      modalities: count(4),
      pixels: count(1e5),
      process: fc.integer({ min: 5e7, max: 4e8 }),
      cached: fc.boolean(),
      programs: fc.tuple(count(3), program).map(([devices, one]) => Array.from({ length: devices }, () => one)),
      checkpointFile: fc.nat(1e8),
      batch: fc.option(count(16), { nil: undefined }),
    });
    fc.assert(
      fc.property(wanted, fc.nat(60e6), (asked, growth) => {
        const grown = { ...asked, process: asked.process + growth };
        const plans = [
          layOut({ ...asked, memory: leastMemory(asked) }),
          layOut({ ...grown, memory: advisedMemory(asked) }),
          layOut({ ...asked, memory: advisedMemory(grown) }),
        ];
        for (const { memory } of plans) expect(memory.total).toBeLessThanOrEqual(memory.budget);
      }),
      { numRuns: 1000 },
    );
  });

  test('a smaller batch is chosen before giving up, a batch asked for is kept', () => {
    const least = leastMemory(input);
    expect(layOut({ ...input, memory: least }).batch).toBe(1);
    // with a single test slice there is nothing else to spend memory on
    expect(layOut({ ...input, tests: 1, memory: least + 2e7 }).batch).toBeGreaterThan(1);
    expect(() => layOut({ ...input, memory: least, batch: 8 })).toThrow(/smaller batch/);
    expect(layOut({ ...input, batch: 5 }).batch).toBe(5);
  });

  test('a smaller batch is chosen where its room holds test gradients that spare passes', () => {
    const one = { ...input, programs: [{ fixed: 4e7, slice: 1e8, row: 4e6 }], memory: 1.5e9 };
    const [chosen, large] = [layOut(one), layOut({ ...one, batch: 8 })];
    expect(chosen.batch).toBeLessThan(8);
    expect(chosen.passes).toBeLessThan(large.passes / 2);
    const bytes = fc.record({ slice: fc.integer({ min: 1e5, max: 2e8 }), row: fc.integer({ min: 1e5, max: 5e7 }) });
    fc.assert(
      fc.property(bytes, fc.integer({ min: 3e9, max: 3e10 }), fc.constantFrom(1, 2, 4, 8), (program, memory, batch) => {
        const any = { ...input, programs: [{ fixed: 4e7, ...program }], memory };
        expect(layOut(any).slicesToCompute).toBeLessThanOrEqual(1.125 * layOut({ ...any, batch }).slicesToCompute);
      }),
    );
  });

  test('slices of a batch that wait for others take no memory of the engine', () => {
    const all = { ...input, programs: [{ fixed: 4e7, slice: 3e8, row: 3e7 }], memory: 4e9, batch: 8 };
    const two = { ...all, programs: [{ ...all.programs[0]!, together: 2 }] };
    const scratch = (wanted: PlanInput) => layOut(wanted).memory.scratch;
    expect([scratch(all), scratch(two), scratch({ ...two, batch: 1 })]).toEqual([4e7 + 8 * 3e8, 4e7 + 2 * 3e8, 4e7 + 3e8]);
    expect(layOut(two).capacity).toBeGreaterThan(2 * layOut(all).capacity);
  });

  test('a GPU gets larger batches', () => {
    const gpu = { ...input, programs: [{ ...input.programs[0]!, device: 8e10 }] };
    expect([layOut(input).batch, layOut(gpu).batch, layOut({ ...gpu, batch: 5 }).batch]).toEqual([8, 32, 5]);
  });

  test('shards compute the batches of the whole study, for in others the last digits are others', () => {
    for (const shards of [1, 2, 5]) {
      expect(layOut({ ...input, tests: 1, trainings: 5, shards, memory: 4e9 })).toMatchObject({ batch: 5, tileSlices: 5 });
      expect(layOut({ ...input, tests: 1, trainings: 5, shards, batch: 2, memory: 4e9 }).batch).toBe(2);
    }
  });

  test('takes a share of what is free when no memory is given', () => {
    const { memory } = layOut(input);
    expect(memory.budget).toBeGreaterThan(memory.total);
  });

  test('keeps the layout of a run that is resumed, except the batch', () => {
    const layout = { capacity: 7, tileSlices: 12, batch: 4 };
    expect(layOut({ ...input, layout })).toMatchObject({ ...layout, passes: 15 });
    expect(layOut({ ...input, layout, batch: 3 })).toMatchObject({ capacity: 7, tileSlices: 12, batch: 3 });
    expect(() => layOut({ ...input, layout, memory: 1e8 })).toThrow(expect.objectContaining({ code: 'ERR_TRACIN_MEMORY' }) as Error);
  });

  test.each([{ memory: 0 }, { memory: NaN }, { batch: 0 }, { batch: 1.5 }])('refuses %j', (wrong) => {
    expect(() => layOut({ ...input, ...wrong })).toThrow(expect.objectContaining({ code: 'ERR_TRACIN_USAGE' }) as Error);
  });

  test('is told in lines', () => {
    expect(describePlan(layOut({ ...input, memory: 4 * 2 ** 30 }))).toEqual([
      '3 checkpoints × 100 test and 1000 training slices × 3 classes',
      expect.stringMatching(
        /^memory: 2\.1 GiB of 4 GiB \(95\.4 MiB held already, 1\.2 GiB test gradients, 95\.4 MiB network, 7\d\d\.\d MiB slices\), batches of 8$/,
      ),
      'one pass over the training slices at each checkpoint, 100 test slices at a time',
      expect.stringMatching(/^disk: \d+\.\d MiB$/),
    ]);
    expect([0, 1023, 1024, 1025, 5 * 2 ** 30].map(formatBytes)).toEqual(['0 B', '1023 B', '1 KiB', '1.1 KiB', '5 GiB']);
  });
});
