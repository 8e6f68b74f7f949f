/** The pictures of a report: each is in it once, however often it is shown. */
import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { Dataset } from '../dataset/dataset';
import type { SliceBatch, SliceSource } from '../dataset/slices';
import { TracinError } from '../errors';
import type { RegionAxis } from '../influence/folder';
import { AS_STORED, orientationOf, upright, type Orientation } from './orientation';
import { outlinePath } from './outline';
import { drawMapLayer, drawPicture, type Picture } from './picture';

export class Album {
  readonly pictures: Picture[] = [];
  /** By the digest of what they show: cases of several sources may have the same names, and sources of several studies the same slices. */
  readonly #known = new Map<string, number>();

  /** Slices of a source, drawn into this album. */
  shelf(source: SliceSource): Shelf {
    return new Shelf(this, source);
  }

  /** Place of a picture in {@link pictures}; added when it is new. */
  async place(picture: Picture): Promise<number> {
    await setImmediate();
    const key = createHash('sha256').update(JSON.stringify(picture)).digest('base64');
    const place = this.#known.get(key) ?? this.pictures.push(picture) - 1;
    this.#known.set(key, place);
    return place;
  }
}

/** One source of slices, looked up by case and slice. */
export class Shelf {
  readonly #album: Album;
  readonly #source: SliceSource;
  readonly #positions: ReadonlyMap<string, number>;
  /** Places of the slices drawn so far. */
  readonly #drawn = new Map<string, number>();

  constructor(album: Album, source: SliceSource) {
    this.#album = album;
    this.#source = source;
    this.#positions = positionsOf(source);
  }

  get modalities(): readonly string[] {
    return this.#source.modalities;
  }

  /** @throws ERR_TRACIN_DATA when the source does not have the slice */
  async read({ case: name, index }: RegionAxis['slices'][number]): Promise<SliceBatch> {
    const position = this.#positions.get(`${index} ${name}`);
    if (position === undefined)
      throw new TracinError(
        'ERR_TRACIN_DATA',
        `case ${name}, slice ${index} of the study is not in the data: open what the study was computed from`,
      );
    return this.#source.read([position]);
  }

  async draw(slice: RegionAxis['slices'][number], modality: string): Promise<number> {
    const key = `${slice.index} ${modality} ${slice.case}`;
    const drawn = this.#drawn.get(key);
    if (drawn !== undefined) return drawn;
    const { images } = await this.read(slice);
    const orientation = this.#orientation(slice.case);
    const place = await this.#album.place(await drawPicture(images, this.#source.size, this.modalities.indexOf(modality), orientation));
    this.#drawn.set(key, place);
    return place;
  }

  /** A map [H, W] over a slice of a case. */
  async drawMap(caseName: string, map: Float32Array): Promise<number> {
    return this.#album.place(await drawMapLayer(map, this.#source.size, this.#orientation(caseName)));
  }

  /** SVG paths of labels 1..K of a slice, [K], on its picture. */
  outlines(caseName: string, labels: Uint8Array, classes: number): string[] {
    const { data, width, height } = upright(labels, this.#source.size, this.#orientation(caseName));
    return Array.from({ length: classes }, (_, k) => outlinePath(data, width, height, k + 1));
  }

  #orientation(caseName: string): Orientation {
    return sourceOrientation(this.#source, caseName);
  }
}

/** Where each slice stands in `source.slices`, by `INDEX CASE`. */
export function positionsOf(source: SliceSource): ReadonlyMap<string, number> {
  return new Map(source.slices.map((slice, position) => [`${slice.index} ${slice.case}`, position]));
}

/** Which way up the slices of a case are shown; as stored where the source knows no geometry. */
export function sourceOrientation(source: SliceSource, caseName: string): Orientation {
  const affine = source instanceof Dataset ? source.geometry(caseName).affine : undefined;
  return affine ? orientationOf(affine) : AS_STORED;
}
