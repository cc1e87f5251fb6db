import { defineKernel, dim, type InferAt, type Kernel, type Spec } from "@ft/tensor";
import { type Attention, attentionOp } from "@ft/tensor/ops";
import type { CudaContext, CudaView } from "../context.ts";
import {
  type AttentionInputs,
  attentionPlan,
  attentionShape,
  cudnnBackward,
  cudnnForward,
  type FusedAttention,
  fusedAttention,
} from "../cudnn/attention.ts";
import { aligned, threeFloats } from "./alignment.ts";
import { ownBackward, ownForward } from "./own-attention.ts";

/** Any of the three dtypes, heads of up to 256. */
export function acceptsHeads(q: Spec): boolean {
  return threeFloats.has(q.dtype) && dim(q, 3) <= 256;
}

/** cuDNN's fused attention where it serves the dtype, the head size and the way sequences lie; else kernels of this package. */
export const attentionKernel: Kernel<Attention, CudaContext> = defineKernel(attentionOp, {
  accepts: ({ in: { q } }: InferAt<Attention>) => acceptsHeads(q),

  forward(context, { in: { q, k, v, segments }, attrs: { scale }, out: { y }, saved: { lse } }) {
    const inputs = { q, k, v, segments, scale };
    const fused = fusedFor(context, inputs, "forward", [y, lse]);
    if (fused) cudnnForward(context, fused, inputs, y, lse);
    else ownForward(context, inputs, y, lse);
  },

  vjp(context, { kept: { q, k, v, segments, y }, saved: { lse }, attrs: { scale }, grad: { y: g }, into }) {
    // all three at once; the tape drops those that nothing asked for
    const to = { q: into("q"), k: into("k"), v: into("v") };
    const inputs = { q, k, v, segments, scale };
    const fused = fusedFor(context, inputs, "backward", [y, lse, g, to.q, to.k, to.v]);
    if (fused) cudnnBackward(context, fused, inputs, { y, lse, g }, to);
    else ownBackward(context, inputs, { y, lse, g }, to);
    return to;
  },
});

/** What cuDNN does with these inputs, or undefined where the kernels of this package serve. */
function fusedFor(
  context: CudaContext,
  inputs: AttentionInputs,
  direction: "forward" | "backward",
  more: readonly CudaView[],
): FusedAttention | undefined {
  const library = fusedAttention(context);
  if (library === undefined || !aligned(inputs.q, inputs.k, inputs.v, ...more)) return undefined;
  const shape = attentionShape(context, library.version, inputs);
  if (shape === undefined) return undefined;
  return attentionPlan(
    context,
    library,
    { ...shape, deterministic: direction === "backward" && context.deterministic },
    direction,
  );
}
