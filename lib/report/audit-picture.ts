/** A training slice as annotators should see it: the image, the labels it has, and what the network predicts, side by side. */
import { classColour } from '../class-colours';
import type { SliceSource } from '../dataset/slices';
import { sourceOrientation } from './album';
import { upright } from './orientation';
import { greys } from './picture';

/** Pixels of a panel's longer side, at least; every pixel of the slice becomes a block of them, so that a border of one is thin. */
const PANEL = 384;

/**
 * @param position in `source.slices`
 * @param modality which of the source's
 * @param predicted [H, W] in 0..K, where it is known
 * @returns a PNG
 */
export async function drawAuditSlice(source: SliceSource, position: number, modality: number, predicted?: Uint8Array): Promise<Uint8Array> {
  const { encode } = await import('fast-png');
  const { images, labels } = await source.read([position]);
  const { size } = source;
  const orientation = sourceOrientation(source, source.slices[position]!.case);
  const shown = upright(greys(images, size[0]! * size[1]!, modality), size, orientation);
  const panels = [undefined, labels, ...(predicted ? [predicted] : [])].map((map) => map && upright(map, size, orientation).data);
  const scale = Math.max(2, Math.ceil(PANEL / Math.max(shown.width, shown.height)));
  const [width, height] = [shown.width * scale, Math.round(shown.height * scale * orientation.aspect)];
  const pixelAt = (x: number, y: number): number => Math.floor((y * shown.height) / height) * shown.width + Math.floor(x / scale);
  const data = new Uint8Array(width * panels.length * height * 3);
  for (const [panel, map] of panels.entries()) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const grey = shown.data[pixelAt(x, y)]!;
        const labelAt = (u: number, v: number): number => (u < 0 || v < 0 || u >= width || v >= height ? 0 : map![pixelAt(u, v)]!);
        const label = map ? borderLabel(labelAt, x, y) : 0;
        data.set(label > 0 ? classColour(label - 1) : [grey, grey, grey], (y * width * panels.length + panel * width + x) * 3);
      }
    }
  }
  return encode({ width: width * panels.length, height, data, channels: 3, depth: 8 });
}

/** The label that an enlarged pixel draws the border of; 0 where it lies on none. */
function borderLabel(labelAt: (x: number, y: number) => number, x: number, y: number): number {
  const own = labelAt(x, y);
  return own > 0 && [labelAt(x - 1, y), labelAt(x + 1, y), labelAt(x, y - 1), labelAt(x, y + 1)].some((other) => other !== own) ? own : 0;
}
