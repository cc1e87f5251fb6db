import { dim, FtError, f32ToBf16, f32ToF16, type PrimitiveKernels, sizeOf } from "@ft/tensor";
import type { CpuBuffer, CpuView } from "../buffer.ts";
import { denseStrides, eachRun } from "./runs.ts";
import { wide } from "./wide.ts";

type Layout = Pick<PrimitiveKernels<CpuBuffer>, "cast" | "permute" | "slice" | "concat" | "gather">;

/** Kernels that move values without computing. */
export const layout: Layout = {
  cast: ({ x }, _attrs, out) => {
    const from = x.storage.buffer;
    const to = out.storage.buffer;
    if (x.dtype === out.dtype) {
      if (from !== to) to.set(from);
    } else if (out.dtype === "bool") {
      const values = wide(x);
      for (let i = 0; i < values.length; i++) to[i] = values[i] !== 0 ? 1 : 0;
    } else if (to instanceof Uint16Array) {
      const values = wide(x);
      const floats = values instanceof Float32Array ? values : new Float32Array(values);
      if (out.dtype === "bf16") f32ToBf16(floats, to);
      else f32ToF16(floats, to);
    } else to.set(wide(x)); // to an integer: towards zero
  },
  permute: ({ x }, { order }, out) => {
    const [from, to] = raw(x, out);
    const dense = denseStrides(x.shape);
    eachRun(out.shape, [order.map((axis) => dense[axis]!)], [0], (o, n, at, step) => {
      const s = step[0]!;
      if (s === 1) copyRun(from, at[0]!, to, o, n);
      else for (let i = o, j = at[0]!; i < o + n; i++, j += s) to[i] = from[j]!;
    });
  },
  slice: ({ x }, { start }, out) => {
    const [from, to] = raw(x, out);
    const strides = denseStrides(x.shape);
    const offset = start.reduce((sum, s, axis) => sum + s * strides[axis]!, 0);
    eachRun(out.shape, [strides], [offset], (o, n, at, step) => {
      if (step[0]! <= 1) copyRun(from, at[0]!, to, o, n);
      else for (let i = o, j = at[0]!; i < o + n; i++, j += step[0]!) to[i] = from[j]!;
    });
  },
  concat: ({ xs }, { axis }, out) => {
    const inner = sizeOf(out.shape.slice(axis + 1));
    const width = dim(out, axis) * inner;
    let column = 0;
    for (const x of xs) {
      const [from, to] = raw(x, out);
      const n = dim(x, axis) * inner;
      if (n === 0) continue;
      for (let i = 0, o = column; i < from.length; i += n, o += width) copyRun(from, i, to, o, n);
      column += n;
    }
  },
  gather: ({ table, index }, _attrs, out) => {
    const [from, to] = raw(table, out);
    const rows = dim(table, 0);
    const width = sizeOf(table.shape.slice(1));
    const at = index.storage.buffer;
    for (let i = 0; i < at.length; i++) {
      const row = at[i]!;
      if (row < 0 || row >= rows)
        throw new FtError(
          "data",
          `[gather] index ${row} at position ${i} of a table with ${rows} rows`,
          "check that the ids fit the table",
        );
      copyRun(from, row * width, to, i * width, width);
    }
  },
};

type Raw = Uint8Array | Uint16Array | Int32Array | Float64Array;

/** Both buffers as plain words of their element size: moving values needs no other types, and NaN payloads survive. */
function raw(x: CpuView, out: CpuView): [Raw, Raw] {
  return [rawOf(x.storage.buffer), rawOf(out.storage.buffer)];
}

function rawOf(buffer: CpuBuffer): Raw {
  if (buffer instanceof Float32Array) return new Int32Array(buffer.buffer, 0, buffer.length);
  if (buffer instanceof Int8Array) return new Uint8Array(buffer.buffer, 0, buffer.length);
  return buffer;
}

/** Below some 32 elements a loop is cheaper than making a subarray. */
function copyRun(from: Raw, at: number, to: Raw, o: number, n: number): void {
  if (n >= 32) to.set(from.subarray(at, at + n), o);
  else for (let i = 0; i < n; i++) to[o + i] = from[at + i]!;
}
