/** How long a promise takes, by benchmark.js. */
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
      onComplete: () => {
        const sample = benchmark.stats.sample.toSorted((a, b) => a - b);
        done({ median: quantile(sample, 0.5), p95: quantile(sample, 0.95), samples: sample.length });
      },
      onError: (event: Benchmark.Event) => failed((event.target as unknown as { error: Error }).error),
    });
    benchmark.run({ async: true });
  });
}

/** By linear interpolation. */
function quantile(sorted: readonly number[], share: number): number {
  const at = share * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(at)]!, sorted[Math.ceil(at)]!];
  return low + (at - Math.floor(at)) * (high - low);
}
