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

/** windowOf for code that has asked hasWindows before. */
function windowIn<D extends DType>(x: Tensor<D>, start: number, count: number): Tensor<D, readonly ["element"]> {
  const window = windowOf(x, start, count);
  if (window) return window;
  throw new FtError("unsupported", `[window] ${x} has no windows`, "ask hasWindows(backend) first");
}

/** Host values over the row-major elements of `to` from `start` on. */
export function writeInto<D extends DType>(data: DataOf[D], to: Tensor<D>, start: number): void {
  const window = windowIn(to, start, data.length);
  const { storage } = window.view;
  storage.backend.write(storage.buffer, storage.spec, data);
  window.dispose();
}

/** All values of `from`, as the dtype of `to`, over the row-major elements of `to` from `start` on. */
export function putInto(from: Tensor, to: Tensor, start: number): void {
  const window = windowIn(to, start, sizeOf(from.shape));
  const target = window.view;
  target.storage.backend.primitives.cast({ x: { ...from.view, shape: target.shape } }, {}, target);
  window.dispose();
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
