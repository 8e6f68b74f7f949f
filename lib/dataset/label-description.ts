/** ITK-SNAP's label description: names and colours of the numbers in label maps. */
import { join } from 'node:path';
import { classColour } from '../class-colours';
import { replaceFile } from '../files';
import type { LabelClass } from './layouts/layout';

/** Writes `labels.txt` (in ITK-SNAP: Segmentation, Import Label Descriptions) beside label maps; gives its path. */
export async function writeLabelDescription(dir: string, classes: readonly LabelClass[]): Promise<string> {
  const line = (index: number, colour: readonly number[], shown: 0 | 1, name: string): string =>
    [index, ...colour].map((n) => String(n).padStart(5)).join('') + `        ${shown}  ${shown}  ${shown}    "${name}"`;
  const lines = [
    '################################################',
    '# ITK-SnAP Label Description File',
    '# File format:',
    '# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL',
    '################################################',
    line(0, [0, 0, 0], 0, 'Clear Label'),
    ...classes.map(({ value, name }, k) => line(value, classColour(k), 1, name)),
  ];
  const path = join(dir, 'labels.txt');
  await replaceFile(path, `${lines.join('\n')}\n`);
  return path;
}
