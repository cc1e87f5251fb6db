import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { encodeModel } from "./proto.ts";

const golden = new URL("../../../../tools/goldens/data/onnx/model.bin", import.meta.url);

it("gives the bytes that onnx serialises", async () => {
  const model = encodeModel({
    producer: "ft",
    opsets: new Map([
      ["", 17],
      ["com.microsoft", 1],
    ]),
    graph: {
      name: "decoder",
      nodes: [
        { op: "Reshape", domain: "", name: "reshape", inputs: ["x", "shape"], outputs: ["y"], attributes: {} },
        { op: "Clip", domain: "", name: "clip", inputs: ["y", "", "one"], outputs: ["z"], attributes: {} },
        {
          ...{ op: "Thing", domain: "com.microsoft", name: "thing", inputs: ["z", "w"], outputs: ["a", "b"] },
          attributes: { axis: -1, perm: [0, 2, 1], alpha: { f: 0.1 }, big: 2 ** 40 },
        },
      ],
      initializers: [
        { name: "shape", dtype: "i64", dims: [3], data: new Uint8Array(BigInt64Array.of(0n, -1n, 7n).buffer) },
        { name: "one", dtype: "f32", dims: [], data: new Uint8Array(Float32Array.of(1).buffer) },
        {
          ...{ name: "w", dtype: "f16", dims: [300, 2 ** 20] },
          data: { location: "m.onnx_data", offset: 8192, length: 600 * 2 ** 20 },
        },
      ],
      inputs: [{ name: "x", dtype: "i64", dims: ["batch_size", 4] }],
      outputs: [{ name: "a", dtype: "f32", dims: ["batch_size", "é", 1536] }],
    },
  });
  expect(Buffer.from(model).toString("hex")).toBe((await readFile(golden)).toString("hex"));
});
