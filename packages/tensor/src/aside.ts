import type { Backend, Parked, View } from "./backend.ts";
import type { Spec } from "./dtype.ts";
import { Storage } from "./memory.ts";

/** A value kept for later. */
export interface Held {
  /** The value; the holder keeps its reference. */
  view(): View;
  /** Lets go of it, exactly once. */
  drop(): void;
}

/** Keeps a value: parked, where there is a list of what is set aside and a backend that parks, else as it is. */
export function hold(view: View, aside: Aside[] | undefined): Held {
  const { storage, dtype, shape } = view;
  if (aside && storage.backend.park) {
    const parked = storage.backend.park(storage.buffer, { dtype, shape });
    return new Aside(storage.backend, { dtype, shape }, parked, aside);
  }
  storage.retain();
  return { view: () => view, drop: () => storage.release() };
}

/** A value in another memory. Those set aside come back last first: when one is asked for, the next begins to come. */
export class Aside implements Held {
  readonly #backend: Backend;
  readonly #spec: Spec;
  readonly #parked: Parked;
  readonly #order: Aside[];
  #back: View | undefined;

  constructor(backend: Backend, spec: Spec, parked: Parked, order: Aside[]) {
    this.#backend = backend;
    this.#spec = spec;
    this.#parked = parked;
    this.#order = order;
    order.push(this);
  }

  view(): View {
    const view = this.#fetch();
    this.#parked.arrive();
    this.#leave();
    const next = this.#order.at(-1);
    if (next) next.#fetch();
    return view;
  }

  #fetch(): View {
    if (this.#back === undefined) {
      const storage = new Storage(this.#backend, this.#spec);
      this.#back = { storage, ...this.#spec };
      this.#parked.fetch(storage.buffer);
    }
    return this.#back;
  }

  /** Those after it have been used already, or will not be. */
  #leave(): void {
    const at = this.#order.indexOf(this);
    if (at >= 0) this.#order.splice(at);
  }

  drop(): void {
    this.#leave();
    this.#back?.storage.release();
    this.#parked.drop();
  }
}
