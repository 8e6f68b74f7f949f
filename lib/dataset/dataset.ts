/** A data folder as a source of slices: indexed at once, decoded case by case when read, off the JS thread. */
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { relative, resolve } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { TracinError, throwIfAborted } from '../errors';
import { fileError } from '../files';
import { anyPath, check, list, mapping, text, whole } from '../kinds';
import type { Affine } from './affine';
import type { WriteRequest } from './case-worker';
import type { Frame } from './frame';
import { ENDINGS } from './image-file';
import type { DataLayout } from './layouts';
import type { SliceBatch, SliceCache, SliceId, SliceSource } from './slices';
import { allOf, openStore, unknownCase, type DatasetOptions, type Entry, type Store } from './store';

export { describeLayout, type DataLayout } from './layouts';
export type { DatasetOptions } from './store';

/** A case of a data set, and whether it has labels. */
export interface CaseInfo {
  readonly case: string;
  readonly patient: string;
  readonly labelled: boolean;
}

/** Where a case's images lie in its volume and in the world. */
export interface Geometry {
  /** Voxels along x, y, z. */
  readonly shape: readonly [number, number, number];
  /** Voxel to RAS millimetres, 4 × 4 row-major; undefined for images that lie in no world (PNG). */
  readonly affine: Affine | undefined;
  readonly frame: Frame;
}

/** Bytes copied between two turns of the event loop. */
const COPY_STEP = 8 << 20;

/**
 * Opens a data folder of any known layout. It lists the folders and reads the headers; of the voxels only segmentations, where slices are chosen by them.
 * @throws ERR_TRACIN_DATA naming case and file: no known layout or several, a missing modality, files of one case on different grids,
 *   a bad header, an unknown label, no slice left; ERR_TRACIN_USAGE on options that cannot be meant
 */
export async function openDataset(options: DatasetOptions): Promise<Dataset> {
  const store = await openStore(options);
  try {
    return new Dataset(store, [...store.entries.keys()]);
  } catch (error) {
    await store.workers.close();
    throw error;
  }
}

/** Slices of a data folder or of some of its cases. */
export class Dataset implements SliceSource {
  /** How the folder was understood: {@link describeLayout} says it to people. */
  readonly layout: DataLayout;
  readonly classes: readonly string[];
  readonly modalities: readonly string[];
  /** [H, W] */
  readonly size: readonly [number, number];
  readonly cases: readonly CaseInfo[];
  readonly slices: readonly SliceId[];
  /** Whether every case has a segmentation. */
  readonly labelled: boolean;
  readonly #store: Store;
  /** Where each position of `slices` lies among its case's chosen slices. */
  readonly #within: readonly number[];
  #closed = false;

  /** Use {@link openDataset}. */
  constructor(store: Store, names: readonly string[]) {
    const entries = names.map((name) => store.entries.get(name) ?? unknownCase(name, store.dir));
    if (entries.length === 0)
      throw new TracinError('ERR_TRACIN_DATA', `${store.dir}: no case is named: the split is empty, name at least one case`);
    this.#store = store;
    this.layout = store.layout;
    this.classes = store.layout.classes.map((one) => one.name);
    this.modalities = store.layout.modalities.map((one) => one.name);
    this.size = store.size;
    this.cases = entries.map(({ files }) => ({ case: files.case, patient: files.patient, labelled: files.segmentation !== undefined }));
    this.slices = entries.flatMap(({ files, slices }) => slices.map((index) => ({ case: files.case, patient: files.patient, index })));
    this.#within = entries.flatMap(({ slices }) => slices.map((_, i) => i));
    this.labelled = this.cases.every((one) => one.labelled);
    if (this.slices.length === 0) {
      throw new TracinError(
        'ERR_TRACIN_DATA',
        `${store.dir}: no slice of ${names.length} cases has enough labelled tumour: ask for fewer voxels or other slices`,
      );
    }
    store.users++;
  }

