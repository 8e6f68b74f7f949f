/** The names of the numbers in label files: `{ "background": 0, "NAME": 1, … }` in classes.json, in a manifest or as an option. */
import { join } from 'node:path';
import { TracinError } from '../../errors';
import { bratsClass, CLASSES } from '../brats';
import { LARGEST_VALUE } from '../label-values';
import { isFile, readJsonText } from './folder';
import type { LabelClass } from './layout';

/**
 * Classes by rising number, the background left out.
 * @param where names the source in the message
 * @throws ERR_TRACIN_DATA on numbers that are none, or used twice
 */
export function classesOf(numbers: Readonly<Record<string, unknown>>, where: string): LabelClass[] {
  const refuse = (what: string): TracinError => new TracinError('ERR_TRACIN_DATA', `${where}: ${what}`);
  const classes: LabelClass[] = [];
  for (const [name, value] of Object.entries(numbers)) {
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > LARGEST_VALUE) {
      throw refuse(
        `class ${name} has number ${JSON.stringify(value)}: give the whole number from 1 to ${LARGEST_VALUE} it has in the label files`,
      );
    }
    if (name.toLowerCase() === 'background' && value !== 0) throw refuse(`the background has number ${value}: it must be 0`);
    if (value > 0) classes.push({ name, value });
  }
  classes.sort((a, b) => a.value - b.value);
  const twice = classes.find(({ value }, k) => value === classes[k + 1]?.value);
  if (twice) throw refuse(`number ${twice.value} has two classes: give each class its own`);
  if (classes.length === 0) throw refuse('names no class: write {"NAME": 1}');
  if (classes.length > 255) throw refuse(`names ${classes.length} classes: at most 255 are possible`);
  return classes;
}

/**
 * Classes of data that do not number them: the caller's, else those of `classes.json` in the folder.
 * @throws ERR_TRACIN_DATA when neither says them
 */
export async function classesBeside(dir: string, given: readonly LabelClass[] | undefined): Promise<readonly LabelClass[]> {
  if (given) return given;
  const path = join(dir, 'classes.json');
  if (!(await isFile(path))) {
    throw new TracinError('ERR_TRACIN_DATA', `${path} is missing: write {"NAME": 1} with the number of each class in the label files`);
  }
  const content = await readJsonText(path);
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw new TracinError(
      'ERR_TRACIN_DATA',
      `${path}: is not an object: write {"NAME": 1} with the number of each class in the label files`,
    );
  }
  return classesOf(content as Record<string, unknown>, path);
}

/** A class under the name it has here, and the name the data give it. */
export interface NamedClass extends LabelClass {
  readonly spelled: string;
}

/** In our order and under our names where all of them are BraTS classes, else as they are by rising number. */
export function orderClasses(classes: readonly LabelClass[]): NamedClass[] {
  const known = classes.map(({ name }) => bratsClass(name));
  if (known.includes(undefined) || new Set(known).size < known.length) return classes.map((one) => ({ ...one, spelled: one.name }));
  const named = classes.map(({ name, value }, k) => ({ name: known[k]!, value, spelled: name }));
  return named.sort((a, b) => CLASSES.indexOf(a.name) - CLASSES.indexOf(b.name));
}
