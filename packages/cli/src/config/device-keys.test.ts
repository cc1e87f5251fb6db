import { describe, expect, it } from "vitest";
import { resolveConfig } from "./read-config.ts";
import { parseConfig } from "./schema.ts";
import { forCard } from "./settle.ts";

describe("keys of the device", () => {
  it("have names of their own", () => {
    const keys = { backend: "cuda", dtype: "bf16", deterministic: true, cudaGraphs: false } as const;
    expect(parseConfig(keys, "x.yaml")).toEqual(keys);
  });

  it("are read under the names of transformers", () => {
    expect(parseConfig({ bf16: true, full_determinism: true }, "x.yaml")).toEqual({
      dtype: "bf16",
      deterministic: true,
    });
    expect(parseConfig({ fp16: true, bf16: false }, "x.yaml")).toEqual({ dtype: "f16" });
    expect(() => parseConfig({ fp16: true, bf16: true }, "x.yaml")).toThrow(/gives dtype twice/);
  });

  it("change nothing where they are absent", () => {
    const config = resolveConfig({ model: "m", data: "d", out: "o" }, {});
    expect(config.backend).toBe("auto");
    expect(Object.keys(config)).not.toContain("dtype");
  });

  it("make activations bf16 where products are to be, on a card", () => {
    const given = { model: "m", data: "d", out: "o", compute: "bf16" } as const;
    expect(forCard(resolveConfig(given, {})).dtype).toBe("bf16");
    expect(forCard(resolveConfig({ ...given, dtype: "f32" }, {})).dtype).toBe("f32");
  });

  it("refuse what there is not", () => {
    expect(() => parseConfig({ backend: "tpu" }, "x.yaml")).toThrow(/x\.yaml: backend/);
    expect(() => parseConfig({ dtype: "fp16" }, "x.yaml")).toThrow(/x\.yaml: dtype .*did you mean "f16"\?/);
    expect(() => parseConfig({ quantization: { type: "fn4" } }, "x.yaml")).toThrow(/did you mean "nf4"\?/);
    expect(() => parseConfig({ bf16: "yes" }, "x.yaml")).toThrow(/x\.yaml: dtype/);
  });
});
