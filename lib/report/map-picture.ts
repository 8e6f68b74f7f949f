/** An influence map over its slice as a PNG: what pushed in orange, what pulled in blue, the region outlined. */
import type { MapView } from '../explanation/maps';
import { array, check, list, number, object, optional, shape, text, whole } from '../kinds';
import { mapColours } from './map-colours';
import { AS_STORED, orientationOf, upright } from './orientation';
import { greys } from './picture';
import { bestSeenIn } from './slice-report';

/** The slice is dimmed, so that pale colours show on bright tissue too. */
const DIMMED = 0.7;
/** Pixels that the longer side of a picture has at least. */
const LEAST = 480;

const VIEW = shape<MapView>({
  entry: object,
  map: array('Float32Array'),
  images: array('Float32Array'),
  modalities: list(text),
  mask: array('Uint8Array'),
  size: list(whole(1)),
  class: text,
  affine: optional(list(number)),
  path: text,
});

/** Draws an influence map over its slice. @returns the bytes of a PNG, at least 480 pixels along its longer side, upright where the slice says how it lies */
export async function mapPicture(view: MapView): Promise<Uint8Array> {
  check('mapPicture', { view }, { view: VIEW });
  const { map, images, modalities, mask, size, class: name, affine } = view;
  const { encode } = await import('fast-png');
  const orientation = affine ? orientationOf(affine) : AS_STORED;
  const modality = bestSeenIn(name, modalities);
  const grey = upright(greys(images, map.length, modalities.indexOf(modality)), size, orientation);
  const values = upright(map, size, orientation).data;
  const inside = upright(mask, size, orientation).data;
  const zoom = Math.max(1, Math.ceil(LEAST / Math.max(grey.width, grey.height)));
  const [width, height] = [grey.width * zoom, Math.round(grey.height * zoom * orientation.aspect)];
  const colourOf = mapColours(map);
  const data = new Uint8Array(3 * width * height);
  const at = (x: number, y: number): number => {
    const [column, row] = [Math.floor(x / zoom), Math.floor((y * grey.height) / height)];
    return row >= 0 && row < grey.height && column >= 0 && column < grey.width ? row * grey.width + column : -1;
  };
  const isInside = (x: number, y: number): boolean => inside[at(x, y)] === 1;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = at(x, y);
      const to = 3 * (y * width + x);
      const own = isInside(x, y);
      const border = [isInside(x - 1, y), isInside(x + 1, y), isInside(x, y - 1), isInside(x, y + 1)].some((other) => other !== own);
      // A white line inside the region and a black one around it show on any grey.
      if (border) {
        data.fill(own ? 255 : 0, to, to + 3);
        continue;
      }
      const { colour, strength } = colourOf(values[from]!);
      for (let c = 0; c < 3; c++) data[to + c] = Math.round(DIMMED * grey.data[from]! * (1 - strength) + colour[c]! * strength);
    }
  }
  return encode({ width, height, data, channels: 3, depth: 8 }, { zlib: { level: 9 } });
}
