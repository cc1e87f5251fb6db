import { bytesPerElement, defineKernel, dim, type Kernel, sizeOf } from "@ft/tensor";
import { type LoraAttrs, type LoraLinearShape, loraLinearOp } from "@ft/tensor/ops";
import { type Address, at, type CudaContext, type CudaView } from "../context.ts";
import { threeFloats } from "./alignment.ts";
import { bothInDtype, fromDtype, inDtype } from "./convert.ts";
import { dropoutInto } from "./elementwise.ts";

/**
 * Every term a product of rank r. Factors are in the dtype of x, as the tensor cores want them: x·Aᵀ, and adapters in f32
 * on the way, are rounded to it; sums are f32, and so are the gradients of adapters in f32, unrounded. The forward adds
 * to the base's output; it reads x and reads and writes y once.
 */
export const loraLinearKernel: Kernel<LoraLinearShape, CudaContext> = defineKernel(loraLinearOp, {
  accepts: ({ in: { step: _, base, x, a, b } }) =>
    threeFloats.has(x.dtype) && base.dtype === x.dtype && threeFloats.has(a.dtype) && threeFloats.has(b.dtype),
  forward(context, { in: { base, x, a, b, step }, attrs, out: { y }, saved: { xa } }) {
    const { dtype } = x;
    const [r, k] = [dim(a, 0), dim(a, 1)];
    const [n, m] = [dim(b, 0), dim(xa, 0)];
    if (y.storage !== base.storage) context.copy(at(y), at(base), m * n * bytesPerElement[dtype]);
    bothInDtype(context, [a, b], dtype, (lowA, lowB) => {
      withDropped(context, x, step, attrs, (dropped) =>
        context.multiply({
          m,
          n: r,
          k,
          a: { at: dropped, dtype, ld: k },
          b: { at: lowA, dtype, ld: k, transposed: true },
          out: { at: at(xa), dtype, ld: r },
        }),
      );
      context.multiply({
        m,
        n,
        k: r,
        a: { at: at(xa), dtype, ld: r },
        b: { at: lowB, dtype, ld: r, transposed: true },
        out: { at: at(y), dtype, ld: n },
        alpha: attrs.scale,
        beta: 1,
      });
    });
  },
  vjp(context, { kept: { x, a, b, step }, saved: { xa }, grad: { y: g }, attrs, wants, into, onto }) {
    const { dtype } = g;
    const [r, k] = [dim(a, 0), dim(a, 1)];
    const [n, m] = [dim(b, 0), dim(xa, 0)];
    const made: Partial<LoraLinearShape["in"]> = {};
    const gradients = (lowA: Address | undefined, lowB: Address): void =>
      context.scratch(m * r * bytesPerElement[dtype], (t) => {
        context.multiply({
          m,
          n: r,
          k: n,
          a: { at: at(g), dtype, ld: n },
          b: { at: lowB, dtype, ld: r },
          out: { at: t, dtype, ld: r },
          alpha: attrs.scale,
        });
        if (x) {
          const to = into("a");
          made.a = to;
          withDropped(context, x, step, attrs, (dropped) =>
            fromDtype(context, to, "f32", (out) =>
              context.multiply({
                m: r,
                n: k,
                k: m,
                a: { at: t, dtype, ld: r, transposed: true },
                b: { at: dropped, dtype, ld: k },
                out: { at: out, dtype: "f32", ld: k },
              }),
            ),
          );
        }
        if (lowA === undefined) return;
        // dropout stands between the product and the sum, so only without it the product may add
        const { to, beta } = attrs.rate === 0 ? onto("x", x) : { to: into("x", x), beta: 0 as const };
        context.multiply({
          m,
          n: k,
          k: r,
          a: { at: t, dtype, ld: r },
          b: { at: lowA, dtype, ld: k },
          out: { at: at(to), dtype, ld: k },
          beta,
        });
        if (attrs.rate > 0) dropoutInto(context, { at: at(to), dtype, count: m * k }, attrs, step, at(to));
        made.x = to;
      });
    if (wants.x) bothInDtype(context, [a, b], dtype, gradients);
    else if (x) inDtype(context, b, dtype, (lowB) => gradients(undefined, lowB));
    if (wants.b) {
      const to = into("b");
      made.b = to;
      fromDtype(context, to, "f32", (out) =>
        context.multiply({
          m: n,
          n: r,
          k: m,
          a: { at: at(g), dtype, ld: n, transposed: true },
          b: { at: at(xa), dtype, ld: r },
          out: { at: out, dtype: "f32", ld: r },
          alpha: attrs.scale,
        }),
      );
    }
    if (wants.base) made.base = g;
    return made;
  },
});

/** Gives `fn` x after dropout: x itself at rate 0. */
function withDropped(
  context: CudaContext,
  x: CudaView,
  step: CudaView,
  attrs: LoraAttrs,
  fn: (dropped: Address) => void,
): void {
  if (attrs.rate === 0) {
    fn(at(x));
    return;
  }
  const count = sizeOf(x.shape);
  context.scratch(count * bytesPerElement[x.dtype], (work) => {
    dropoutInto(context, { at: at(x), dtype: x.dtype, count }, attrs, step, work);
    fn(work);
  });
}
