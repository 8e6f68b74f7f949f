/** Slices that come as numpy arrays: images float32 [N, M, H, W], labels uint8 [N, H, W]. A case, and a patient, is a row number. */
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { TracinError, throwIfAborted } from '../errors';
import { firstNotFinite } from '../finite';
import { CALL, anyPath, check, list, oneOf, optional, text, type Kinds } from '../kinds';
import type { NpyFile, NpyType } from '../npy';
import { openArrayFile } from '../npz';
import type { SliceBatch, SliceId, SliceSource } from './slices';

/** Files of numpy arrays to be read as slices: images [N, M, H, W], labels [N, H, W]. */
export interface ArraysOptions {
  /** .npy, or .npz (its array `images`, or `FILE.npz#NAME`), float32 [N, M, H, W], already normalised. */
  readonly images: string;
  /** .npy, or .npz (its array `labels`, or `FILE.npz#NAME`), uint8 [N, H, W] in 0..K. */
  readonly labels?: string | undefined;
  /** Names of labels 1..K; default their numbers, up to the largest label that occurs (none without labels). */
  readonly classes?: readonly string[] | undefined;
  /** What the slices are for; said in messages. */
  readonly role?: 'train' | 'test' | undefined;
  readonly signal?: AbortSignal | undefined;
}

const OPTIONS: Kinds<ArraysOptions> = {
  signal: CALL.signal,
  images: anyPath,
  labels: optional(anyPath),
  classes: optional(list(text)),
  role: optional(oneOf(['train', 'test'])),
};

const NUMPY_NAMES: Record<NpyType, string> = {
  f4: 'float32', f8: 'float64', i1: 'int8', i2: 'int16', i4: 'int32', i8: 'int64', u1: 'uint8', u2: 'uint16', u4: 'uint32', u8: 'uint64', b1: 'bool',
}; // prettier-ignore

/** Bytes looked at between two turns of the event loop. */
const STEP = 4 << 20;

/**
 * Opens the arrays without loading them; rows are read when asked for. Labels are looked through once.
 * @throws ERR_TRACIN_DATA naming the file: element types, numbers of axes or N, H, W that do not fit, a label above K (when opened),
 *   a NaN or infinite pixel (when read)
 */
export async function openArrays(options: ArraysOptions): Promise<SliceSource> {
  check('openArrays', options, OPTIONS);
  const role = options.role ? `${options.role} ` : '';
  const images = await openArray(options.images, `${role}images`, 'images', 'f4', ['N', 'M', 'H', 'W']);
  let labels: NpyFile | undefined;
  try {
    if (options.labels !== undefined) {
      labels = await openArray(options.labels, `${role}labels`, 'labels', 'u1', ['N', 'H', 'W']);
      const expected = [images.shape[0]!, images.shape[2]!, images.shape[3]!];
      if (labels.shape.some((n, axis) => n !== expected[axis])) {
        throw new TracinError(
          'ERR_TRACIN_DATA',
          `${labels.path}: shape (${labels.shape.join(', ')}) of the ${role}labels does not fit (${images.shape.join(', ')}) of ${images.path}: N, H, W must be the same`,
        );
      }
    }
    const largest = labels && (await largestLabel(labels, options.classes?.length ?? 255, options.signal));
    const classes = options.classes ?? Array.from({ length: largest ?? 0 }, (_, i) => String(i + 1));
    return new Arrays(images, labels, classes);
  } catch (error) {
    await Promise.all([images.close(), labels?.close()]);
    throw error;
  }
}

async function openArray(path: string, what: string, name: string, dtype: NpyType, axes: readonly string[]): Promise<NpyFile> {
  const file = await openArrayFile(path, name);
  const wrong = ((): string | undefined => {
    const name = NUMPY_NAMES[dtype];
    if (file.dtype !== dtype) return `the ${what} are ${NUMPY_NAMES[file.dtype]}: save them as ${name}, array.astype('${name}')`;
    if (file.shape.length !== axes.length) return `the ${what} have shape (${file.shape.join(', ')}): give [${axes.join(', ')}]`;
    if (file.shape.includes(0)) return `the ${what} have shape (${file.shape.join(', ')}): no axis may be empty`;
    return undefined;
  })();
  if (wrong === undefined) return file;
  await file.close();
  throw new TracinError('ERR_TRACIN_DATA', `${file.path}: ${wrong}`);
}

