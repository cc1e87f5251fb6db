import type { Graphs } from "./backend.ts";
import type { DType } from "./dtype.ts";
import { FtError } from "./error.ts";
import type { Storage } from "./memory.ts";
import { scope } from "./scope.ts";
import { Tensor } from "./tensor.ts";

/** What a result is, apart from its value. */
interface Shown {
  readonly name: string;
  readonly dtype: DType;
  readonly axes: readonly string[];
}

let made = 0;

/** A function of tensors that a backend with `graphs` may record and replay; on any other it simply runs. */
export class Replay implements Disposable {
  readonly #name: string;
  #key: string;
  #places: readonly Storage[] = [];
  #results: readonly Shown[] | undefined;
  #graphs: Graphs | undefined;

  /** @param name for messages; the key is made unique */
  constructor(name: string) {
    this.#name = name;
    this.#key = `${name} ${++made}`;
  }

  /** For a function that reads or writes these tensors beside its inputs: begins anew when one has moved since the last time. */
  over(tensors: Iterable<Tensor>): this {
    const places: Storage[] = [];
    let same = true;
    for (const { view } of tensors) {
      same &&= view.storage === this.#places[places.length];
      places.push(view.storage);
    }
    same &&= places.length === this.#places.length;
    if (!same && this.#places.length > 0) {
      this.dispose();
      this.#key = `${this.#name} ${++made}`;
    }
    this.#places = places;
    return this;
  }

  /**
   * The results of `fn` by name, the same names each time. It must depend on nothing but `inputs`, which it closes over, and
   * tensors whose place never changes, or which `over` was told. Results that are `replaced` may be inputs of the next run, of
   * any Replay, which overwrites them: use them up, or copy them.
   */
  run(
    inputs: readonly Tensor[],
    fn: () => ReadonlyMap<string, Tensor>,
  ): { readonly results: Map<string, Tensor>; readonly replaced: boolean } {
    const graphs = inputs[0]?.backend.graphs;
    if (graphs === undefined) return { results: scope(() => new Map(fn())), replaced: false };
    this.#graphs = graphs;
    const views = graphs.run(
      this.#key,
      inputs.map(({ view }) => view),
      () =>
        scope(() => {
          const results = [...fn()];
          this.#results = results.map(([name, { dtype, axes }]) => ({ name, dtype, axes }));
          return results.map(([, { view }]) => {
            view.storage.retain();
            return view;
          });
        }),
    );
    const shown = this.#results;
    if (shown?.length !== views.length)
      throw new FtError(
        "backend",
        `[graphs] ${views.length} results where ${this.#key} has ${shown?.length ?? 0}`,
        "make the backend return what the function gave",
      );
    const results = new Map(shown.map(({ name, dtype, axes }, i) => [name, new Tensor(views[i]!, dtype, axes)]));
    return { results, replaced: true };
  }

  /** Gives up what was recorded. */
  dispose(): void {
    this.#graphs?.forget?.(this.#key);
    this.#graphs = undefined;
  }
  [Symbol.dispose](): void {
    this.dispose();
  }
}
