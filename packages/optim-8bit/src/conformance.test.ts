import { createCpuBackend } from "@ft/backend-cpu";
import { optimizerConformance } from "@ft/testing";
import { afterAll, describe, it } from "vitest";
import { optimizers8bit } from "./optimizers-8bit.ts";

// The parameters of the suite are small: with the default min8bitSize their slots stay floats, with 0 they are codes.
const coded = { min8bitSize: 0 };

for (const native of [false, true])
  describe(native ? "default kernels" : "reference loops", () => {
    optimizerConformance(
      optimizers8bit,
      () => createCpuBackend({ native, poison: true }),
      {
        adamw8bit: [coded, { ...coded, textbook: true, beta1: 0.8, decayVectors: false }],
        adam8bit: [coded, { ...coded, textbook: true, weightDecay: 0.001 }],
        lion8bit: [coded, { ...coded, weightDecay: 0.01 }],
        sgd8bit: [coded, { ...coded, nesterov: true, momentum: 0.8 }],
        rmsprop8bit: [coded, { ...coded, textbook: true, alpha: 0.9, momentum: 0.5, weightDecay: 0.001 }],
      },
      { describe, it, afterAll },
    );
  });
