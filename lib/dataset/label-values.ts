/** The numbers of classes in label files, against the labels 0..K in here. */
import { TracinError } from '../errors';
import type { LabelClass } from './layouts/layout';
import type { Voxels } from './nifti';

/** Data sets number their classes from 1 to a few; int16 label volumes hold no more. */
export const LARGEST_VALUE = 32_767;

/**
 * File numbers to 0..K.
 * @param voxels x fastest
 * @throws ERR_TRACIN_DATA naming the file, the value and the voxel when there is a number that no class has
 */
export function labelsOfValues(voxels: Voxels, classes: readonly LabelClass[], path: string, shape: readonly number[]): Uint8Array {
  const labels = new Uint8Array(voxels.length);
  const largest = classes.reduce((most, { value }) => Math.max(most, value), 0);
  const known = new Int16Array(largest + 1).fill(-1);
  known[0] = 0;
  classes.forEach(({ value }, k) => (known[value] = k + 1));
  for (let i = 0; i < voxels.length; i++) {
    const value = voxels[i]!;
    // Inside the table first: an index beyond its end would make every look-up slow.
    const label = value >= 0 && value <= largest ? known[value]! : -1;
    if (!(label >= 0)) {
      const voxel = [i % shape[0]!, Math.floor(i / shape[0]!) % shape[1]!, Math.floor(i / (shape[0]! * shape[1]!))];
      throw new TracinError(
        'ERR_TRACIN_DATA',
        `${path}: label ${Number(value.toPrecision(6))} at voxel (${voxel.join(', ')}) is not one of ${valueList(classes)}: renumber it or name its class`,
      );
    }
    labels[i] = label;
  }
  return labels;
}

/**
 * 0..K to file numbers.
 * @throws ERR_TRACIN_USAGE on a label above K
 */
export function valuesOfLabels(labels: Uint8Array, classes: readonly LabelClass[]): Int16Array {
  const values = [0, ...classes.map(({ value }) => value)];
  return Int16Array.from(labels, (label) => values[label] ?? unknownLabel(label, classes));
}

function unknownLabel(label: number, classes: readonly LabelClass[]): never {
  throw new TracinError(
    'ERR_TRACIN_USAGE',
    `label ${label} is none of 0 background, ${classes.map(({ name }, k) => `${k + 1} ${name}`).join(', ')}`,
  );
}

/** `0 background, 1 NCR/NET, 2 ED, 4 ET` */
export function valueList(classes: readonly LabelClass[]): string {
  return ['0 background', ...classes.map(({ value, name }) => `${value} ${name}`)].join(', ');
}
