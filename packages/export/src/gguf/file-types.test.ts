import { golden } from "@ft/testing";
import { describe, expect, it } from "vitest";
import { type HashedModel, hashedConfig } from "../../test/hashed-model.ts";
import { memorySource } from "../../test/memory-source.ts";
import { fileTypeId, type GgufFileType, ggufFileTypes, isGgufFileType, tensorTypeOf } from "./file-types.ts";
import { ggufTensors } from "./tensors.ts";

interface Golden {
  readonly cases: readonly {
    readonly model: HashedModel;
    readonly files: Record<string, { readonly most: string; readonly others: Record<string, string> }>;
  }[];
}
const { cases } = await golden<Golden>(
  new URL("../../../../tools/goldens/data/gguf-files/types.json", import.meta.url),
);

describe("the types of tensors", () => {
  it.each(cases.map((one) => [JSON.stringify(one.model), one] as const))(
    "are those that llama_model_quantize chooses for %s",
    (_, { model, files }) => {
      expect(Object.keys(files).sort()).toEqual([...ggufFileTypes].sort());
      for (const [file, { most, others }] of Object.entries(files)) {
        if (!isGgufFileType(file)) throw new Error(file);
        const expected = new Map(Object.entries(others).flatMap(([to, names]) => names.split(" ").map((n) => [n, to])));
        const wrong = matrices(model, file).filter(
          ({ name, type }) => (expected.get(name.replace(/^blk\.|\.weight$/g, "")) ?? most) !== type,
        );
        expect({ file, wrong }).toEqual({ file, wrong: [] });
      }
    },
  );

  it("know which files there are", () => {
    expect(isGgufFileType("Q4_K_M")).toBe(true);
    expect(isGgufFileType("toString")).toBe(false);
    expect(fileTypeId("Q4_K_M")).toBe(15);
    expect(ggufFileTypes.length).toBe(13);
  });
});

function matrices(model: HashedModel, file: GgufFileType): { name: string; type: string }[] {
  const { config, shapes } = hashedConfig(model);
  const source = { ...memorySource(new Map()), config, tensors: shapes };
  const quantizer = { quantize: () => Promise.reject(new Error("not asked")) } as never;
  return ggufTensors(source, { type: file, quantizer, signal: undefined, onTensor: undefined })
    .filter(({ shape }) => shape.length > 1)
    .map(({ name, type }) => ({ name, type: type.name }));
}

it("are F32 for vectors", () => {
  const { config } = hashedConfig({ hidden: 32, ff: 32, layers: 1, heads: 1, kv: 1, vocab: 2, tied: true });
  expect(tensorTypeOf("Q4_0", { name: "output_norm.weight", shape: [32] }, config).name).toBe("F32");
});
