/** Two-dimensional images: `images/CASE.png` (grey or colours, 8 or 16 bit), `labels/CASE.png` (grey or indexed numbers), classes.json. */
import { join } from 'node:path';
import { TracinError } from '../../errors';
import { readImageHeader } from '../image-file';
import { classesBeside } from './classes';
import { namesIfThere } from './folder';
import type { LayoutReader } from './layout';

const COLOURS = ['red', 'green', 'blue'];

async function pngs(dir: string): Promise<string[]> {
  return [...(await namesIfThere(join(dir, 'images')))].filter((file) => file.endsWith('.png')).sort();
}

export const pngFolder: LayoutReader = {
  looksFor: 'images/CASE.png beside labels/CASE.png and classes.json',
  async matches(dir) {
    return (await pngs(dir)).length > 0;
  },
  async find(dir, given) {
    const files = await pngs(dir);
    if (files.length === 0) throw new TracinError('ERR_TRACIN_DATA', `${join(dir, 'images')}: holds no CASE.png: add the images`);
    const classes = await classesBeside(dir, given);
    const labelled = await namesIfThere(join(dir, 'labels'));
    const { channels } = await readImageHeader(join(dir, 'images', files[0]!));
    const modalities = channels === 1 ? ['grey'] : COLOURS;
    const cases = files.map((file) => {
      const name = file.slice(0, -'.png'.length);
      const path = join(dir, 'images', file);
      const segmentation = labelled.has(file) ? join(dir, 'labels', file) : undefined;
      return { case: name, patient: name, images: modalities.map((_, channel) => ({ path, channel, channels })), segmentation };
    });
    return { modalities, classes, cases };
  },
};
