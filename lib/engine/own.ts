/** What a call was given, as it was then: its caller may have plans of their own for the arrays and objects. */

type Numbers = Float32Array | Float64Array | Uint8Array;

/** The numbers in memory of their own; not by slice(), which of a Buffer is a view. */
export function ownCopy<T extends Numbers>(array: T): T {
  const Kind = (array instanceof Uint8Array ? Uint8Array : array.constructor) as new (numbers: T | 0) => T;
  return new Kind(array.length > 0 ? array : 0); // of memory that was handed over none is left to read
}

/**
 * A batch whose labels stay as they are now, for what is checked of them is relied upon until the call ends. Its images are the caller's: they
 * are many, and whatever numbers they hold they lead nowhere.
 */
export function withOwnLabels<T extends { readonly targets: Uint8Array; readonly masks?: Uint8Array }>(batch: T): T {
  const own = { ...batch };
  for (const name of ['targets', 'masks'] as const) {
    const labels = batch[name];
    if (labels instanceof Uint8Array) Object.assign(own, { [name]: ownCopy(labels) });
  }
  return own;
}
