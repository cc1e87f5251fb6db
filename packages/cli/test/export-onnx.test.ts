import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { verifyFolder } from "@ft/weights";
import { afterEach, describe, expect, it, vi } from "vitest";
import { expectRefusal, setup } from "./refusal.ts";
import { ft } from "./run-ft.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

/** A folder in which a module takes the place of ONNX Runtime, as the one that the command runs in. */
async function inFolderWith(folder: string, source: string): Promise<void> {
  const place = join(folder, "node_modules/onnxruntime-node/dist");
  await mkdir(place, { recursive: true });
  await writeFile(join(place, "index.js"), source);
  await writeFile(
    join(place, "../package.json"),
    JSON.stringify({ name: "onnxruntime-node", version: "9.8.7", main: "dist/index.js" }),
  );
  vi.spyOn(process, "cwd").mockReturnValue(folder);
}

describe("ft export --to onnx", () => {
  it("merges an adapter into files of several types, and says that nothing was compared without ONNX Runtime", async () => {
    const { folder, model, data, out } = await setup();
    const train = ["train", "--model", model, "--data", data, "--out", out, "--max-steps", "2", "--batch-size", "4"];
    expect((await ft(...train)).code).toBe(0);
    const web = join(folder, "my-model");
    const to = ["export", "--to", "onnx", "--model", model, "--adapter", out, "--out", web];
    const ran = await ft(...to, "--type", "q4, FP16,q4", "--shard-size", "8kB");
    expect(ran.code, ran.err).toBe(0);
    const names = await readdir(join(web, "onnx"));
    const dataFiles = (type: string) => names.filter((name) => name.startsWith(`model_${type}.onnx_data`)).length;
    expect(names).toEqual(expect.arrayContaining(["model_q4.onnx", "model_fp16.onnx"]));
    expect(names).toHaveLength(2 + dataFiles("q4") + dataFiles("fp16"));
    expect(dataFiles("fp16")).toBeGreaterThan(2);
    const config = JSON.parse(await readFile(join(web, "config.json"), "utf8"));
    expect(config["transformers.js_config"]).toEqual({
      dtype: "q4",
      use_external_data_format: { "model_q4.onnx": dataFiles("q4"), "model_fp16.onnx": dataFiles("fp16") },
      kv_cache_dtype: { fp16: "float16" },
    });
    expect((await verifyFolder(web)).has("onnx/model_q4.onnx_data_1")).toBe(true);

    const card = await readFile(join(web, "README.md"), "utf8");
    expect(card).toContain("library_name: transformers.js");
    expect(card).toContain("decoder with key/value cache, q4, fp16, adapter merged");
    expect(card).toMatch(/```js\nimport \{ env, pipeline \}[\s\S]*"my-model", \{ dtype: "q4" \}[\s\S]*```\n/);
    expect(card).not.toContain(folder);
    for (const said of [card, ran.err]) {
      expect(said).toContain("tokens and template: the same for 4 prompts");
      expect(said).toContain("not checked in onnxruntime: npm i onnxruntime-node");
    }
    expect(ran.out).toContain(`pipeline("text-generation", "my-model"`);
  });

  it("writes fp32 where no type is named", async () => {
    const { folder, model } = await setup();
    const web = join(folder, "web");
    const ran = await ft("export", "--to", "onnx", "--model", model, "--out", web, "--no-check", "--json");
    expect(ran.code, ran.err).toBe(0);
    const { types, files, check } = JSON.parse(ran.out);
    expect(types).toEqual(["fp32"]);
    expect(files.map(({ name }: { name: string }) => name)).toEqual(["onnx/model.onnx", "onnx/model.onnx_data"]);
    expect(check).toBeNull();
    expect(ran.err).not.toContain("onnxruntime");
  });

  it("says why an ONNX Runtime that is there cannot be used, and keeps the export", async () => {
    const { folder, model } = await setup();
    const web = join(folder, "web");
    await inFolderWith(folder, `throw new Error("no binary for this machine\\nand more");`);
    const ran = await ft("export", "--to", "onnx", "--model", model, "--out", web);
    expect(ran.code, ran.err).toBe(0);
    expect(await readFile(join(web, "README.md"), "utf8")).toContain(
      "not checked in onnxruntime: onnxruntime-node does not load (no binary for this machine): npm i onnxruntime-node",
    );
  });

  it("stops where ONNX Runtime cannot load what was written", async () => {
    const { folder, model } = await setup();
    const create = `async (path) => { throw new Error("bad node in " + path.slice(-15)); }`;
    await inFolderWith(folder, `module.exports = { InferenceSession: { create: ${create} } };`);
    const ran = await ft("export", "--to", "onnx", "--model", model, "--out", join(folder, "web"));
    expect(ran.err).toMatch(/ONNX Runtime cannot load .*bad node in onnx\/model\.onnx/);
    expect(ran.code).toBeGreaterThan(0);
  });

  it("refuses what it cannot do before it begins", async () => {
    const { folder, model } = await setup();
    const out = join(folder, "out");
    const run = (...more: string[]) => ft("export", "--to", "onnx", "--model", model, "--out", out, ...more);
    expectRefusal(await run("--type", "nf4"), /--type nf4 is none of onnx's; did you mean bnb4\?/, out);
    expectRefusal(await run("--type", "fp32,q4f61"), /--type q4f61 is none of onnx's; did you mean q4f16\?/, out);
    expectRefusal(await run("--type", "q4,Q4_K_M"), /use --type fp32, fp16, .*bnb4, or several with commas/, out);
    expectRefusal(await run("--type", "fp32,"), /--type {2}is none of onnx's/, out);
    expectRefusal(await run("--data", join(folder, "none.json")), /none\.json/, out);
    expectRefusal(await run("--shard-size", "2"), /give a unit/, out);
    const gguf = await ft("export", "--to", "gguf", "--type", "F16,Q8_0", "--model", model, "--out", out);
    expectRefusal(gguf, /--type F16,Q8_0 is none of gguf's/, out);
  });
});
