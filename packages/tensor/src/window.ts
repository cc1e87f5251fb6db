import type { Backend } from "./backend.ts";
import { type DataOf, type DType, sizeOf } from "./dtype.ts";
import { FtError } from "./error.ts";
import { Storage } from "./memory.ts";
import { Tensor } from "./tensor.ts";

/** Whether tensors of a backend can be changed piece by piece. */
export function hasWindows<B>(backend: Backend<B>): backend is Backend<B> & Required<Pick<Backend<B>, "part">> {
  return backend.mutable && backend.part !== undefined;
}

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
  if (!hasWindows(backend)) return undefined;
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

/** Elements of a window of the usual size: few enough to be no burden, enough for every core. */
export const windowElements: number = 2 ** 22;

/** The values on the host, row-major, in pieces of at most `windowElements` where the backend has windows, else at once. */
export async function* readPieces<D extends DType>(x: Tensor<D>): AsyncGenerator<DataOf[D], void, undefined> {
  const size = sizeOf(x.shape);
  for (let start = 0; start < size; start += windowElements) {
    const window = windowOf(x, start, Math.min(windowElements, size - start));
    if (window === undefined) {
      yield await x.read();
      return;
    }
    try {
      yield await window.read();
    } finally {
      window.dispose();
    }
  }
}