/** The largest label; one above `most` is an error that names its row. */
async function largestLabel(labels: NpyFile, most: number, signal: AbortSignal | undefined): Promise<number> {
  const area = labels.shape[1]! * labels.shape[2]!;
  const rows = Math.max(1, Math.floor(STEP / area));
  let largest = 0;
  for (let start = 0; start < labels.shape[0]!; start += rows) {
    throwIfAborted(signal);
    const block = await labels.read(start, Math.min(start + rows, labels.shape[0]!));
    for (let i = 0; i < block.length; i++) {
      const label = block[i] as number;
      if (label <= largest) continue;
      if (label > most) {
        throw new TracinError(
          'ERR_TRACIN_DATA',
          `${labels.path}: row ${start + Math.floor(i / area)} has label ${label} but there are ${most} classes: renumber it or name more classes`,
        );
      }
      largest = label;
    }
  }
  return largest;
}

class Arrays implements SliceSource {
  readonly classes: readonly string[];
  readonly modalities: readonly string[];
  readonly size: readonly number[];
  readonly slices: readonly SliceId[];
  readonly labelled: boolean;
  readonly files: readonly string[];
  readonly #images: NpyFile;
  readonly #labels: NpyFile | undefined;

  constructor(images: NpyFile, labels: NpyFile | undefined, classes: readonly string[]) {
    const [n, m, h, w] = images.shape as [number, number, number, number];
    this.#images = images;
    this.#labels = labels;
    this.classes = classes;
    this.modalities = Array.from({ length: m }, (_, i) => String(i + 1));
    this.size = [h, w];
    this.slices = Array.from({ length: n }, (_, row) => ({ case: String(row), patient: String(row), index: 0 }));
    this.labelled = labels !== undefined;
    this.files = [images, ...(labels ? [labels] : [])].map(({ path }) => resolve(path));
  }

  async read(positions: readonly number[], { signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<SliceBatch> {
    const area = this.size[0]! * this.size[1]!;
    const block = this.modalities.length * area;
    const images = new Float32Array(positions.length * block);
    const labels = this.#labels && new Uint8Array(positions.length * area);
    for (const [to, row] of positions.entries()) {
      throwIfAborted(signal);
      const image = (await this.#images.read(row, row + 1)) as Float32Array;
      await this.#assertFinite(image, row);
      images.set(image, to * block);
      if (labels) labels.set((await this.#labels.read(row, row + 1)) as Uint8Array, to * area);
    }
    return { images, labels };
  }

  async #assertFinite(image: Float32Array, row: number): Promise<void> {
    for (let start = 0; start < image.length; start += STEP) {
      const at = firstNotFinite(image, start, Math.min(start + STEP, image.length));
      if (at >= 0) {
        const [, m, h, w] = this.#images.shape as [number, number, number, number];
        const place = [row, Math.floor(at / (h * w)) % m, Math.floor(at / w) % h, at % w];
        throw new TracinError(
          'ERR_TRACIN_DATA',
          `${this.#images.path}: pixel [${place.join(', ')}] is ${image[at]}: replace NaN and infinite pixels`,
        );
      }
      if (start + STEP <= image.length) await setImmediate();
    }
  }

  async fingerprint(): Promise<string> {
    const state = async (file: NpyFile | undefined): Promise<unknown> => {
      if (!file) return null;
      const { size, mtimeMs } = await stat(file.file);
      return [basename(file.path), size, mtimeMs];
    };
    const content = { layout: 'arrays', classes: this.classes, images: await state(this.#images), labels: await state(this.#labels) };
    return createHash('sha256').update(JSON.stringify(content)).digest('hex');
  }

  async close(): Promise<void> {
    await Promise.all([this.#images.close(), this.#labels?.close()]);
  }
}
