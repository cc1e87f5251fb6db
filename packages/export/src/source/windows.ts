import { sizeOf, windowElements } from "@ft/tensor";
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
