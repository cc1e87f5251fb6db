import { backendConformance, gradientConformance } from "@ft/testing";
import { afterAll, describe, it } from "vitest";
import { createCpuBackend } from "../src/index.ts";
import { loadNative } from "../src/native/library.ts";

const dtypes = ["f64", "f32", "bf16", "f16", "i32", "i8", "u8", "bool"] as const;
const reference = () => createCpuBackend({ native: false, poison: true });
const runner = { describe, it, afterAll };

gradientConformance(reference, { shapes: 20 }, runner);
backendConformance("reference loops", reference, { dtypes, reference }, runner);

describe.skipIf(loadNative() === undefined)("with the C library", () => {
  const native = (threads: number) => () => createCpuBackend({ threads, poison: true });
  backendConformance(
    "native kernels",
    native(2),
    { dtypes, reference, large: true, threads: [native(1), native(3)] },
    runner,
  );
});
