import { defineKernel, dim, FtError, type Kernel, sizeOf, type View } from "@ft/tensor";
import { type Embedding, embeddingOp, type LinearCrossEntropy, linearCrossEntropyOp } from "@ft/tensor/ops";
import { allF32, type CpuContext, f32, i32, isStored, roundInto, stored } from "../context.ts";

export const embeddingKernel: Kernel<Embedding, CpuContext> = defineKernel(embeddingOp, {
  accepts: ({ in: { table }, attrs }) => isStored(table) && attrs.dtype === "f32",
  forward({ native }, { in: { table, ids }, out: { y } }) {
    const [vocab, h] = [dim(table, 0), dim(table, 1)];
    const at = native.embedding(...stored(table), null, 0, vocab, i32(ids), sizeOf(ids.shape), h, f32(y));
    if (at >= 0) throw outside("embedding", `id ${i32(ids)[at]}`, vocab);
  },
  vjp({ native }, { kept: { ids }, grad: { y }, spec, onto }) {
    const { to, beta } = onto("table");
    const [vocab, h, n] = [dim(spec.table, 0), dim(spec.table, 1), sizeOf(ids.shape)];
    if (native.embedding_bwd(f32(y), i32(ids), n, h, vocab, ...stored(to), beta) === -2)
      throw new FtError("backend", `[embedding] no memory to sort ${n} ids`, "use smaller batches");
    return { table: to };
  },
});

/** Only rows with a target are multiplied; gradients are made in the forward, the backward scales them in place. */
export const linearCrossEntropyKernel: Kernel<LinearCrossEntropy, CpuContext> = defineKernel(linearCrossEntropyOp, {
  accepts: ({ in: { weight, ...others } }) => allF32(others) && isStored(weight),
  forward({ native, products }, { in: { x, weight, targets }, attrs: { chunk }, out, saved: { dx, dWeight } }) {
    const [vocab, h] = [dim(weight, 0), dim(weight, 1)];
    const [loss, count] = [new Float64Array(1), new Float64Array(1)];
    const rows = sizeOf(targets.shape);
    if (dWeight) f32(dWeight).fill(0); // the C kernel adds chunk by chunk
    const code = native.cross_entropy(
      f32(x),
      ...stored(weight),
      null,
      0,
      products,
      i32(targets),
      rows,
      h,
      vocab,
      chunk,
      loss,
      count,
      dx ? f32(dx) : null,
      dWeight ? f32(dWeight) : null,
    );
    if (code === -1)
      throw new FtError(
        "backend",
        `[linearCrossEntropy] no memory for ${chunk} rows of ${vocab} scores`,
        "lower `chunk`",
      );
    if (code === -2) throw outside("linearCrossEntropy", "a target", vocab);
    f32(out.loss)[0] = loss[0]!;
    f32(out.count)[0] = count[0]!;
  },
  vjp(context, { saved: { dx, dWeight }, grad: { loss }, into }) {
    const { native } = context;
    const by = f32(loss)[0]!;
    const made: Partial<LinearCrossEntropy["in"]> = {};
    if (dx) {
      made.x = into("x", dx);
      native.scale_f32(by, f32(dx), f32(made.x), f32(dx).length);
    }
    if (dWeight) {
      made.weight = into("weight", dWeight);
      scaleInto(context, by, f32(dWeight), made.weight);
    }
    return made;
  },
});

/** values that are scaled in f32 at a time before they are rounded */
const strip = 1 << 20;

/** to = by * values, rounded once where it is stored in 16 bits. */
function scaleInto(context: CpuContext, by: number, values: Float32Array, to: View): void {
  const [target, storage] = stored(to);
  if (target instanceof Float32Array) {
    context.native.scale_f32(by, values, target, values.length);
    return;
  }
  context.scratch(Math.min(strip, values.length), (work) => {
    for (let from = 0; from < values.length; from += work.length) {
      const end = Math.min(values.length, from + work.length);
      const part = work.subarray(0, end - from);
      context.native.scale_f32(by, values.subarray(from, end), part, part.length);
      roundInto(context, part, [target.subarray(from, end), storage]);
    }
  });
}

function outside(op: string, what: string, vocab: number): FtError {
  return new FtError(
    "input",
    `[${op}] ${what} is outside the vocabulary of ${vocab}`,
    "use the tokenizer that belongs to the model",
  );
}
