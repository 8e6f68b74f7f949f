/** What the rest of the package sees of a dataset, wherever its numbers come from (NIfTI folders, arrays). */
import { alike, anything, callback, flag, list, optional, shape, text, whole, type Kind } from '../kinds';

/** Which slice of whose volume it is. */
export interface SliceId {
  /** Folder or row name, unique in the dataset. */
  readonly case: string;
  /** Whose it is; splits and rankings by patient go by this. */
  readonly patient: string;
  /** Index along the slicing axis of the source volume (0 for arrays, whose case is the row). */
  readonly index: number;
}

/** Slices as the networks get them. */
export interface SliceBatch {
  /** [n, M, H, W], normalised. */
  readonly images: Float32Array;
  /** [n, H, W] in 0..K; absent when the source has no labels. */
  readonly labels: Uint8Array | undefined;
}

/** What decoded slices are kept in; sources out of one folder share it. */
export interface SliceCache {
  /** Keeps no more than so many bytes from now on. */
  limit(bytes: number): void;
  /** Keeps so many bytes, if not more, from now on. @returns how many it may keep */
  raise?(bytes: number): number;
}

/** Slices of one size, of which any may be read; M modalities, K classes. */
export interface SliceSource {
  /** Foreground classes in label order: label k + 1 is `classes[k]`. */
  readonly classes: readonly string[];
  readonly modalities: readonly string[];
  /** [H, W] */
  readonly size: readonly number[];
  readonly slices: readonly SliceId[];
  readonly labelled: boolean;
  /** Absolute paths of what is read; absent where slices come from no files. */
  readonly files?: readonly string[] | undefined;
  /** Absent where nothing is kept between reads. */
  readonly cache?: SliceCache | undefined;
  /**
   * Images and labels of the slices at these positions of `slices`, in that order, in memory that later reads leave alone: slices are read ahead
   * of those that are computed.
   */
  read(positions: readonly number[], options?: { readonly signal?: AbortSignal | undefined }): Promise<SliceBatch>;
  /** sha256 over what determines the numbers read: paths, sizes, modification times, normalisation, crop, slice choice. */
  fingerprint(): Promise<string>;
  /** Lets go of files and workers. */
  close(): Promise<void>;
}

/** A source of whichever make. */
export const sliceSource: Kind<SliceSource> = shape<SliceSource>(
  {
    classes: list(text),
    modalities: list(text),
    size: list(whole(1)),
    slices: alike(shape<SliceId>({ case: text, patient: text, index: whole() })),
    labelled: flag,
    files: optional(list(text)),
    cache: anything,
    read: callback,
    fingerprint: callback,
    close: callback,
  },
  'slices, as openDataset or openArrays opens them',
);

/** A case, or one slice of it. */
export const caseOrSlice: Kind<{ readonly case: string; readonly slice?: number | undefined }> = shape({
  case: text,
  slice: optional(whole(0)),
});