  /**
   * The dataset of some cases, in that order, sharing the decoded slices and the workers with this one.
   * @throws ERR_TRACIN_DATA when `cases` is empty or names one that this dataset does not have
   */
  subset(cases: readonly string[]): Dataset {
    check('subset', { cases }, { cases: list(text) });
    const own = new Set(this.cases.map((one) => one.case));
    return new Dataset(
      this.#store,
      [...new Set(cases)].map((name) => (own.has(name) ? name : unknownCase(name, this.#store.dir))),
    );
  }

  /** Images and segmentations of its cases. */
  get files(): readonly string[] {
    return this.cases.flatMap(({ case: name }) => {
      const { images, segmentation } = this.#entry(name).files;
      return [...images.map(({ path }) => path), ...(segmentation === undefined ? [] : [segmentation])];
    });
  }

  get cache(): SliceCache {
    return this.#store.cache;
  }

  /**
   * Images and labels of the slices at these positions of `slices`, in that order; labels where every case among them has some.
   * @throws ERR_TRACIN_USAGE a position there is not, or a dataset that is closed; ERR_TRACIN_DATA a file that cannot be decoded or has changed;
   *   ERR_TRACIN_IO one that is gone; ERR_TRACIN_ABORTED
   */
  async read(positions: readonly number[], { signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<SliceBatch> {
    check('read', { positions }, { positions: list(whole(0)) });
    throwIfAborted(signal);
    if (this.#closed) throw new TracinError('ERR_TRACIN_USAGE', `${this.#store.dir}: the dataset is closed`);
    const area = this.size[0] * this.size[1];
    const block = this.modalities.length * area;
    const wanted = new Map<string, { to: number; within: number }[]>();
    positions.forEach((position, to) => {
      const slice = this.slices[position];
      if (!slice) throw new TracinError('ERR_TRACIN_USAGE', `slice ${position} is asked for but there are ${this.slices.length}`);
      const places = wanted.get(slice.case) ?? [];
      places.push({ to, within: this.#within[position]! });
      wanted.set(slice.case, places);
    });
    const labelled = [...wanted.keys()].every((name) => this.#entry(name).files.segmentation !== undefined);
    const images = new Float32Array(positions.length * block);
    const labels = labelled ? new Uint8Array(positions.length * area) : undefined;
    const decodings = [...wanted].flatMap(([name, places]) => this.#entry(name).decodings.map((decoding) => ({ decoding, places })));
    let copied = 0;
    await allOf(signal, (own) =>
      decodings
        .filter(({ decoding }) => labels ?? decoding.method === 'images')
        .map(async ({ decoding, places }) => {
          for (const [i, slices] of (await this.#store.cache.get(decoding, own)).entries()) {
            for (const { to, within } of places) {
              const slice = slices.subarray(within * area, (within + 1) * area);
              if (decoding.method === 'labels') labels!.set(slice, to * area);
              else images.set(slice, to * block + decoding.modalities[i]! * area);
              copied += slice.byteLength;
              if (copied > COPY_STEP) {
                copied = 0;
                await setImmediate();
              }
            }
          }
        }),
    );
    return { images, labels };
  }

  /** Grid and window of a case. @throws ERR_TRACIN_DATA for a case that is not in the folder */
  geometry(caseName: string): Geometry {
    const { header, frame } = this.#entry(caseName);
    return { shape: header.shape, affine: header.affine, frame };
  }

  /** Endings of the files that {@link writeLabels} and {@link writeMap} write for a case. @throws as {@link geometry} */
  endings(caseName: string): { readonly labels: string; readonly map: string } {
    return ENDINGS[this.#entry(caseName).header.format];
  }

  /**
   * Writes labels with the numbers that the data's own label files have, on the exact grid of the case's first modality. A volume keeps
   * shape, voxel sizes, units, qform and sform with their codes; a PNG gives a PNG. Slices not given, and voxels outside the window, are 0.
   * @param path with the ending that {@link endings} says, or .nii
   * @param perSlice slice index → labels [H, W] in 0..K
   * @throws ERR_TRACIN_USAGE an image that does not fit the window, or a slice the volume has not; ERR_TRACIN_DATA an unknown case; ERR_TRACIN_IO
   */
  async writeLabels(caseName: string, path: string, perSlice: ReadonlyMap<number, Uint8Array>): Promise<void> {
    await this.#write(caseName, path, perSlice, (images) => ({ labels: images }));
  }

  /** Writes a float32 volume as {@link writeLabels} does, of a PNG an .npy [H, W]; maps are [H, W] of the window. @throws as {@link writeLabels} */
  async writeMap(caseName: string, path: string, perSlice: ReadonlyMap<number, Float32Array>): Promise<void> {
    await this.#write(caseName, path, perSlice, (images) => ({ map: images }));
  }

  async #write<A extends Uint8Array | Float32Array>(
    caseName: string,
    path: string,
    perSlice: ReadonlyMap<number, A>,
    named: (images: ReadonlyMap<number, A>) => WriteRequest['images'],
  ): Promise<void> {
    check('write', { caseName, path, perSlice }, { caseName: text, path: anyPath, perSlice: mapping });
    const { header, frame } = this.#entry(caseName);
    for (const [z, image] of perSlice) {
      if (!(z >= 0 && z < header.shape[2]) || image.length !== frame.size[0] * frame.size[1]) {
        throw new TracinError(
          'ERR_TRACIN_USAGE',
          `${caseName}: slice ${z} with ${image.length} pixels does not fit ${header.shape[2]} slices of ${frame.size.join(' × ')}`,
        );
      }
    }
    // A view would take its whole buffer along to the worker.
    const images = named(new Map([...perSlice].map(([z, image]) => [z, image.slice() as A])));
    const request: WriteRequest = { path: resolve(path), source: header, frame, images, classes: this.layout.classes };
    await this.#store.workers.call('write', request);
  }

  #entry(caseName: string): Entry {
    return this.#store.entries.get(caseName) ?? unknownCase(caseName, this.#store.dir);
  }

  /** As {@link SliceSource.fingerprint}. @throws ERR_TRACIN_IO for a file that is gone */
  async fingerprint(): Promise<string> {
    const { dir, layout, normalisation } = this.#store;
    const hash = createHash('sha256');
    hash.update(JSON.stringify({ normalisation, layout }));
    for (const { case: name } of this.cases) {
      const { files, frame, slices } = this.#entry(name);
      const paths = [...files.images.map((image) => image.path), ...(files.segmentation === undefined ? [] : [files.segmentation])];
      const states = await Promise.all(paths.map(async (path) => fileState(path, dir)));
      const channels = files.images.map((image) => image.channel);
      hash.update(JSON.stringify({ name, frame, slices, states, channels }));
    }
    return hash.digest('hex');
  }

  /** Ends the workers once every dataset that shares them is closed. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (--this.#store.users === 0) await this.#store.workers.close();
  }
}

async function fileState(path: string, dir: string): Promise<[string, number, number]> {
  const { size, mtimeMs } = await stat(path).catch((error: unknown) => {
    throw fileError(error, 'read', path);
  });
  return [relative(dir, path), size, mtimeMs];
}
