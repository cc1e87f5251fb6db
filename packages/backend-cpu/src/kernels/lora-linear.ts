import { defineKernel, dim, type Kernel, type View } from "@ft/tensor";
import { type LoraAttrs, type LoraLinearShape, loraLinearOp } from "@ft/tensor/ops";
import { allF32, type CpuContext, f32, i32 } from "../context.ts";

/** Every term a product of rank r, accumulated into the base's output in the forward. */
export const loraLinearKernel: Kernel<LoraLinearShape, CpuContext> = defineKernel(loraLinearOp, {
  accepts: ({ in: specs }) => allF32(specs),
  forward(context, { in: { base, x, a, b, step }, attrs, out: { y }, saved: { xa } }) {
    const { native } = context;
    const [r, k] = [dim(a, 0), dim(a, 1)];
    const n = dim(b, 0);
    const m = dim(xa, 0);
    withDropped(context, x, step, attrs, (dropped) =>
      native.gemm_f32(m, r, k, dropped, k, 0, f32(a), k, 1, f32(xa), r, 1, 0),
    );
    if (y.storage !== base.storage) f32(y).set(f32(base));
    native.gemm_f32(m, n, r, f32(xa), r, 0, f32(b), r, 1, f32(y), n, attrs.scale, 1);
  },
  vjp(context, { kept: { x, a, b, step }, saved: { xa }, grad: { y }, attrs, wants, into, onto }) {
    const { native } = context;
    const [r, k] = [dim(a, 0), dim(a, 1)];
    const n = dim(b, 0);
    const m = dim(xa, 0);
    const g = f32(y);
    const made: Partial<LoraLinearShape["in"]> = {};
    context.scratch(m * r, (t) => {
      if (wants.x || x) native.gemm_f32(m, r, n, g, n, 0, f32(b), r, 0, t, r, attrs.scale, 0);
      if (x) {
        made.a = into("a");
        const da = f32(made.a);
        withDropped(context, x, step, attrs, (dropped) =>
          native.gemm_f32(r, k, m, t, r, 1, dropped, k, 0, da, k, 1, 0),
        );
      }
      if (wants.x) {
        // dropout stands between the product and the sum, so only without it the product may add
        const { to, beta } = attrs.rate === 0 ? onto("x", x) : { to: into("x", x), beta: 0 as const };
        native.gemm_f32(m, k, r, t, r, 0, f32(a), k, 0, f32(to), k, 1, beta);
        dropInto(context, f32(to), step, attrs, f32(to));
        made.x = to;
      }
    });
    if (wants.b) {
      made.b = into("b");
      native.gemm_f32(n, r, m, g, n, 1, f32(xa), r, 0, f32(made.b), r, attrs.scale, 0);
    }
    if (wants.base) made.base = y;
    return made;
  },
});

function dropInto({ native }: CpuContext, x: Float32Array, step: View, attrs: LoraAttrs, out: Float32Array): void {
  if (attrs.rate > 0) native.dropout(x, attrs.rate, attrs.seed, attrs.stream, i32(step)[0]!, x.length, out);
}

/** Gives `fn` x after dropout: x itself at rate 0. */
function withDropped(
  context: CpuContext,
  x: View,
  step: View,
  attrs: LoraAttrs,
  fn: (dropped: Float32Array) => void,
): void {
  const values = f32(x);
  if (attrs.rate === 0) {
    fn(values);
    return;
  }
  context.scratch(values.length, (work) => {
    dropInto(context, values, step, attrs, work);
    fn(work);
  });
}
