import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from "@ft/tensor";
import type { CpuView } from "../buffer.ts";

/** The array classes that arithmetic runs in: three, so that the loops stay within V8's inline caches. */
export type Wide = Float64Array<ArrayBuffer> | Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>;

/** The values to compute with: the buffer itself for f64, f32 and i32, a widened copy for the rest. */
export function wide(x: CpuView): Wide {
  const { buffer } = x.storage;
  if (buffer instanceof Float32Array || buffer instanceof Float64Array || buffer instanceof Int32Array) return buffer;
  if (buffer instanceof Uint16Array) return x.dtype === "bf16" ? bf16ToF32(buffer) : f16ToF32(buffer);
  return new Int32Array(buffer);
}

/** Where to put results for `out`: its own buffer, or an array that `narrow` then rounds into it. */
export function wideOut(out: CpuView): Wide {
  const { buffer } = out.storage;
  if (buffer instanceof Float32Array || buffer instanceof Float64Array || buffer instanceof Int32Array) return buffer;
  return buffer instanceof Uint16Array ? new Float32Array(buffer.length) : new Int32Array(buffer.length);
}

/** Rounds what was computed in `from = wideOut(out)` into `out`, once. */
export function narrow(from: Wide, out: CpuView): void {
  const { buffer } = out.storage;
  if (buffer === from) return;
  if (buffer instanceof Uint16Array && from instanceof Float32Array) {
    if (out.dtype === "bf16") f32ToBf16(from, buffer);
    else f32ToF16(from, buffer);
  } else buffer.set(from);
}

/** An immediate as an operand of one element, in the precision of the tensor it meets. */
export function immediate(value: number, beside: Wide): Wide {
  return beside instanceof Float32Array ? Float32Array.of(value) : Float64Array.of(value);
}
