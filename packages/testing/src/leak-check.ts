import { type Backend, FtError, memory } from "@ft/tensor";

/** Runs `fn` and throws if it leaves more, or fewer, live buffers on the backend than there were. */
export async function leakCheck<R>(backend: Backend, fn: () => R | Promise<R>): Promise<R> {
  const before = memory(backend).live;
  const result = await fn();
  const leaked = memory(backend).live - before;
  if (leaked !== 0)
    throw new FtError(
      "numeric",
      `[leakCheck] ${Math.abs(leaked)} buffers ${leaked > 0 ? "were not disposed" : "of others were disposed"}`,
      "dispose what is returned, or work inside scope()",
    );
  return result;
}
