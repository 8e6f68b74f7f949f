/** Work that is done once for each key. Where it fails, those who asked are told, and it is done anew for the next. */
export class Once<T> {
  readonly #known = new Map<string, Promise<T>>();

  get(key: string, work: () => Promise<T>): Promise<T> {
    const known = this.#known.get(key);
    if (known) return known;
    const begun = work();
    this.#known.set(key, begun);
    begun.catch(() => this.#known.delete(key)); // before any who asked is told, and may ask again
    return begun;
  }
}
