import type { Backend, View } from "@ft/tensor";

/** A backend that behaves as one that records work and replays it. */
export interface Replaying {
  readonly backend: Backend;
  /** the runs so far: their keys, and the dtypes and shapes of their inputs */
  readonly calls: { readonly key: string; readonly inputs: string }[];
  /** keys that were given up */
  readonly forgotten: Set<string>;
  /** Lets go of the results of the last run, as forgetting every key would. */
  release(): void;
}

/**
 * Puts to the test what is written for Backend.graphs, on a backend that computes at once. Of a known key nothing may be
 * uploaded or read while its function runs. The results of a run are overwritten with NaN as soon as there is another that
 * does not take them.
 */
export function replaying(base: Backend): Replaying {
  const calls: Replaying["calls"] = [];
  const known = new Set<string>();
  const forgotten = new Set<string>();
  let inside = false;
  let given: View[] = [];
  const release = (): void => {
    for (const view of given.splice(0)) view.storage.release();
  };
  const outside = <A extends readonly unknown[], R>(fn: (...args: A) => R): ((...args: A) => R) => {
    return (...args) => {
      if (inside) throw new Error("what is recorded exchanges values with the host");
      return fn(...args);
    };
  };
  const { adopt, park } = base;
  const backend: Backend = {
    ...base,
    write: outside(base.write),
    read: outside(base.read),
    ...(adopt && { adopt: outside(adopt) }),
    ...(park && { park }),
    graphs: {
      run(key, inputs, fn) {
        if (forgotten.has(key)) throw new Error(`${key} was forgotten`);
        for (const view of given)
          if (view.dtype === "f32" && !inputs.some(({ storage }) => storage === view.storage))
            base.primitives.fill({}, { value: Number.NaN }, view);
        release();
        calls.push({ key, inputs: inputs.map(({ dtype, shape }) => `${dtype} ${shape.join("x")}`).join(", ") });
        inside = known.has(key);
        known.add(key);
        try {
          const results = fn();
          for (const { storage } of results) storage.retain();
          given = [...results];
          return results;
        } finally {
          inside = false;
        }
      },
      forget: (key) => {
        forgotten.add(key);
      },
    },
  };
  return { backend, calls, forgotten, release };
}
