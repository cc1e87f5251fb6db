import { spawnSync } from "node:child_process";
import { readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createCpuBackend } from "@ft/backend-cpu";
import { applyLora, loadAdapter, saveAdapter } from "@ft/lora";
import { loadModel, saveModel } from "@ft/models";
import { sizeOf } from "@ft/tensor";
import { openSafetensors, verifyFolder, writeSafetensors } from "@ft/weights";
import { describe, expect, it } from "vitest";
import { canMount, tinyDisk } from "../../weights/test/fixtures.ts";
import { expectRefusal } from "./refusal.ts";
import { emptyFolder, ft, type Ran } from "./run-ft.ts";
import { tinyModel } from "./tiny-model.ts";

interface At {
  readonly folder: string;
  readonly model: string;
  readonly adapter: string;
  readonly out: string;
}

/** A model, an adapter over it, and where an export would be written. */
async function made(): Promise<At> {
  const folder = await emptyFolder();
  const at = { folder, model: await tinyModel(join(folder, "model")), adapter: join(folder, "adapter") };
  using model = await loadModel(at.model, { backend: await createCpuBackend() });
  await saveAdapter(applyLora(model, { r: 2 }), at.adapter);
  return { ...at, out: join(folder, "out", "here") };
}

const ways = {
  merge: ({ model, adapter, out }: At) =>
    ft("merge", "--model", model, "--adapter", adapter, "--out", out, "--dtype", "bf16"),
  "export --to gguf": ({ model, adapter, out }: At) =>
    ft("export", "--to", "gguf", "--type", "Q8_0", "--model", model, "--adapter", adapter, "--out", out),
  "export --to bnb": ({ model, out }: At) => ft("export", "--to", "bnb", "--model", model, "--out", out),
} as const;
const names = ["merge", "export --to gguf", "export --to bnb"] as const;

/** What every refused export looks like: and neither a folder nor a part of one is left where it would have been. */
async function refused(ran: Ran, message: RegExp, { out }: At): Promise<void> {
  expectRefusal(ran, message, out);
  expect(await readdir(join(out, "..")).catch(() => [])).toEqual([]);
}

const prlimit = (...args: string[]) => spawnSync("prlimit", ["--pid", `${process.pid}`, ...args], { encoding: "utf8" });
const canLimit = process.platform === "linux" && prlimit("--fsize").status === 0;

/** Lets no file of this process grow beyond some bytes while something runs. */
async function withFilesUpTo<T>(bytes: number, run: () => Promise<T>): Promise<T> {
  const before = prlimit("--fsize", "--output", "SOFT", "--noheadings").stdout.trim();
  prlimit(`--fsize=${bytes}:`);
  try {
    return await run();
  } finally {
    prlimit(`--fsize=${before}:`);
  }
}

/** Writes a file of tensors again without one of them. */
async function dropTensor(file: string, dropped: string): Promise<void> {
  const source = await openSafetensors(file);
  const kept = [...source.tensors].filter(([name]) => name !== dropped);
  expect(kept.length).toBe(source.tensors.size - 1);
  const entries = await Promise.all(
    kept.map(async ([name, { shape }]) => {
      const data = await source.read(name, "f32");
      return { name, dtype: "f32" as const, shape, data: () => data };
    }),
  );
  await source.close();
  await writeSafetensors(file, entries, new Map([["format", "pt"]]));
}

describe.each(names)("ft %s refuses, and leaves nothing behind,", (name) => {
  const run = ways[name];

  it("a folder without one of its tensors", async () => {
    const at = await made();
    await dropTensor(join(at.model, "model.safetensors"), "model.layers.1.mlp.up_proj.weight");
    await refused(await run(at), /1 weights are missing \(model\.layers\.1\.mlp\.up_proj\.weight\)/, at);
  });

  it("a folder without one of its shards", async () => {
    const at = await made();
    const sharded = join(at.folder, "sharded");
    using model = await loadModel(at.model, { backend: await createCpuBackend() });
    await saveModel(model, sharded, { from: at.model, shardSize: 20_000 });
    const shards = (await readdir(sharded)).filter((file) => file.endsWith(".safetensors"));
    expect(shards.length).toBeGreaterThan(3);
    await rm(join(sharded, shards[2]!));
    await refused(await run({ ...at, model: sharded }), new RegExp(`${shards[2]}.*no such file`), at);
  });

  it("a file that ends too early, wherever", async () => {
    const at = await made();
    const file = join(at.model, "model.safetensors");
    const { size } = await stat(file);
    for (const kept of [size - 1, Math.floor(size / 2), 100, 4, 0]) {
      await truncate(file, kept);
      await refused(await run(at), /model\.safetensors/, at);
    }
  });
});

describe.each(["merge", "export --to gguf"] as const)("ft %s refuses, and leaves nothing behind,", (name) => {
  it("no tokenizer, or a broken one", async () => {
    const at = await made();
    const file = join(at.model, "tokenizer.json");
    await writeFile(file, (await readFile(file)).subarray(0, 300));
    await refused(await ways[name](at), /tokenizer\.json/, at);
    await rm(file);
    await refused(await ways[name](at), /tokenizer\.json.*no such file/, at);
  });

  it("an adapter without one of its tensors, or cut short", async () => {
    const at = await made();
    const file = join(at.adapter, "adapter_model.safetensors");
    await dropTensor(file, "base_model.model.model.layers.0.mlp.up_proj.lora_B.weight");
    await refused(await ways[name](at), /1 tensors are missing \(.*layers\.0\.mlp\.up_proj\.lora_B/, at);
    await truncate(file, 1000);
    await refused(await ways[name](at), /adapter_model\.safetensors/, at);
  });

  it("an adapter that makes a weight infinite", async () => {
    const at = await made();
    using model = await loadModel(at.model, { backend: await createCpuBackend() });
    const adapter = await loadAdapter(model, at.adapter);
    for (const x of adapter.parameters().values()) x.write(new Float32Array(sizeOf(x.shape)).fill(1e30));
    await saveAdapter(adapter, at.adapter);
    await refused(await ways[name](at), /model\.layers\.0.*is (Infinity|NaN) at \d+/, at);
  });

  // a little more room each time: full at the first byte, in the weights, in the files beside them, at the card
  it.skipIf(!canMount)("what does not fit on the disk, until it fits", async () => {
    const at = await made();
    const disk = await tinyDisk();
    const filling = join(disk, "filling");
    let ran: Ran | undefined;
    let times = 0;
    for (let free = 0; free <= 60 && ran?.code !== 0; free += 4) {
      await rm(filling, { force: true });
      await writeFile(filling, new Uint8Array((64 - free) * 1024));
      const out = join(disk, "out");
      ran = await ways[name]({ ...at, out });
      if (ran.code === 0) continue;
      times++;
      expectRefusal(ran, /ENOSPC[\s\S]*free some disk space/, out);
      expect(await readdir(disk)).toEqual(["filling"]);
    }
    expect(times).toBeGreaterThan(4);
    expect(ran?.err).toContain("saved");
    await verifyFolder(join(disk, "out"));
  });

  it.skipIf(!canLimit)("a file that cannot grow any further", async () => {
    const at = await made();
    for (const bytes of [0, 1000, 20_000]) {
      const ran = await withFilesUpTo(bytes, () => ways[name](at));
      await refused(ran, /EFBIG[\s\S]*cannot hold a file this large/, at);
    }
    expect((await ways[name](at)).code).toBe(0);
  });
});
