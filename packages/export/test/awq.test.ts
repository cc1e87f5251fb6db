import { cp, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCpuBackend } from "@ft/backend-cpu";
import { type Llama, loadModel, loadModelFrom, projectionOf } from "@ft/models";
import { type Backend, f32ToF16 } from "@ft/tensor";
import { expectClose, expectSameBytes, leakCheck } from "@ft/testing";
import { openSafetensors, sha256File } from "@ft/weights";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { goldenBatch, goldenFolder, goldenJson, realLogits } from "../../models/test/goldens.ts";
import { awqGrid, toGrid } from "../src/awq/grid.ts";
import { unpackWords } from "../src/awq/packing.ts";
import { asWeights, type ExportAwqOptions, exportAwq, logitKl, openAwq, openExportSource } from "../src/index.ts";

const root = goldenFolder("awq-llama");
const json = goldenJson("awq-llama");
const batch = goldenBatch(json.padded);
const groupSize: number = json.groupSize;
/** rows of pseudo-random tokens */
const calibration = Array.from({ length: 24 }, (_, row) =>
  Array.from({ length: 20 + row }, (_, i) => 3 + ((row * 37 + i * i * 11 + i * 5) % 61)),
);

let backend: Backend;
let dir: string;
beforeAll(async () => {
  backend = await createCpuBackend();
  dir = await mkdtemp(join(tmpdir(), "ft-awq-"));
});
afterAll(async () => {
  backend.dispose?.();
  await rm(dir, { recursive: true, force: true });
});

/** Quantises the base of a case. */
async function quantise(name: string, as: string, options: Omit<ExportAwqOptions, "backend">) {
  await using source = await openExportSource(join(root, name, "base"), { backend });
  const folder = join(dir, `${name}-${as}`);
  return { folder, made: await exportAwq(source, folder, { backend, groupSize, ...options }) };
}

async function load(folder: string): Promise<Llama> {
  await using opened = await openAwq(folder);
  const { weights, facts } = asWeights(opened);
  return await loadModelFrom(weights, facts, { backend });
}

async function digests(folder: string): Promise<readonly string[]> {
  const names = (await readdir(folder)).sort();
  return Promise.all(names.map(async (name) => `${name} ${await sha256File(join(folder, name))}`));
}

/** [rows, columns] to [columns, rows]. */
function turned<T extends Uint8Array | Uint16Array>(x: T, rows: number): T {
  const columns = x.length / rows;
  const out = x.slice() as T;
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[c * rows + r] = x[r * columns + c]!;
  return out;
}

describe.each<string>(json.cases)("AWQ, %s", (name) => {
  it("reads a folder of AutoAWQ's, with the logits that transformers has over its weights", async () => {
    using model = await load(join(root, name, "autoawq"));
    await using golden = await openSafetensors(join(root, name, "golden.safetensors"));
    const bound = { relative: 1e-5, reason: "float32 sums in another order" };
    expectClose(await realLogits(model, batch), await golden.read("logits", "f32"), bound);
  });

  it("writes what rounding decides, and everything else in f16", async () => {
    const { folder, made } = await quantise(name, "rounded", { calibration: [], scale: false, clip: false });
    expect(made.blocks.every(({ error, scales }) => error === undefined && scales.length === 0)).toBe(true);
    await using base = await openSafetensors(join(root, name, "base"));
    await using written = await openSafetensors(folder);
    const left = new Set(written.tensors.keys());
    for (const [tensor, { shape }] of base.tensors) {
      const values = await base.read(tensor, "f32");
      const path = tensor.replace(/\.weight$/, "");
      if (projectionOf(tensor) === undefined) {
        expectSameBytes(await written.read(tensor, "f16"), f32ToF16(values), tensor);
        left.delete(tensor);
        continue;
      }
      const [out = 0, inputs = 0] = shape;
      const grid = awqGrid(values, groupSize);
      const qweight = unpackWords(await written.read(`${path}.qweight`, "i32"));
      const qzeros = unpackWords(await written.read(`${path}.qzeros`, "i32"));
      expectSameBytes(turned(qweight, inputs), toGrid(values, grid, groupSize), `${path}.qweight`);
      expectSameBytes(turned(qzeros, inputs / groupSize), grid.zeros, `${path}.qzeros`);
      expectSameBytes(turned(await written.read(`${path}.scales`, "f16"), inputs / groupSize), grid.scales, path);
      expect(written.tensors.get(`${path}.qweight`)?.shape).toEqual([inputs, out / 8]);
      for (const kind of ["qweight", "qzeros", "scales"]) left.delete(`${path}.${kind}`);
    }
    expect([...left]).toEqual([]);
  });

  it("searches scales that keep more of every block than rounding does, and clips to keep more again", async () => {
    const options = { calibration, searchTokens: 1e6 };
    const errors = async (as: string, scale: boolean, clip: boolean): Promise<readonly number[]> => {
      const { made } = await quantise(name, as, { ...options, scale, clip });
      return made.blocks.map(({ error }) => error ?? Number.NaN);
    };
    const rounded = await errors("plain", false, false);
    const scaled = await errors("scaled", true, false);
    const clipped = await errors("clipped", true, true);
    for (const [i, error] of rounded.entries()) {
      expect(error).toBeLessThan(0.1);
      expect(scaled[i]).toBeLessThan(0.9 * error);
      expect(clipped[i]).toBeLessThan(scaled[i]!);
    }
    using base = await loadModel(join(root, name, "base"), { backend });
    const kl = async (as: string): Promise<number> => {
      using model = await load(join(dir, `${name}-${as}`));
      return (await logitKl(base, model, calibration)).meanKl;
    };
    expect(await kl("clipped")).toBeLessThan(0.8 * (await kl("plain")));
  });

  it("has scales for o_proj only where each of its inputs is an output of v_proj", async () => {
    const { made } = await quantise(name, "layers", { calibration });
    const layers = made.blocks[0]?.scales.map((found) => found.layers.join(" "));
    const mha = name === "mha-tied" ? ["self_attn.o_proj"] : [];
    expect(layers).toEqual([
      "self_attn.q_proj self_attn.k_proj self_attn.v_proj",
      ...mha,
      "mlp.gate_proj mlp.up_proj",
      "mlp.down_proj",
    ]);
  });

  it("gives the same bytes again, and leaves nothing on the backend", async () => {
    const [one, two] = await leakCheck(backend, () =>
      Promise.all(["one", "two"].map((as) => quantise(name, as, { calibration }))),
    );
    expect(await digests(two!.folder)).toEqual(await digests(one!.folder));
    expect((await readdir(one!.folder)).sort()).toEqual(["config.json", "manifest.json", "model.safetensors"].sort());
    const config = JSON.parse(await readFile(join(one!.folder, "config.json"), "utf8"));
    const tied = config.tie_word_embeddings;
    expect(config.dtype ?? config.torch_dtype).toBe("float16");
    expect(config.quantization_config).toEqual({
      ...{ quant_method: "awq", bits: 4, group_size: groupSize, zero_point: true, version: "gemm" },
      modules_to_not_convert: tied ? null : ["lm_head"],
    });
  });
});

