import { dim, type PrimitiveKernels, sizeOf } from "@ft/tensor";
import type { CpuBuffer } from "../buffer.ts";
import { narrow, type Wide, wide, wideOut } from "./wide.ts";

/**
 * Products accumulate in f64, four rows or columns of `b` at a time, so that each element of the accumulator is loaded
 * and stored once for four products. About 1 GFLOP/s: the fall-back where there is no C compiler.
 */
export const matmul: PrimitiveKernels<CpuBuffer>["matmul"] = ({ a, b }, { ta, tb }, out) => {
  const m = dim(out, -2);
  const n = dim(out, -1);
  const k = dim(a, ta ? -2 : -1);
  const [from, by, y] = [wide(a), wide(b), wideOut(out)];
  const stepB = b.shape.length === 2 ? 0 : k * n;
  const row = new Float64Array(k);
  const sums = new Float64Array(n);
  const batches = sizeOf(out.shape.slice(0, -2));
  for (let batch = 0; batch < batches; batch++) {
    for (let i = 0; i < m; i++) {
      const start = batch * m * k + (ta ? i : i * k);
      for (let l = 0, at = start; l < k; l++, at += ta ? m : 1) row[l] = from[at]!;
      if (tb) dotRows(row, by, batch * stepB, sums);
      else addRows(row, by, batch * stepB, sums);
      y.set(sums, (batch * m + i) * n);
    }
  }
  narrow(y, out);
};

/** sums[j] = Σ row[l] · b[l, j] */
function addRows(row: Float64Array, b: Wide, start: number, sums: Float64Array): void {
  const k = row.length;
  const n = sums.length;
  sums.fill(0);
  let l = 0;
  for (; l + 3 < k; l += 4) {
    const [r0, r1, r2, r3] = [row[l]!, row[l + 1]!, row[l + 2]!, row[l + 3]!];
    const b0 = start + l * n;
    const b1 = b0 + n;
    const b2 = b1 + n;
    const b3 = b2 + n;
    for (let j = 0; j < n; j++) sums[j]! += r0 * b[b0 + j]! + r1 * b[b1 + j]! + r2 * b[b2 + j]! + r3 * b[b3 + j]!;
  }
  for (; l < k; l++) {
    const r = row[l]!;
    const b0 = start + l * n;
    for (let j = 0; j < n; j++) sums[j]! += r * b[b0 + j]!;
  }
}

/** sums[j] = Σ row[l] · b[j, l] */
function dotRows(row: Float64Array, b: Wide, start: number, sums: Float64Array): void {
  const k = row.length;
  const n = sums.length;
  let j = 0;
  for (; j + 3 < n; j += 4) {
    const b0 = start + j * k;
    const b1 = b0 + k;
    const b2 = b1 + k;
    const b3 = b2 + k;
    let [s0, s1, s2, s3] = [0, 0, 0, 0];
    for (let l = 0; l < k; l++) {
      const r = row[l]!;
      s0 += r * b[b0 + l]!;
      s1 += r * b[b1 + l]!;
      s2 += r * b[b2 + l]!;
      s3 += r * b[b3 + l]!;
    }
    sums[j] = s0;
    sums[j + 1] = s1;
    sums[j + 2] = s2;
    sums[j + 3] = s3;
  }
  for (; j < n; j++) {
    const b0 = start + j * k;
    let s = 0;
    for (let l = 0; l < k; l++) s += row[l]! * b[b0 + l]!;
    sums[j] = s;
  }
}
