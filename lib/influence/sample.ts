/** A few slices read, and predicted, as a run does it, with what that takes. */
import type { RegionBatch } from '../engine/engine';
import type { Predictor } from '../inference/predictor';
import { readBatch, withRegions, type Range, type Role } from './batches';
import type { Job } from './job';
import { checkLabels } from './prepare';

export interface Sample {
  readonly batches: readonly (Range & RegionBatch)[];
  /** Labels [n, H, W] of each batch, where they are predicted. */
  readonly predicted: readonly (Uint8Array | undefined)[];
  /** Seconds of a slice; undefined where all of them were read before. */
  readonly read: number | undefined;
  readonly predict: number;
  /** Bytes of this process with the predictor's own, but not those of a program that predicts. */
  readonly process: number;
}

/**
 * Batches of slices with their regions, and the seconds of reading and of predicting one slice.
 * @param before cases that were read before
 * @throws ERR_TRACIN_DATA for unreadable slices or a label beyond the classes
 */
export async function readSample(
  job: Job,
  role: Role,
  ranges: readonly Range[],
  predictor: Predictor | undefined,
  { signal, before = [] }: { readonly signal?: AbortSignal | undefined; readonly before?: readonly string[] } = {},
): Promise<Sample> {
  const { definition, painting, record } = job;
  const source = job.sources[role];
  const side = { role, source, painted: role === 'test' ? painting?.painted : undefined };
  const batches: (Range & RegionBatch)[] = [];
  const labels: (Uint8Array | undefined)[] = [];
  // Cases are decoded whole, and perhaps kept.
  const decoded = new Set(before);
  const perCase: number[] = [];
  let predict = predictor ? Infinity : 0;
  let held: number | undefined;
  for (const range of ranges) {
    const fresh = [...casesIn(range)].filter((name) => !decoded.has(name));
    const began = performance.now();
    const found = await readBatch(source, range, signal);
    if (fresh.length > 0) perCase.push(secondsSince(began) / fresh.length);
    fresh.forEach((name) => decoded.add(name));
    if (found.labels) checkLabels(found.labels, source, range.start, record.classes);
    const shape = [range.end - range.start, source.modalities.length, ...source.size];
    held ??= predictor?.ofProgram ? process.memoryUsage.rss() : undefined;
    const watch = stopwatch(job);
    const predicted = await predictor?.labels(found.images, shape, { signal });
    predict = Math.min(predict, watch() / (range.end - range.start));
    labels.push(predicted);
    batches.push(await withRegions(side, definition, found, predicted));
  }
  const share = casesIn({ start: 0, end: source.slices.length }).size / source.slices.length;
  return {
    batches,
    predicted: labels,
    read: perCase.length > 0 ? share * Math.min(...perCase) : undefined,
    predict,
    process: held ?? process.memoryUsage.rss(),
  };

  function casesIn({ start, end }: Range): Set<string> {
    return new Set(source.slices.slice(start, end).map((slice) => slice.case));
  }
}

export function secondsSince(began: number): number {
  return (performance.now() - began) / 1000;
}

/**
 * Tells the seconds since it was made, less what the system took of them: a first pass is given memory, which those after it find there.
 * Not of a device that works by itself, while the processor waits.
 */
export function stopwatch({ programs }: Job): () => number {
  const began = performance.now();
  const before = process.cpuUsage();
  return () => {
    const seconds = secondsSince(began);
    if (programs[0]!.memory.device !== undefined) return seconds;
    const { user, system } = process.cpuUsage(before);
    return (seconds * user) / Math.max(1, user + system);
  };
}