describe("a folder written here", async () => {
  const here = goldenFolder("awq-written-here");
  const folder = join(here, "folder");
  it.runIf(process.env.FT_WRITE_AWQ)("is written", async () => {
    await rm(folder, { recursive: true, force: true });
    const { folder: made } = await quantise("gqa-bias", "written", { calibration });
    await cp(made, folder, { recursive: true });
  });

  it("is to AutoAWQ what it is here: integers, zeros and scales to the bit, and logits", async () => {
    await using unpacked = await openSafetensors(join(here, "unpacked.safetensors"));
    await using own = await openSafetensors(folder);
    let layers = 0;
    for (const name of own.tensors.keys()) {
      if (!name.endsWith(".qweight")) continue;
      layers++;
      const path = name.slice(0, -".qweight".length);
      const integers = unpackWords(await own.read(name, "i32"));
      expectSameBytes(await unpacked.read(`${path}.integers`, "u8"), integers, `${path}.integers`);
      const zeros = unpackWords(await own.read(`${path}.qzeros`, "i32"));
      expectSameBytes(await unpacked.read(`${path}.zeros`, "u8"), zeros, `${path}.zeros`);
      expectSameBytes(await unpacked.read(`${path}.scales`, "f16"), await own.read(`${path}.scales`, "f16"), path);
    }
    expect(layers).toBe(14);
    using model = await load(folder);
    const bound = { relative: 1e-5, reason: "float32 sums in another order" };
    expectClose(await realLogits(model, batch), await unpacked.read("logits", "f32"), bound);
  });
});

describe("what is refused", () => {
  const refused = async (options: Partial<ExportAwqOptions>, message: RegExp) => {
    const before = await readdir(dir);
    await leakCheck(backend, () =>
      expect(quantise("gqa-bias", "refused", { calibration, ...options })).rejects.toThrow(message),
    );
    expect(await readdir(dir)).toEqual(before);
  };

  it("leaves nothing behind", async () => {
    await refused({ groupSize: 64 }, /mlp\.down_proj has 96 inputs/);
    await refused({ groupSize: 20 }, /a group size of 20/);
    await refused({ calibration: [] }, /hold no tokens/);
    await refused({ calibration: [[3, 64]] }, /hold id 64, the model knows 64 tokens/);
    const stopped = new AbortController();
    const onProgress = () => stopped.abort(new Error("stopped here"));
    await refused({ signal: stopped.signal, onProgress }, /stopped here/);
  });

  it("is a weight that f16 cannot hold, by its name", async () => {
    await using source = await openExportSource(join(root, "mha-tied", "base"), { backend });
    const large = {
      ...source,
      async readWindow(name: string, start: number, count: number) {
        const values = await source.readWindow(name, start, count);
        return name === "model.norm.weight" ? values.map((value) => value * 1e6) : values;
      },
    };
    const folder = join(dir, "large");
    await expect(exportAwq(large, folder, { backend, groupSize, calibration })).rejects.toThrow(
      /model\.norm\.weight holds .* which f16 cannot/,
    );
    expect(await readdir(dir)).not.toContain("large");
  });

  it("is another quantisation, by the reader", async () => {
    await expect(openAwq(join(root, "mha-tied", "base"))).rejects.toThrow(/quantization_config is undefined/);
    await expect(openAwq(goldenFolder("bnb-llama/nf4"))).rejects.toThrow(/bitsandbytes/);
  });
});
