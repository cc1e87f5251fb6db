import { FtError } from "./error.ts";

/** What a scope can own: a tensor handle. Tensors mark themselves so that other disposables pass through untouched. */
export interface Handle {
  readonly isTensor: true;
  dispose(): void;
}

let open: Set<Handle> | undefined;

/** @internal a new handle belongs to the innermost open scope */
export function track(handle: Handle): void {
  open?.add(handle);
}

/** @internal a disposed handle belongs to nobody */
export function untrack(handle: Handle): void {
  open?.delete(handle);
}

/**
 * Runs `fn` and disposes every tensor made inside it, except those in its result: a tensor, or arrays, Maps and plain
 * records of tensors. Synchronous: await before or after it, not inside.
 */
export function scope<R>(fn: () => R): R {
  const outer = open;
  const mine = new Set<Handle>();
  open = mine;
  try {
    const result = fn();
    if (result instanceof Promise)
      throw new FtError(
        "scope",
        "[scope] the function returned a promise",
        "await before or after scope(), not inside",
      );
    for (const handle of handlesIn(result)) if (mine.delete(handle)) outer?.add(handle);
    return result;
  } finally {
    open = outer;
    for (const handle of mine) handle.dispose();
  }
}

function isHandle(x: object): x is Handle {
  return "isTensor" in x && x.isTensor === true;
}

function* handlesIn(x: unknown): Generator<Handle> {
  if (typeof x !== "object" || x === null) return;
  if (isHandle(x)) yield x;
  else if (Array.isArray(x)) for (const item of x) yield* handlesIn(item);
  else if (x instanceof Map) for (const item of x.values()) yield* handlesIn(item);
  else if (Object.getPrototypeOf(x) === Object.prototype) for (const item of Object.values(x)) yield* handlesIn(item);
}
