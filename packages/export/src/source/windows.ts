import { FtError, sizeOf, windowElements } from "@ft/tensor";
import type { ExportSource, SourceTensor } from "./export-source.ts";

/** The values of a tensor in f32, in pieces of a few million, as a writer takes them. */
export async function* windows(
  source: ExportSource,
  { name, shape }: Pick<SourceTensor, "name" | "shape">,
  signal?: AbortSignal,
): AsyncGenerator<Float32Array<ArrayBuffer>, void, void> {
  const size = sizeOf(shape);
  for (let start = 0; start < size; start += windowElements) {
    signal?.throwIfAborted();
    yield await source.readWindow(name, start, Math.min(windowElements, size - start));
  }
}

/** `count` of a tensor's values from the flat index `start` on. Code "shape" where they do not lie within it. */
export function windowOf(
  values: Float32Array<ArrayBuffer>,
  name: string,
  start: number,
  count: number,
): Float32Array<ArrayBuffer> {
  if (start < 0 || count < 0 || start + count > values.length)
    throw new FtError(
      "shape",
      `[export] ${count} values from ${start} on do not lie within "${name}" of ${values.length} values`,
      "ask for a window inside the tensor",
    );
  return values.slice(start, start + count);
}
