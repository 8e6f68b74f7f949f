/** What every layout finds: the cases with their files, the modalities in the order of the files, the classes with their numbers. */

export const LAYOUTS = ['brats', 'brats2023', 'nnunet', 'msd', 'manifest', 'png'] as const;
/** How a data folder is laid out. */
export type LayoutName = (typeof LAYOUTS)[number];

/** One modality of one case: a file, or one channel of a file that has several (fourth axis of a NIfTI, colours of a PNG). */
export interface ImageFile {
  /** Absolute. */
  readonly path: string;
  readonly channel: number;
  /** How many the file must have. */
  readonly channels: number;
}

export interface CaseFiles {
  /** Unique; names the files that are written about it. */
  readonly case: string;
  readonly patient: string;
  /** In the order of the modalities. */
  readonly images: readonly ImageFile[];
  /** Absolute. */
  readonly segmentation: string | undefined;
}

/** A foreground class and its number in label files; 0 is always the background. */
export interface LabelClass {
  readonly name: string;
  readonly value: number;
}

export interface Found {
  /** As the data names them. */
  readonly modalities: readonly string[];
  /** As the data names them. */
  readonly classes: readonly LabelClass[];
  readonly cases: readonly CaseFiles[];
}

export interface LayoutReader {
  /** Completes "looked for …". */
  readonly looksFor: string;
  /** Whether a folder (or a file) is laid out like this, from names and small files alone. */
  matches(dir: string): Promise<boolean>;
  /**
   * Lists the cases; of images at most one header is read.
   * @param classes what the caller says the numbers in the label files mean; needed where the data do not say it
   * @throws ERR_TRACIN_DATA naming file, case and field
   */
  find(dir: string, classes: readonly LabelClass[] | undefined): Promise<Found>;
}

/** One whole file. */
export function wholeFile(path: string): ImageFile {
  return { path, channel: 0, channels: 1 };
}
