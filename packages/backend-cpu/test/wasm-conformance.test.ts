import { backendConformance } from "@ft/testing";
import { afterAll, describe, it } from "vitest";
import { createCpuBackend } from "../src/index.ts";

const dtypes = ["f64", "f32", "bf16", "f16", "i32", "i8", "u8", "bool"] as const;

backendConformance(
  "WASM kernels",
  () => createCpuBackend({ engine: "wasm", poison: true }),
  { dtypes, reference: () => createCpuBackend({ native: false, poison: true }), large: true },
  { describe, it, afterAll },
);
