/** A training slice as annotators should see it: the image, the labels it has, and what the network predicts, side by side. */
import { classColour } from '../class-colours';
import type { SliceSource } from '../dataset/slices';
import { sourceOrientation } from './album';
import { upright } from './orientation';
import { greys } from './picture';

/** Pixels of a panel's longer side, at least; every pixel of the slice becomes a square of them, so that a border of one is thin. */
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
  const [width, height] = [shown.width * scale, shown.height * scale];
  const data = new Uint8Array(width * panels.length * height * 3);
  for (const [panel, map] of panels.entries()) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const grey = shown.data[Math.floor(y / scale) * shown.width + Math.floor(x / scale)]!;
        const label = map ? borderLabel(map, shown.width, shown.height, scale, x, y) : 0;
        data.set(label > 0 ? classColour(label - 1) : [grey, grey, grey], (y * width * panels.length + panel * width + x) * 3);
      }
    }
  }
  return encode({ width: width * panels.length, height, data, channels: 3, depth: 8 });
}

/** The label that an enlarged pixel draws the border of; 0 where it lies on none. */
function borderLabel(map: Uint8Array, width: number, height: number, scale: number, x: number, y: number): number {
  const at = (u: number, v: number): number => {
    const [column, row] = [Math.floor(u / scale), Math.floor(v / scale)];
    return u < 0 || v < 0 || column >= width || row >= height ? 0 : map[row * width + column]!;
  };
  const own = at(x, y);
  return own > 0 && [at(x - 1, y), at(x + 1, y), at(x, y - 1), at(x, y + 1)].some((other) => other !== own) ? own : 0;
}
