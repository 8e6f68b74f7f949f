/** Which axial slices of a case are used. */
import { TracinError } from '../errors';
import { kindOf, object, type Kind } from '../kinds';

/**
 * - `all`
 * - `{ first, last }`: an axial range, both ends included (Torda et al. 2025: 90 to 99)
 * - `{ tumour: n }`: every slice with at least n labelled tumour voxels; with `spread: k`, k of those spread evenly
 */
export type SliceChoice =
  'all' | { readonly first: number; readonly last: number } | { readonly tumour: number; readonly spread?: number | undefined };

/** Its numbers are looked at by {@link assertSliceChoice}. */
export const sliceChoice: Kind<SliceChoice> = kindOf("'all', { first, last } or { tumour }", (value) => value === 'all' || !object(value));

/** Whether the choice depends on the labels. */
export function needsLabels(choice: SliceChoice): choice is { readonly tumour: number; readonly spread?: number | undefined } {
  return choice !== 'all' && 'tumour' in choice;
}

/** @throws ERR_TRACIN_USAGE on a choice that cannot be meant */
export function assertSliceChoice(choice: SliceChoice): void {
  const whole = (value: number, least: number, what: string): void => {
    if (!Number.isInteger(value) || value < least)
      throw new TracinError('ERR_TRACIN_USAGE', `slices: ${what} ${value} must be a whole number from ${least} on`);
  };
  if (choice === 'all') return;
  if (needsLabels(choice)) {
    whole(choice.tumour, 1, 'tumour');
    if (choice.spread !== undefined) whole(choice.spread, 1, 'spread');
    return;
  }
  whole(choice.first, 0, 'first');
  whole(choice.last, choice.first, 'last');
}

/**
 * The chosen slice indices of one case, rising.
 * @param depth slices of the volume; `tumour` its labelled tumour voxels slice by slice where the choice needs them
 * @throws ERR_TRACIN_DATA when a range leaves the volume or the case has no labels to choose by
 */
export function chooseSlices(choice: SliceChoice, caseName: string, depth: number, tumour: Uint32Array | undefined): number[] {
  const range = (first: number, last: number): number[] => Array.from({ length: last - first + 1 }, (_, i) => first + i);
  if (choice === 'all') return range(0, depth - 1);
  if (!needsLabels(choice)) {
    if (choice.last < depth) return range(choice.first, choice.last);
    throw new TracinError(
      'ERR_TRACIN_DATA',
      `${caseName}: slices ${choice.first} to ${choice.last} are asked for but it has 0 to ${depth - 1}: choose another range`,
    );
  }
  if (!tumour) {
    throw new TracinError('ERR_TRACIN_DATA', `${caseName}: has no segmentation to choose slices by: choose an axial range or all slices`);
  }
  const enough = range(0, depth - 1).filter((z) => tumour[z]! >= choice.tumour);
  return choice.spread === undefined ? enough : spread(enough, choice.spread);
}

/** k of the values at equal steps, the middles of k equal parts, so that neither end is preferred. */
function spread(values: readonly number[], k: number): number[] {
  if (k >= values.length) return [...values];
  return Array.from({ length: k }, (_, i) => values[Math.floor(((i + 0.5) * values.length) / k)]!);
}
