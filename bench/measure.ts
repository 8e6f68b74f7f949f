/** How long a promise takes: by benchmark.js, or in turns with a peer. */
import Benchmark from 'benchmark';

/** Seconds for one call. */
export interface Timing {
  readonly median: number;
  readonly p95: number;
  readonly samples: number;
}

/** Calls at least five times, and for about `seconds` in all. */
export function measure(name: string, work: () => Promise<unknown>, seconds: number): Promise<Timing> {
  return new Promise((done, failed) => {
    const benchmark = new Benchmark(name, {
      defer: true,
      minSamples: 5,
      maxTime: seconds,
      fn: (deferred: { resolve(): void }) => {
        work().then(() => deferred.resolve(), failed);
      },
      onComplete: () => done(timingOf(benchmark.stats.sample)),
      onError: (event: Benchmark.Event) => failed((event.target as unknown as { error: Error }).error),
    });
    benchmark.run({ async: true });
  });
}

/** Seconds that one call of ours takes. */
export async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
}

/**
 * Takes turns, so that both sides meet the same machine; each first goes once unmeasured.
 * @param sides what each side's call took, in seconds
 */
export async function inTurns<Side extends string>(
  sides: Record<Side, () => Promise<number>>,
  rounds: number,
): Promise<Record<Side, Timing>> {
  const entries = Object.entries(sides) as [Side, () => Promise<number>][];
  const samples = entries.map((): number[] => []);
  for (let round = -1; round < rounds; round++) {
    for (const [i, [, work]] of entries.entries()) {
      const seconds = await work();
      if (round >= 0) samples[i]!.push(seconds);
    }
  }
  return Object.fromEntries(entries.map(([side], i) => [side, timingOf(samples[i]!)])) as Record<Side, Timing>;
}

function timingOf(samples: readonly number[]): Timing {
  const sorted = samples.toSorted((a, b) => a - b);
  return { median: quantile(sorted, 0.5), p95: quantile(sorted, 0.95), samples: sorted.length };
}

/** By linear interpolation. */
function quantile(sorted: readonly number[], share: number): number {
  const at = share * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(at)]!, sorted[Math.ceil(at)]!];
  return low + (at - Math.floor(at)) * (high - low);
}
