import type { PrimitiveKernels } from "@ft/tensor";
import type { CudaBuffer, CudaContext } from "../context.ts";
import { elementwise } from "./elementwise.ts";
import { layout } from "./layout.ts";
import { matmul, reductions } from "./reduce.ts";

/** The closed set of primitives, by kernels of this package and cuBLASLt. */
export function primitives(context: CudaContext): PrimitiveKernels<CudaBuffer> {
  return { ...elementwise(context), ...layout(context), ...reductions(context), matmul: matmul(context) };
}
