import { createCpuBackend } from "@ft/backend-cpu";
import { optimizerConformance } from "@ft/testing";
import { afterAll, describe, it } from "vitest";
import { optimizers } from "./optimizers.ts";

for (const native of [false, true])
  describe(native ? "default kernels" : "reference loops", () => {
    optimizerConformance(
      optimizers,
      () => createCpuBackend({ native, poison: true }),
      {
        sgd: [{ momentum: 0.9 }, { momentum: 0.9, nesterov: true, weightDecay: 0.01 }],
        adamw: [{ beta1: 0.8, eps: 1e-4, weightDecay: 0, decayVectors: false }],
      },
      { describe, it, afterAll },
    );
  });
