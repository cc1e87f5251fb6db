import type { AnyKernel } from "@ft/tensor";
import type { CpuContext } from "../context.ts";
import { attentionKernel, cachedAttentionKernel, updateCacheKernel } from "./attention.ts";
import { addKernel, dropoutKernel, sumSquaresKernel, swigluKernel } from "./elementwise.ts";
import { embeddingKernel, linearCrossEntropyKernel } from "./embedding-loss.ts";
import { linearKernel } from "./linear.ts";
import { loraLinearKernel } from "./lora-linear.ts";
import { rmsNormKernel, ropeKernel } from "./norm-rope.ts";
import { adamKernel, adamwKernel, lionKernel, rmspropKernel, sgdKernel } from "./optimizers.ts";
import { dequantize4bitKernel, dequantize8bitKernel, quantize4bitKernel, quantize8bitKernel } from "./quantize.ts";
import { int8LinearKernel, nf4LinearKernel } from "./quantized-linear.ts";

/** Fused kernels over the C library: what a training step spends its time in. */
export const nativeOps: readonly AnyKernel<CpuContext>[] = [
  adamKernel,
  adamwKernel,
  addKernel,
  attentionKernel,
  cachedAttentionKernel,
  dequantize4bitKernel,
  dequantize8bitKernel,
  dropoutKernel,
  embeddingKernel,
  int8LinearKernel,
  linearCrossEntropyKernel,
  linearKernel,
  lionKernel,
  loraLinearKernel,
  nf4LinearKernel,
  quantize4bitKernel,
  quantize8bitKernel,
  rmsNormKernel,
  rmspropKernel,
  ropeKernel,
  sgdKernel,
  sumSquaresKernel,
  swigluKernel,
  updateCacheKernel,
];
