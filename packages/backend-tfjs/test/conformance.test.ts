import { createCpuBackend } from "@ft/backend-cpu";
import { backendConformance } from "@ft/testing";
import "@tensorflow/tfjs-backend-cpu";
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, describe, expect, it } from "vitest";
import { createTfjsBackend } from "../src/index.ts";

backendConformance(
  "tfjs cpu",
  async () => {
    await tf.setBackend("cpu");
    return createTfjsBackend(tf);
  },
  {
    dtypes: ["f32", "i32", "i8", "u8", "bool"],
    reference: () => createCpuBackend({ native: false }),
  },
  { describe, it, afterAll },
);

it("leaves no tf tensor behind but the tables of the 4-bit and 8-bit formats, which live as long as a backend", () => {
  expect(tf.memory().numTensors).toBe(15);
});
