import { type Backend, putInto, readAhead, scope, type Tensor, tensor, unwritten, windowElements } from "@ft/tensor";
import { type Format4bit, quantize4bit, sumSquares } from "@ft/tensor/ops";
import { checkFinite, type HeldDType, type HostWeight } from "./host-weight.ts";

/** Codes and absmax of a weight, on the backend where they were made. */
export interface Streamed4bit {
  readonly codes: Tensor<"u8", readonly ["byte"]>;
  readonly absmax: Tensor<"f32", readonly ["block"]>;
}

/**
 * quantizeTo4bit for a backend with windows: values go there in windows while the next ones are read, and nothing comes back
 * but a sum of squares for each. Errors: "numeric".
 */
export async function quantizeStream(backend: Backend, from: HostWeight, format: Format4bit): Promise<Streamed4bit> {
  const size = from.shape[0] * from.shape[1];
  const codes = unwritten(backend, "u8", ["byte"], [Math.ceil(size / 2)]);
  const absmax = unwritten(backend, "f32", ["block"], [Math.ceil(size / format.blockSize)]);
  const squares = unwritten(backend, "f32", ["window"], [Math.ceil(size / windowElements)]);
  try {
    for await (const [start, data] of readAhead(size, (start, count) => from.read(start, count)))
      scope(() => {
        const x = tensor<HeldDType, readonly string[]>(backend, from.dtype, ["element"], [data.length], data, {
          give: true,
        });
        const made = quantize4bit(x, format);
        // windows hold whole blocks of every size
        putInto(made.codes, codes, start / 2);
        putInto(made.absmax, absmax, start / format.blockSize);
        putInto(sumSquares(x), squares, start / windowElements);
      });
    await checkWindows(from, await squares.read());
    return { codes, absmax };
  } catch (error) {
    codes.dispose();
    absmax.dispose();
    throw error;
  } finally {
    squares.dispose();
  }
}

/** Reads the windows again whose sum of squares is not finite: of NaN and infinity, and of numbers near the end of f32. */
async function checkWindows(from: HostWeight, squares: Float32Array): Promise<void> {
  const size = from.shape[0] * from.shape[1];
  for (let window = 0; window < squares.length; window++) {
    if (Number.isFinite(squares[window])) continue;
    const start = window * windowElements;
    checkFinite(from, await from.read(start, Math.min(windowElements, size - start)), start);
  }
}
