import type { View } from "./backend.ts";

/**
 * An output that is made again when a backward first reads it, instead of being kept since the forward. Those who will
 * read it hold it; the last to let go frees it, and may take its buffer over.
 */
export class Remake {
  readonly #make: () => View;
  #holders = 0;
  #view: View | undefined;

  /** @param make gives the value again, with one reference to its storage */
  constructor(make: () => View) {
    this.#make = make;
  }

  retain(): void {
    this.#holders++;
    this.#view?.storage.retain();
  }

  release(): void {
    this.#holders--;
    this.#view?.storage.release();
  }

  view(): View {
    if (this.#view === undefined) {
      this.#view = this.#make();
      for (let i = 1; i < this.#holders; i++) this.#view.storage.retain();
    }
    return this.#view;
  }
}
