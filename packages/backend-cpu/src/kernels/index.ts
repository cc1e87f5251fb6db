import type { AnyKernel } from "@ft/tensor";
import type { CpuContext } from "../context.ts";
import { attentionKernel, cachedAttentionKernel, updateCacheKernel } from "./attention.ts";
import { addKernel, dropoutKernel, sumSquaresKernel, swigluKernel } from "./elementwise.ts";
import { embeddingKernel, linearCrossEntropyKernel } from "./embedding-loss.ts";
import { linearKernel } from "./linear.ts";
import { loraLinearKernel } from "./lora-linear.ts";
import { rmsNormKernel, ropeKernel } from "./norm-rope.ts";
import { adamwKernel, sgdKernel } from "./optimizers.ts";

/** Fused kernels over the C library: what a training step spends its time in. */
export const nativeOps: readonly AnyKernel<CpuContext>[] = [
  addKernel,
  adamwKernel,
  attentionKernel,
  cachedAttentionKernel,
  dropoutKernel,
  embeddingKernel,
  linearCrossEntropyKernel,
  linearKernel,
  loraLinearKernel,
  rmsNormKernel,
  ropeKernel,
  sgdKernel,
  sumSquaresKernel,
  swigluKernel,
  updateCacheKernel,
];
