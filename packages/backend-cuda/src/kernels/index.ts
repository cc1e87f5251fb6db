import type { AnyKernel } from "@ft/tensor";
import type { CudaContext } from "../context.ts";
import { adam8bitKernel } from "./adam8bit.ts";
import { argmaxKernel } from "./argmax.ts";
import { attentionKernel } from "./attention.ts";
import { cachedAttentionKernel, updateCacheKernel } from "./cached-attention.ts";
import { dequantize4bitKernel, dequantize8bitKernel } from "./dequantize.ts";
import {
  addKernel,
  divideKernel,
  dropoutKernel,
  scaleKernel,
  sumSquaresEachKernel,
  sumSquaresKernel,
  swigluKernel,
} from "./elementwise.ts";
import { embeddingKernel } from "./embedding.ts";
import { linearKernel } from "./linear.ts";
import { loraLinearKernel } from "./lora-linear.ts";
import { linearCrossEntropyKernel } from "./loss.ts";
import { rmsNormKernel, ropeKernel } from "./norm-rope.ts";
import { adamEachKernel, adamKernel, adamwKernel, lionKernel, rmspropKernel, sgdKernel } from "./optimizers.ts";
import { quantize4bitKernel, quantize8bitKernel } from "./quantize.ts";
import { int8LinearKernel, nf4LinearKernel } from "./quantized-linear.ts";
import { roundStochasticKernel } from "./round-stochastic.ts";

/** Fused kernels: what a training step spends its time in. */
export const fusedKernels: readonly AnyKernel<CudaContext>[] = [
  adam8bitKernel,
  adamEachKernel,
  adamKernel,
  adamwKernel,
  addKernel,
  argmaxKernel,
  attentionKernel,
  cachedAttentionKernel,
  dequantize4bitKernel,
  dequantize8bitKernel,
  divideKernel,
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
  roundStochasticKernel,
  scaleKernel,
  sgdKernel,
  sumSquaresEachKernel,
  sumSquaresKernel,
  swigluKernel,
  updateCacheKernel,
];
