/** Regions that a person painted on test slices ("explain this spot"), in place of those of the definition's rule. */
import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type { SliceId, SliceSource } from '../dataset/slices';
import { chosenSlices } from '../dataset/views';
import { sizeOf } from '../engine/layout';
import { TracinError, throwIfAborted } from '../errors';
import type { StudyFile } from './folder';
import type { Painted } from './regions';

/** Regions painted on test slices, in place of those of the definition. */
export interface PaintedRegions {
  /** Painted pixels [H, W] of a test slice as the network sees it, non-zero inside; undefined where nothing is painted. */
  pixels(slice: SliceId): Uint8Array | undefined | Promise<Uint8Array | undefined>;
  /** Name of the class whose region is painted, the others keeping theirs; when absent every class, and slices without paint are left out. */
  readonly class?: string | undefined;
  /** Where they were read from; kept in study.json. */
  readonly file?: string | undefined;
}

/** The test slices that are left, and what is painted on them. */
export interface Painting {
  readonly source: SliceSource;
  /** By position in `source.slices`. */
  readonly painted: readonly Painted[];
  readonly record: NonNullable<StudyFile['regionMask']>;
}

/**
 * Reads what is painted on every test slice.
 * @param file how study.json names the file
 * @throws ERR_TRACIN_USAGE for an unknown class; ERR_TRACIN_DATA for masks of another size, or when no test slice is painted
 */
export async function readPainting(
  regions: PaintedRegions,
  test: SliceSource,
  file: string | null,
  signal?: AbortSignal,
): Promise<Painting> {
  const name = regions.class;
  const k = name === undefined ? undefined : test.classes.indexOf(name);
  if (k === -1) throw new TracinError('ERR_TRACIN_USAGE', `region mask: unknown class ${name}: choose from ${test.classes.join(', ')}`);
  const pixels = sizeOf(test.size);
  const blank = new Uint8Array(pixels);
  const positions: number[] = [];
  const masks: Uint8Array[] = [];
  const hash = createHash('sha256');
  for (const [position, slice] of test.slices.entries()) {
    throwIfAborted(signal);
    const given = await regions.pixels(slice);
    if (given && given.length !== pixels) {
      const message = `region mask of case ${slice.case}, slice ${slice.index}: has ${given.length} pixels, the slice ${test.size.join(' × ')}`;
      throw new TracinError('ERR_TRACIN_DATA', `${message}: paint on images of the same size`);
    }
    const mask = given?.some((value) => value !== 0) ? given.map((value) => (value === 0 ? 0 : 1)) : blank;
    if (mask === blank && k === undefined) continue;
    positions.push(position);
    masks.push(mask);
    hash.update(mask);
    await setImmediate();
  }
  if (masks.every((mask) => mask === blank)) {
    throw new TracinError(
      'ERR_TRACIN_DATA',
      'region mask: no pixel of any test slice is painted: choose the case and slices it is painted on',
    );
  }
  const source = k === undefined ? chosenSlices(test, positions) : test;
  const painted = masks.map((mask): Painted => ({ mask, class: k }));
  return { source, painted, record: { file, class: name ?? null, sha256: hash.digest('hex') } };
}
