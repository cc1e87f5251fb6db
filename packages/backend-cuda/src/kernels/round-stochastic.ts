import { defineKernel, type Kernel, sizeOf } from "@ft/tensor";
import { type RoundStochastic, roundStochasticOp } from "@ft/tensor/ops";
import type { CudaContext } from "../context.ts";
import { aligned } from "./alignment.ts";

/** One pass, four elements a thread. */
export const roundStochasticKernel: Kernel<RoundStochastic, CudaContext> = defineKernel(roundStochasticOp, {
  accepts: ({ in: { x, step } }) => x.dtype === "f32" && step.dtype === "f32",
  forward(context, { in: { x, step }, attrs: { seed, stream }, out: { y } }) {
    const n = sizeOf(x.shape);
    context.launch("round_stochastic", Math.ceil(n / 1024), 256, [x, step, seed, stream, n, aligned(x, y), y]);
  },
});
