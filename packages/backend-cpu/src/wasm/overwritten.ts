import type { NativeKernels } from "../native/abi.ts";

/**
 * Arrays that a kernel writes whole without reading them, by their names in C: they need not be copied in. Leaving one out
 * costs a copy; naming one that is read would be wrong.
 */
export const overwritten: Partial<Readonly<Record<keyof NativeKernels, readonly string[]>>> = {
  add_f32: ["out"],
  scale_f32: ["out"],
  binary_f32: ["out"],
  binary_scalar_f32: ["out"],
  cast_bf16_f32: ["out"],
  cast_f32_bf16: ["out"],
  cast_f16_f32: ["out"],
  cast_f32_f16: ["out"],
  swiglu_fwd: ["y"],
  swiglu_bwd: ["dgate", "dup"],
  philox_uniform: ["out"],
  dropout: ["out"],
  rmsnorm_fwd: ["y", "rstd"],
  rmsnorm_bwd: ["dx", "dw"],
  rope: ["out"],
  attention_fwd: ["y", "lse"],
  attention_bwd: ["dq", "dk", "dv"],
  attention_cached: ["y"],
  quantize_4bit: ["codes", "absmax"],
  dequantize_4bit: ["out"],
  quantize_8bit: ["codes", "absmax"],
  dequantize_8bit: ["out"],
};
