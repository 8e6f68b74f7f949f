/** A slice of one modality as a PNG in the page itself. */
import { mapColours } from './map-colours';
import { upright, type Edges, type Orientation, type Upright } from './orientation';

/** A slice of one modality as an image. */
export interface Picture {
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  /** Height of a pixel over its width. */
  readonly aspect: number;
  /** Undefined where the slice is shown as stored. */
  readonly edges: Edges | undefined;
  /** data:image/png;base64,… */
  readonly png: string;
}

/** Shares of the tissue's pixels that are shown black and white. */
const WINDOW = { black: 0.01, white: 0.985 };

/**
 * @param images [M, H, W], normalised
 * @param modality which of the M
 */
export async function drawPicture(
  images: Float32Array,
  size: readonly number[],
  modality: number,
  orientation: Orientation,
): Promise<Picture> {
  return pictured(upright(greys(images, size[0]! * size[1]!, modality), size, orientation), 1, orientation);
}

/** An influence map [H, W] as a layer over its slice, clear where nothing pushed or pulled. */
export async function drawMapLayer(map: Float32Array, size: readonly number[], orientation: Orientation): Promise<Picture> {
  const colourOf = mapColours(map);
  const { width, height, data: values } = upright(map, size, orientation);
  const data = new Uint8Array(4 * values.length);
  values.forEach((value, i) => {
    const { colour, strength } = colourOf(value);
    if (strength > 0) data.set([...colour, Math.round(255 * strength)], 4 * i);
  });
  return pictured({ width, height, data }, 4, orientation);
}

async function pictured({ width, height, data }: Upright<Uint8Array>, channels: 1 | 4, { aspect, edges }: Orientation): Promise<Picture> {
  const { encode } = await import('fast-png');
  const png = encode({ width, height, data, channels, depth: 8 }, { zlib: { level: 9 } });
  return { width, height, aspect, edges, png: `data:image/png;base64,${Buffer.from(png).toString('base64')}` };
}

/** [H, W]: 0 black to 255 white over the window of the slice's own tissue. What is one same number in every modality is outside of it, and black. */
export function greys(images: Float32Array, pixels: number, modality: number): Uint8Array {
  const image = images.subarray(modality * pixels, (modality + 1) * pixels);
  const tissue = Uint8Array.from({ length: pixels }, (_, i) => Number(!isOutside(images, pixels, i)));
  const values = image.filter((_, i) => tissue[i] === 1).sort();
  const at = (share: number): number => values[Math.round(share * (values.length - 1))] ?? 0;
  const [black, white] = [at(WINDOW.black), at(WINDOW.white)];
  const scale = white > black ? 255 / (white - black) : 0;
  return Uint8Array.from(image, (value, i) => (tissue[i] === 1 ? Math.min(255, Math.max(0, Math.round((value - black) * scale))) : 0));
}

/** Skull-stripped background is 0 (or −1) after normalisation, in all modalities alike. */
function isOutside(images: Float32Array, pixels: number, i: number): boolean {
  const first = images[i]!;
  if (first !== 0 && first !== -1) return false;
  for (let at = i; at < images.length; at += pixels) if (images[at] !== first) return false;
  return true;
}
