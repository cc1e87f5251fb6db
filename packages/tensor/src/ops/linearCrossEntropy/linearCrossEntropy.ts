import type { View } from "../../backend.ts";
import { dim, type FloatDType, sameShape, showShape, type WideDType, wideOf } from "../../dtype.ts";
import { FtError } from "../../error.ts";
import { defineOp, type Op } from "../../op.ts";
import type { P } from "../../prims.ts";
import { run } from "../../run.ts";
import type { Axes, Tensor } from "../../tensor.ts";

/** Inputs, outputs and attributes of linearCrossEntropy, as kernels and references see them. */
export type LinearCrossEntropy = {
  in: { x: View; weight: View; targets: View };
  out: { loss: View; count: View };
  attrs: { chunk: number };
  keeps: {};
  saved: { dx?: View; dWeight?: View };
};

/** Loss, count and dLogits = softmax − onehot of one chunk of rows; a row with a negative target counts for nothing. */
function chunkLoss(p: P, logits: View, targets: View): { loss: View; count: View; dLogits: View } {
  const column = p.reshape(targets, [dim(targets, 0), 1]);
  const zero = p.fill({ dtype: logits.dtype, shape: [] }, 0);
  const one = p.fill({ dtype: logits.dtype, shape: [] }, 1);
  const valid = p.where(p.compare("lt", column, 0), zero, one);
  const hot = p.compare("eq", p.iota(dim(logits, 1)), column);
  const top = p.max(logits, -1);
  const e = p.exp(p.sub(logits, top));
  const total = p.sum(e, -1);
  const picked = p.sum(p.where(hot, logits, zero), -1);
  // where, not a product with 0: a row without a target must not turn an infinite logit into NaN
  const each = p.where(p.compare("lt", column, 0), zero, p.sub(p.add(top, p.log(total)), picked));
  const softmax = p.div(e, total);
  return {
    loss: p.reshape(p.sum(each, 0, 1), []),
    count: p.reshape(p.sum(valid, 0, 1), []),
    dLogits: p.where(p.compare("lt", column, 0), zero, p.where(hot, p.sub(softmax, 1), softmax)),
  };
}

/**
 * Gradients are made in the forward, while a chunk's logits are at hand (as Liger does), only for what is wanted; the
 * backward scales them. The whole [tokens, vocab] never exists.
 */
export const linearCrossEntropyOp: Op<LinearCrossEntropy> = defineOp<LinearCrossEntropy>({
  name: "linearCrossEntropy",
  keeps: () => ({}),
  infer({ in: { x, weight, targets }, attrs: { chunk }, wants }) {
    if (!Number.isSafeInteger(chunk) || chunk < 1)
      throw new FtError("input", `[linearCrossEntropy] chunk ${chunk}`, "use a whole number of at least 1 row");
    const fits = weight.shape.length === 2 && dim(x, -1) === dim(weight, 1);
    if (!fits || !sameShape(x.shape.slice(0, -1), targets.shape))
      throw new FtError(
        "shape",
        `[linearCrossEntropy] x ${showShape(x.shape)}, weight ${showShape(weight.shape)}, targets ${showShape(targets.shape)}`,
        "x is [..., hidden], weight [vocab, hidden], targets [...]",
      );
    const scalar = { dtype: wideOf(x.dtype), shape: [] };
    return {
      out: { loss: scalar, count: scalar },
      saved: {
        ...(wants.x && { dx: x }),
        // as it is summed: rounding to the weight's dtype comes last
        ...(wants.weight && { dWeight: { dtype: wideOf(x.dtype), shape: weight.shape } }),
      },
    };
  },
  forward(p, { in: { x, weight, targets }, attrs: { chunk }, wants }) {
    const wide = wideOf(x.dtype);
    const rows = p.rows(x);
    const n = dim(rows, 0);
    const w = p.cast(weight, wide);
    const flat = p.reshape(targets, [n]);
    let loss = p.fill({ dtype: wide, shape: [] }, 0);
    let count = loss;
    const dx: View[] = [];
    let dWeight: View | undefined;
    for (let at = 0; at < n; at += chunk) {
      const end = Math.min(n, at + chunk);
      const xc = p.cast(p.slice(rows, 0, at, end), wide);
      const part = chunkLoss(p, p.matmul(xc, w, { tb: true }), p.slice(flat, 0, at, end));
      loss = p.add(loss, part.loss);
      count = p.add(count, part.count);
      if (wants.x) dx.push(p.cast(p.matmul(part.dLogits, w), x.dtype));
      if (wants.weight) {
        const dw = p.matmul(part.dLogits, xc, { ta: true });
        dWeight = dWeight ? p.add(dWeight, dw) : dw;
      }
    }
    const saved = {
      ...(wants.x && { dx: p.reshape(p.concat(dx, 0), x.shape) }),
      ...(dWeight && { dWeight }),
    };
    return { out: { loss, count }, saved };
  },
  vjp: (p, { saved: { dx, dWeight }, grad: { loss }, spec }) => ({
    // in wide numbers: in f16 a scaled loss may have a gradient beyond 65,504, which its product with dx is not
    ...(dx && { x: p.cast(p.mul(p.cast(dx, loss.dtype), loss), dx.dtype) }),
    ...(dWeight && { weight: p.cast(p.mul(dWeight, p.cast(loss, dWeight.dtype)), spec.weight.dtype) }),
  }),
});

/**
 * Sum of token losses −log softmax(x·weightᵀ)[target] and the count of targets, in nats and tokens. x [..., hidden],
 * weight [vocab, hidden], targets [...]; a negative target is ignored, others must lie below vocab: the data loader checks them. `chunk` is how many rows of logits exist at a time.
 */
export function linearCrossEntropy<
  D extends FloatDType,
  W extends FloatDType,
  B extends Axes,
  H extends string,
  V extends string,
>(
  x: Tensor<D, readonly [...B, H]>,
  weight: Tensor<W, readonly [V, NoInfer<H>]>,
  targets: Tensor<"i32", B>,
  attrs: { readonly chunk: number },
): { loss: Tensor<WideDType, readonly []>; count: Tensor<WideDType, readonly []> } {
  return run(linearCrossEntropyOp, { in: { x, weight, targets }, attrs, axes: { loss: [], count: [] } });
}
