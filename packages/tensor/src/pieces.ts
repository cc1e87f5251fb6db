import type { Backend } from "./backend.ts";
import { type DataOf, type DType, sizeOf } from "./dtype.ts";
import { type Axes, type Tensor, tensor, unwritten } from "./tensor.ts";
import { hasWindows, windowElements, writeInto } from "./window.ts";

/** Reads under way at a time: one file read does not keep a disk busy. */
const readsAhead = 3;

/**
 * What `read` gives of `size` elements, in pieces of at most `windowElements` and in order, each with the place of its
 * first element. Some are read while earlier ones are used. However it ends, no read is left under way.
 */
export async function* readAhead<T>(
  size: number,
  read: (start: number, count: number) => Promise<T>,
): AsyncGenerator<readonly [start: number, piece: T], void, undefined> {
  const underWay: Promise<T>[] = [];
  let asked = 0;
  try {
    for (let start = 0; start < size; start += windowElements) {
      for (; underWay.length < readsAhead && asked < size; asked += windowElements) {
        const piece = read(asked, Math.min(windowElements, size - asked));
        // of one that nobody waits for any more
        piece.catch(() => {});
        underWay.push(piece);
      }
      const piece = await underWay[0]!;
      underWay.shift();
      yield [start, piece];
    }
  } finally {
    await Promise.allSettled(underWay);
  }
}

/** Whether values reach a backend in pieces: where it takes a host array over as it is, a whole one costs nothing more. */
export function takesPieces(backend: Backend): boolean {
  return hasWindows(backend) && backend.adopt === undefined;
}

/**
 * A tensor of the values that `read` gives, row-major: a backend of its own memory, such as a card's, gets them in pieces, so
 * that the host never holds the whole. The values are the backend's from then on.
 */
export async function fromPieces<D extends DType, const A extends Axes>(
  backend: Backend,
  { dtype, axes, shape }: { readonly dtype: D; readonly axes: A; readonly shape: readonly number[] },
  read: (start: number, count: number) => Promise<DataOf[D]>,
): Promise<Tensor<D, A>> {
  const size = sizeOf(shape);
  if (!takesPieces(backend)) return tensor(backend, dtype, axes, shape, await read(0, size), { give: true });
  const made = unwritten(backend, dtype, axes, shape);
  try {
    for await (const [start, data] of readAhead(size, read)) writeInto<D>(data, made, start);
    return made;
  } catch (error) {
    made.dispose();
    throw error;
  }
}
