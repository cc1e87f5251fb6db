import { type DType, sizeOf } from "./dtype.ts";
import { FtError } from "./error.ts";
import { Storage } from "./memory.ts";
import { Tensor } from "./tensor.ts";

/**
 * The row-major elements [start, start + count) of `x`, over its own memory: what a donating op writes into the window is
 * in `x`. For code that changes a large tensor piece by piece and is its only holder; undefined where the backend has
 * no such parts.
 */
export function windowOf<D extends DType>(
  x: Tensor<D>,
  start: number,
  count: number,
): Tensor<D, readonly ["element"]> | undefined {
  const { storage } = x.view;
  const { backend } = storage;
  if (!backend.mutable || backend.part === undefined) return undefined;
  if (!(start >= 0 && count >= 0 && start + count <= sizeOf(x.shape)))
    throw new FtError("shape", `[windowOf] ${count} elements from ${start} on of ${x}`, "stay inside the tensor");
  const spec = { dtype: x.dtype, shape: [count] };
  const buffer = backend.part(storage.buffer, storage.spec, start, count);
  const view = { storage: new Storage(backend, spec, false, undefined, { of: storage, buffer }), ...spec };
  return new Tensor(view, x.dtype, ["element"]);
}

/** Copies the values of `from` over those of `to`, of equal dtype and size, unless both are the same memory. */
export function copyInto(from: Tensor, to: Tensor): void {
  const [source, target] = [from.view, to.view];
  if (source.storage === target.storage) return;
  if (source.dtype !== target.dtype || sizeOf(source.shape) !== sizeOf(target.shape))
    throw new FtError("shape", `[copyInto] ${from} to ${to}`, "copy between tensors of one dtype and size");
  target.storage.backend.primitives.cast({ x: { ...source, shape: target.shape } }, {}, target);
}
