/** A source of slices seen through another: some of its slices, or other names for its classes. What determines the numbers stays the same. */
import type { SliceSource } from './slices';

/** The slices at these positions of `source.slices`, in that order; closing it closes the source. */
export function chosenSlices(source: SliceSource, positions: readonly number[]): SliceSource {
  return {
    ...fieldsOf(source),
    slices: positions.map((position) => source.slices[position]!),
    read: (rows, options) => source.read(rows.map((row) => positions[row]!), options), // prettier-ignore
  };
}

/** The same slices under other class names. */
export function withClasses(source: SliceSource, classes: readonly string[]): SliceSource {
  return { ...fieldsOf(source), classes };
}

/** Everything of a source; a class instance cannot be spread. */
function fieldsOf(source: SliceSource): SliceSource {
  const { classes, modalities, size, slices, labelled, cache } = source;
  return {
    classes,
    modalities,
    size,
    slices,
    labelled,
    cache,
    read: (positions, options) => source.read(positions, options),
    fingerprint: () => source.fingerprint(),
    close: () => source.close(),
  };
}

/** A source without slices, prepared as another. */
export function noSlices({ classes, modalities, size }: Pick<SliceSource, 'classes' | 'modalities' | 'size'>): SliceSource {
  return {
    classes,
    modalities,
    size,
    slices: [],
    labelled: true,
    read: async () => ({ images: new Float32Array(0), labels: new Uint8Array(0) }),
    fingerprint: async () => 'none',
    close: async () => undefined,
  };
}
