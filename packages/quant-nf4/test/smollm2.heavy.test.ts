import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createCpuBackend } from "@ft/backend-cpu";
import { type Llama, loadModel } from "@ft/models";
import { type Backend, f32ToBf16, f32ToF16 } from "@ft/tensor";
import { smollm2Path } from "@ft/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { goldenFolder } from "../../models/test/goldens.ts";
import { meanAbsmax, Nf4Linear, nestAbsmax, quantizeTo4bit } from "../src/index.ts";
import { digest, dtypes, held, take } from "./support.ts";

const gguf = smollm2Path();
const { tensors, device } = JSON.parse(readFileSync(join(goldenFolder("bnb"), "smollm2.json"), "utf8"));
const blockSizes = [32, 64, 128, 256, 512, 1024, 2048, 4096];

describe.skipIf(!existsSync(gguf))("weights of SmolLM2-135M, against bitsandbytes on a GPU", () => {
  let backend: Backend;
  let model: Llama;
  beforeAll(async () => {
    backend = await createCpuBackend();
    model = await loadModel(gguf, { backend });
  });
  afterAll(() => model?.dispose());

  it.each(Object.keys(tensors))("%s: codes, statistics and decoded values are the same bytes", async (name) => {
    expect(device).toContain("NVIDIA");
    const values = await take(
      model
        .linears()
        .get(name.replace(/\.weight$/, ""))!
        .materialize("f32"),
    );
    expect(digest(values)).toBe(tensors[name].f32);
    const [rows] = tensors[name].shape;
    for (const dtype of dtypes) {
      const data = dtype === "f32" ? values : dtype === "bf16" ? f32ToBf16(values) : f32ToF16(values);
      for (const blockSize of blockSizes) {
        const want = tensors[name][`${dtype}.${blockSize}`];
        for (const type of ["nf4", "fp4"] as const) {
          const at = `${name} in ${dtype}, blocks of ${blockSize}, ${type}`;
          const from = held(name, dtype, data, rows);
          const plain = await quantizeTo4bit(backend, from, { type, blockSize, doubleQuant: false });
          expect(digest(await plain.weight.codes.read()), at).toBe(want[type]);
          const absmax = await take(plain.absmax());
          expect(digest(absmax), at).toBe(want.absmax);
          const [own, theirs] = new Int32Array(Float32Array.of(meanAbsmax(absmax), want.offset).buffer);
          expect(Math.abs(own! - theirs!), `offset of ${at}, in the last place`).toBeLessThanOrEqual(2);

          const nested = nestAbsmax(backend, absmax, want.offset);
          expect(digest(await nested.absmax.read()), at).toBe(want["nested.codes"]);
          expect(digest(await nested.nestedAbsmax.read()), at).toBe(want["nested.absmax"]);
          const { absmax: first, ...weight } = plain.weight;
          const linear = new Nf4Linear({ ...weight, ...nested }, plain.facts);
          expect(digest(await take(linear.materialize(dtype))), at).toBe(want[`${type}.back`]);
          first.dispose();
          linear.dispose();
        }
      }
    }
  });
});
