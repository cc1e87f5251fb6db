import type { PrimitiveKernels } from "@ft/tensor";
import type { CpuBuffer } from "../buffer.ts";
import { elementwise } from "./elementwise.ts";
import { layout } from "./layout.ts";
import { matmul } from "./matmul.ts";
import { random } from "./random.ts";
import { reductions } from "./reduce.ts";

/** The reference loops: every primitive in plain TypeScript. */
export const referenceLoops: PrimitiveKernels<CpuBuffer> = { ...elementwise, ...layout, ...reductions, matmul, random };
