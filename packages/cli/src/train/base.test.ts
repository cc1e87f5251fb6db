import { describe, expect, it } from "vitest";
import { defaults, type TrainConfig } from "../config/train-config.ts";
import { heldAs } from "./base.ts";

const config: TrainConfig = { ...defaults, model: "m", data: "d", out: "o" };

describe("what weights are held in", () => {
  it("is no wider than activations where nothing of them trains", () => {
    for (const method of ["lora", "qlora"] as const) {
      expect(heldAs({ ...config, method, dtype: "bf16" }, false)).toEqual({ weights: "narrowed", dtype: "bf16" });
      expect(heldAs({ ...config, method }, true)).toEqual({ weights: "narrowed", dtype: "f32" });
    }
  });

  it("is what the configuration says where they train", () => {
    const full = { ...config, method: "full", dtype: "bf16" } as const;
    expect(heldAs(full, false)).toEqual({ weights: "f32", dtype: "bf16" });
    expect(heldAs({ ...full, weightDtype: "bf16" }, false)).toEqual({ weights: "bf16", dtype: "bf16" });
    expect(() => heldAs(full, true)).toThrow("m is quantised");
  });
});
