import { type BinaryKind, dim, type PrimitiveKernels, sameShape, sizeOf } from "@ft/tensor";
import type { CpuBuffer } from "../buffer.ts";
import { type CpuContext, f32, i32 } from "../context.ts";

const kinds: readonly BinaryKind[] = ["add", "sub", "mul", "div", "min", "max"];

/** The primitives with a native path for the f32 cases that matter; everything else is the reference loop. */
export function nativePrimitives(loops: PrimitiveKernels<CpuBuffer>, context: CpuContext): PrimitiveKernels<CpuBuffer> {
  return {
    ...loops,
    binary(inputs, attrs, out) {
      const { a, b } = inputs;
      const kind = kinds.indexOf(attrs.kind);
      const plain = out.dtype === "f32" && sameShape(a.shape, out.shape);
      if (plain && typeof b === "number") context.native.binary_scalar_f32(kind, f32(a), b, f32(out), f32(out).length);
      else if (plain && typeof b !== "number" && sizeOf(b.shape) === 1)
        context.native.binary_scalar_f32(kind, f32(a), f32(b)[0]!, f32(out), f32(out).length);
      else if (plain && typeof b !== "number" && sameShape(b.shape, out.shape))
        context.native.binary_f32(kind, f32(a), f32(b), f32(out), f32(out).length);
      else loops.binary(inputs, attrs, out);
    },
    cast({ x }, attrs, out) {
      const [from, to] = [x.storage.buffer, out.storage.buffer];
      const { native } = context;
      if (to instanceof Float32Array && from instanceof Uint16Array)
        (x.dtype === "bf16" ? native.cast_bf16_f32 : native.cast_f16_f32)(from, to, to.length);
      else if (to instanceof Uint16Array && from instanceof Float32Array)
        (out.dtype === "bf16" ? native.cast_f32_bf16 : native.cast_f32_f16)(from, to, to.length);
      else loops.cast({ x }, attrs, out);
    },
    random({ step }, { seed, stream }, out) {
      context.native.philox_uniform(seed, stream, i32(step)[0]!, f32(out).length, f32(out));
    },
    matmul(inputs, attrs, out) {
      if (out.dtype !== "f32") return loops.matmul(inputs, attrs, out);
      const { a, b } = inputs;
      const { ta, tb } = attrs;
      const [m, n, k] = [dim(out, -2), dim(out, -1), dim(a, ta ? -2 : -1)];
      const batch = sizeOf(out.shape.slice(0, -2));
      const strideB = b.shape.length === 2 ? 0 : k * n;
      const [lda, ldb] = [ta ? m : k, tb ? k : n];
      const [transA, transB] = [ta ? 1 : 0, tb ? 1 : 0] as const;
      context.native.gemm_batched_f32(
        batch,
        m,
        n,
        k,
        f32(a),
        lda,
        transA,
        m * k,
        f32(b),
        ldb,
        transB,
        strideB,
        f32(out),
        n,
        m * n,
        1,
        0,
      );
    },
  };
}
