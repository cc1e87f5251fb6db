import { createCpuBackend } from "@ft/backend-cpu";
import { optimizerConformance } from "@ft/testing";
import { afterAll, describe, it } from "vitest";
import { withMasterWeights } from "./master/master.ts";
import { optimizers } from "./optimizers.ts";

/** The same with master weights: beside f32 they are nothing, in 16 bits one slot more. */
const withMasters = Object.fromEntries(
  Object.entries(optimizers).map(([name, make]) => [
    `masters(${name})`,
    (settings: { readonly [setting: string]: unknown }) => withMasterWeights(make(settings)),
  ]),
);

for (const native of [false, true])
  describe(native ? "default kernels" : "reference loops", () => {
    optimizerConformance(
      { ...optimizers, ...withMasters },
      () => createCpuBackend({ native, poison: true }),
      {
        sgd: [{ momentum: 0.9 }, { momentum: 0.9, nesterov: true, weightDecay: 0.01 }],
        adam: [
          { beta1: 0.8, eps: 1e-4, weightDecay: 0.001 },
          { bitsandbytesOrder: true, weightDecay: 0.001 },
        ],
        adamw: [{ beta1: 0.8, eps: 1e-4, weightDecay: 0, decayVectors: false }, { bitsandbytesOrder: true }],
        lion: [{ beta1: 0.8, beta2: 0.95, weightDecay: 0.01 }],
        rmsprop: [
          { alpha: 0.9, weightDecay: 0.001, bitsandbytesOrder: true },
          { alpha: 0.9, momentum: 0.5, centered: true, eps: 1e-2 },
        ],
      },
      { describe, it, afterAll },
    );
  });
