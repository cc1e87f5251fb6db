import { configFromHf } from "@ft/models";
import { describe, expect, it } from "vitest";
import { awqGroupSize, awqMisfit } from "./config.ts";

describe("the group size", () => {
  const model = (hidden: number, intermediate: number, kvHeads: number) =>
    configFromHf(
      {
        ...{ model_type: "llama", vocab_size: 96, num_hidden_layers: 1, num_attention_heads: 9 },
        ...{ hidden_size: hidden, intermediate_size: intermediate, num_key_value_heads: kvHeads },
      },
      "config.json",
    );

  it("is the largest that the layers are whole groups of, by inputs and by the outputs that kernels want", () => {
    expect(awqGroupSize(model(9 * 128, 2048, 3))).toBe(128);
    expect(awqGroupSize(model(576, 1536, 3))).toBe(64);
    expect(awqGroupSize(model(9 * 128, 2048 + 32, 3))).toBe(32);
    expect(awqGroupSize(model(576, 1536, 3), 32)).toBe(32);
    expect(() => awqGroupSize(model(576, 1536, 3), 128)).toThrow(/q_proj has 576 inputs/);
    expect(() => awqGroupSize(model(576, 1540, 3))).toThrow(/gate_proj has 1540 outputs/);
    expect(() => awqGroupSize(model(576, 1544, 3))).toThrow(/down_proj has 1544 inputs/);
  });

  it("tells what a kernel cannot compute", () => {
    expect(awqMisfit(model(576, 1536, 3), 64)).toBeUndefined();
    expect(awqMisfit(model(288, 1536, 3), 32)).toBe("480 outputs of q_proj, k_proj and v_proj");
  });
});
