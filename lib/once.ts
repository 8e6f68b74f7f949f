/** Work that is done once for each key. Where it fails, those who asked are told, and it is done anew for the next. */
export class Once<T> {
  readonly #known = new Map<string, Promise<T>>();

  get(key: string, work: () => Promise<T>): Promise<T> {
    const known = this.#known.get(key) ?? work();
    this.#known.set(key, known);
    known.catch(() => this.#known.delete(key));
    return known;
  }
}
