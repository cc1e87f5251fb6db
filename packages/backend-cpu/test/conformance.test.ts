import { backendConformance, gradientConformance } from "@ft/testing";
import { afterAll, describe, it } from "vitest";
import { createCpuBackend } from "../src/index.ts";

const reference = () => createCpuBackend({ native: false, poison: true });
const dtypes = ["f64", "f32", "bf16", "f16", "i32", "i8", "u8", "bool"] as const;

gradientConformance(reference, { shapes: 20 }, { describe, it, afterAll });
backendConformance("reference loops", reference, { dtypes, reference }, { describe, it, afterAll });
