import { appendFile, copyFile, cp, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { type PushHub, startPushHub, writeToken } from "../../weights/test/hub-push-server.ts";
import { setup } from "./refusal.ts";
import { emptyFolder, ft, type Ran } from "./run-ft.ts";
import { tinyModel } from "./tiny-model.ts";

const id = "org/tiny-tuned";
const someGguf = new URL("../../../tools/goldens/data/llama-gguf/gqa.gguf", import.meta.url);
const base = "org/tiny";

/** A hub that takes uploads, and an environment in which `ft` uses it with an empty cache. */
async function pushHub(): Promise<PushHub> {
  const hub = await startPushHub();
  vi.stubEnv("HF_ENDPOINT", hub.endpoint);
  vi.stubEnv("HF_HUB_CACHE", await emptyFolder());
  vi.stubEnv("HF_TOKEN", writeToken);
  vi.stubEnv("HF_HUB_OFFLINE", "");
  return hub;
}
afterEach(() => {
  vi.unstubAllEnvs();
});

/** A run of a few steps over a tiny model. */
async function trained(...more: readonly string[]) {
  const at = await setup();
  const args = ["train", "--model", at.model, "--data", at.data, "--out", at.out, "--max-steps", "3", ...more];
  const { code, err } = await ft(...args, "--batch-size", "4", "--learning-rate", "0.05", "--threads", "1");
  expect(code, err).toBe(0);
  return at;
}

async function succeeds(...args: readonly string[]): Promise<Ran> {
  const ran = await ft(...args);
  expect(ran.code, ran.err).toBe(0);
  return ran;
}

async function answer(...model: readonly string[]): Promise<string> {
  const ask = ["--prompt", "hello", "--max-new-tokens", "12", "--threads", "1", "--json"];
  return JSON.parse((await succeeds("generate", ...ask, ...model)).out).text;
}

const textOf = (hub: PushHub, path: string): string => Buffer.from(hub.models[0]?.files[path] ?? "").toString();
const pathsOf = (hub: PushHub): string[] =>
  Object.keys(hub.models[0]?.files ?? {})
    .filter((path) => path !== ".gitattributes")
    .sort();

async function expectRefused(hub: PushHub, args: readonly string[], says: RegExp): Promise<void> {
  const { code, out, err } = await ft("push", ...args);
  expect([code, out]).toEqual([2, ""]);
  expect(err).toMatch(says);
  expect(err).not.toMatch(/internal fault|TypeError|SyntaxError/);
  expect([hub.models, hub.asked.filter(({ method }) => method === "POST")]).toEqual([[], []]);
}

describe("ft push", () => {
  it("uploads a run's adapter with a card, and pulled back it answers as it did", async () => {
    const hub = await pushHub();
    const { folder, model, out } = await trained();
    const before = await readdir(out, { recursive: true });
    const ran = await succeeds("push", out, id, "--base-model", base);
    const { commit } = hub.models[0] ?? {};
    expect(ran.out).toBe(`${hub.endpoint}/${id}/commit/${commit}\n`);
    expect(ran.err).toMatch(
      /^adapter .*\/adapter\n[\s\S]*made +org\/tiny-tuned\n[\s\S]*100 %[\s\S]*pushed +3 files, 0 unchanged/,
    );
    expect(pathsOf(hub)).toEqual(["README.md", "adapter_config.json", "adapter_model.safetensors"]);
    expect(await readdir(out, { recursive: true })).toEqual(before);

    const config = await readFile(join(out, "adapter", "adapter_config.json"), "utf8");
    expect(textOf(hub, "adapter_config.json")).toBe(config.replace(JSON.stringify(model), JSON.stringify(base)));
    const card = textOf(hub, "README.md");
    expect(card).toMatch(
      /^---\nbase_model: org\/tiny\nlibrary_name: peft\npipeline_tag: text-generation\ntags: \[ft, lora, fine-tuned\]\n---\n\n# tiny-tuned\n/,
    );
    expect(card).toContain("| data | rows.json |");
    expect(card).toContain(`ft chat --model ${base} --adapter "$(ft pull ${id})"`);
    for (const [path, content] of Object.entries(hub.models[0]?.files ?? {}))
      expect(Buffer.from(content).includes(folder), path).toBe(false);

    const pulled = (await succeeds("pull", id)).out.trim();
    const weights = "adapter_model.safetensors";
    expect((await readFile(join(pulled, weights))).equals(await readFile(join(out, "adapter", weights)))).toBe(true);
    const tuned = await answer("--model", model, "--adapter", out);
    expect(await answer("--model", model, "--adapter", pulled)).toBe(tuned);
    expect(await answer("--model", model)).not.toBe(tuned);
  });

  it("uploads a merged folder, which then answers by its name", async () => {
    const hub = await pushHub();
    const { folder, model, out } = await trained();
    const merged = join(folder, "merged");
    await succeeds(
      "export",
      "--to",
      "vllm",
      "--model",
      model,
      "--adapter",
      out,
      "--out",
      merged,
      "--shard-size",
      "20kB",
    );
    hub.partSize = 7000; // shards in parts
    const ran = await succeeds("push", merged, id);
    expect(ran.err).toMatch(/^model .*files are as they were written/);
    const local = (await readdir(merged)).filter((name) => name !== "manifest.json");
    expect(pathsOf(hub)).toEqual(local.sort());
    for (const name of local.filter((one) => one !== "README.md"))
      expect(Buffer.from(hub.models[0]?.files[name] ?? "").equals(await readFile(join(merged, name))), name).toBe(true);
    expect(await readFile(join(merged, "README.md"), "utf8")).toContain("vllm serve merged\n");
    expect(textOf(hub, "README.md")).toContain(`vllm serve ${id}`);
    expect(textOf(hub, "README.md")).not.toContain(folder);
    expect(await answer("--model", id)).toBe(await answer("--model", merged));
    // the folder's card has no id for its base; the one that goes up may
    await writeFile(join(merged, "losses.base.jsonl"), "{}\n");
    await succeeds("push", merged, id, "--base-model", "org/base");
    expect(textOf(hub, "README.md")).toMatch(/^---\nbase_model: org\/base\nlibrary_name: transformers\n/);
    expect(pathsOf(hub)).not.toContain("losses.base.jsonl");
  });

  it("uploads what a full run saved, and .gguf files", async () => {
    const hub = await pushHub();
    const { out } = await trained("--method", "full");
    await succeeds("push", out, id);
    expect(pathsOf(hub)).toEqual(expect.arrayContaining(["README.md", "config.json", "model.safetensors"]));
    expect(textOf(hub, "README.md")).toMatch(/tags: \[ft, fine-tuned\]/);
    expect(textOf(hub, "README.md")).not.toContain("base_model");
    const gguf = await emptyFolder();
    for (const name of ["a.gguf", "it's b.gguf", ".c.gguf"]) await copyFile(someGguf, join(gguf, name));
    hub.models = [];
    await succeeds("push", gguf, id);
    expect(pathsOf(hub)).toEqual(["README.md", "a.gguf", "it's b.gguf"]);
    const commands = textOf(hub, "README.md").match(/^ft .*/gm);
    expect(commands).toEqual([`ft chat --model ${id}/a.gguf`, `ft chat --model '${id}/it'\\''s b.gguf'`]);
  });

  it("puts what an evaluation of the run found into the card, without its rows", async () => {
    const hub = await pushHub();
    const { folder, model, data, out } = await trained();
    const measured = ["--max-new-tokens", "4", "--limit", "6", "--threads", "1"];
    await succeeds("eval", "--model", model, "--adapter", out, "--data", data, "--out", join(out, "eval"), ...measured);
    await succeeds("push", out, id, "--base-model", base);
    const card = textOf(hub, "README.md");
    expect(card).toMatch(/## Evaluation\n\n6 rows; 95 % intervals[\s\S]*\| {2}\| base \| run \| difference \| p \|/);
    expect(card).not.toContain("Say 1.");
    expect(card).not.toContain(folder);
    expect(pathsOf(hub)).toHaveLength(3);
    // measured before the adapter changed, it says nothing of what goes up
    await appendFile(join(out, "adapter", "adapter_config.json"), "\n");
    await succeeds("push", out, "org/changed", "--base-model", base);
    const changed = Buffer.from(hub.models[1]?.files["README.md"] ?? "").toString();
    expect(changed).toContain(`LoRA adapter over ${base}`);
    expect(changed).not.toContain("## Evaluation");
  });

  it("says that nothing changed, and sends only what did", async () => {
    const hub = await pushHub();
    const model = await tinyModel(join(await emptyFolder(), "model"));
    const first = await succeeds("push", model, id);
    const again = await succeeds("push", model, id);
    expect([again.out, again.err]).toEqual([
      first.out,
      expect.stringContaining(`nothing changed: ${id} has all 4 files`),
    ]);
    expect(hub.commits).toHaveLength(1);
    expect(again.err).toContain(`README.md of ${id} stays`);
    await appendFile(join(model, "tokenizer_config.json"), "\n");
    const ran = JSON.parse((await succeeds("push", model, id, "--message", "A line more", "--json")).out);
    expect(ran).toMatchObject({
      id,
      revision: "main",
      kind: "model",
      changed: ["tokenizer_config.json"],
      sent: 0,
      pullRequest: null,
    });
    expect(ran.unchanged).toHaveLength(3);
    expect(hub.commits.at(-1)).toMatchObject({ summary: "A line more", paths: ["tokenizer_config.json"] });
    // what loaders may take instead of what is there now
    await rename(join(model, "model.safetensors"), join(model, "model-00001-of-00001.safetensors"));
    const map = Object.fromEntries(
      ["model.embed_tokens.weight"].map((name) => [name, "model-00001-of-00001.safetensors"]),
    );
    await writeFile(join(model, "model.safetensors.index.json"), JSON.stringify({ metadata: {}, weight_map: map }));
    const stale = await ft("push", model, id, "--include", "*safetensors*");
    expect(stale.err).toMatch(/also has model\.safetensors, not in this folder/);
  });

  it("does not go over a card that somebody wrote on the hub, but by one of the folder's own", async () => {
    const hub = await pushHub();
    const model = await tinyModel(join(await emptyFolder(), "model"));
    await succeeds("push", model, id);
    hub.models = hub.models.map((one) => ({ ...one, files: { ...one.files, "README.md": "by hand" } }));
    await appendFile(join(model, "tokenizer_config.json"), "\n");
    await succeeds("push", model, id);
    expect(textOf(hub, "README.md")).toBe("by hand");
    await writeFile(join(model, "README.md"), "# New\n");
    await succeeds("push", model, id);
    expect(textOf(hub, "README.md")).toBe("# New\n");
  });

  it("takes --private, --revision, --create-pr, --include and --exclude", async () => {
    const hub = await pushHub();
    const model = await tinyModel(join(await emptyFolder(), "model"));
    await mkdir(join(model, "checkpoints"));
    for (const name of ["manifest.txt", "run.json", "metrics.jsonl", "checkpoints/x", ".hidden"])
      await writeFile(join(model, name), "{}");
    await succeeds("push", model, id, "--private", "--exclude", "manifest.*", "--exclude", "tokenizer*");
    expect(hub.models[0]?.private).toBe(true);
    // a choice of files is the user's: no card is added
    expect(pathsOf(hub)).toEqual(["config.json", "model.safetensors"]);
    await succeeds("push", model, id, "--revision", "next", "--include", "run.json");
    const next = hub.models.find(({ branch }) => branch === "next");
    expect(Object.keys(next?.files ?? {})).toContain("run.json");
    const asked = await succeeds("push", model, id, "--create-pr");
    expect(asked.out).toBe(`${hub.endpoint}/${id}/discussions/1\n`);
    expect(Object.keys(hub.models.at(-1)?.files ?? {}).sort()).toEqual(
      [
        ".gitattributes",
        "README.md",
        "config.json",
        "manifest.txt",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
      ].sort(),
    );
    const none = await ft("push", model, id, "--include", "*.bin");
    expect([none.code, none.err]).toEqual([2, expect.stringMatching(/leave no file.*\n.*config\.json/)]);
  });

  it("leaves the repository as it was at Ctrl-C, and says so", async () => {
    const hub = await pushHub();
    const model = await tinyModel(join(await emptyFolder(), "model"));
    await succeeds("push", model, id, "--include", "config.json");
    const before = hub.models;
    let reached = false;
    hub.storageFault = () => {
      reached = true;
      return { slow: 50 };
    };
    const running = ft("push", model, id);
    await vi.waitUntil(() => reached);
    process.emit("SIGINT");
    const { code, out, err } = await running;
    expect([code, out]).toEqual([130, ""]);
    expect(err).toMatch(/stopped before the commit; org\/tiny-tuned is as it was\n {2}the same command sends only/);
    expect(hub.models).toEqual(before);
    hub.storageFault = () => undefined;
    await succeeds("push", model, id);
    expect(pathsOf(hub)).toHaveLength(5);
  });
});

describe("ft push refuses", () => {
  it("to begin without a token, or with a name that is none", async () => {
    const hub = await pushHub();
    const model = await tinyModel(join(await emptyFolder(), "model"));
    vi.stubEnv("HF_TOKEN", "");
    vi.stubEnv("HF_HOME", await emptyFolder());
    await expectRefused(hub, ["/nowhere", id], /no token to upload to org\/tiny-tuned.*\n.*HF_TOKEN.*hf auth login/);
    vi.stubEnv("HF_TOKEN", writeToken);
    await expectRefused(hub, [model, "tiny"], /does not say whose repository.*\n.*ACCOUNT\/tiny/);
    await expectRefused(hub, [model, "https://huggingface.co/org/tiny"], /did you mean org\/tiny\?/);
    await expectRefused(hub, [model, id, "--base-model", "./x"], /--base-model \.\/x is not the id/);
    expect(hub.asked).toEqual([]);
  });

  it("a folder that holds no model", async () => {
    const hub = await pushHub();
    const folder = await emptyFolder();
    await expectRefused(
      hub,
      [folder, id],
      /no adapter \(adapter_config\.json and.*no model \(config\.json and.*no \.gguf file/,
    );
    await expectRefused(hub, [join(folder, "none"), id], /there is no folder/);
    await writeFile(join(folder, "run.json"), "{}");
    await expectRefused(hub, [folder, id], /has saved nothing yet.*\n.*--resume/);
    await expectRefused(hub, [join(folder, "run.json"), id], /is not a folder/);
  });

  it("a damaged folder", async () => {
    const hub = await pushHub();
    const { folder, model, out } = await trained();
    const merged = join(folder, "merged");
    await succeeds("merge", "--model", model, "--adapter", out, "--out", merged, "--no-check", "--threads", "1");
    const weights = join(merged, "model.safetensors");
    const bytes = await readFile(weights);
    const last = bytes.length - 1;
    bytes[last] = (bytes[last] ?? 0) ^ 1;
    await writeFile(weights, bytes);
    await expectRefused(hub, [merged, id], /differs from what was written/);
    // without a manifest the weights' own header is what tells
    const adapter = join(out, "adapter", "adapter_model.safetensors");
    await writeFile(adapter, (await readFile(adapter)).subarray(0, -4));
    await expectRefused(hub, [out, id, "--base-model", base], /adapter_model\.safetensors/);
  });

  it("paths of this machine", async () => {
    const hub = await pushHub();
    const { folder, model, out } = await trained();
    await expectRefused(hub, [out, id], /names its base by a path of this machine.*\n.*--base-model org\/name/);
    // the same where the path could be an id: the run knows better, or there is such a folder
    const named = join(out, "adapter", "adapter_config.json");
    const text = await readFile(named, "utf8");
    await writeFile(named, text.replace(JSON.stringify(model), '"models/tiny"'));
    await expectRefused(hub, [out, id], /\(models\/tiny\)/);
    await writeFile(named, text);
    const adapter = join(folder, "copied");
    await cp(join(out, "adapter"), adapter, { recursive: true });
    const config = join(adapter, "adapter_config.json");
    await writeFile(config, (await readFile(config, "utf8")).replace(JSON.stringify(model), '"packages/cli"'));
    await expectRefused(hub, [adapter, id], /\(packages\/cli\)/);
    await writeFile(join(adapter, "README.md"), `trained on ${join(process.cwd(), "secret", "rows.json")}\n`);
    await writeFile(join(adapter, "notes.txt"), `see file://${join(folder, "copied", "x")}\n`);
    await expectRefused(
      hub,
      [adapter, id, "--base-model", base],
      /README\.md, notes\.txt of .* name paths of this machine/,
    );
    await rm(join(adapter, "README.md"));
    await rm(join(adapter, "notes.txt"));
    await succeeds("push", adapter, id, "--base-model", base);
    expect(JSON.parse(textOf(hub, "adapter_config.json")).base_model_name_or_path).toBe(base);
  });

  it("paths of this machine in texts of any kind and length", async () => {
    const hub = await pushHub();
    const model = await tinyModel(join(await emptyFolder(), "model"));
    const place = JSON.stringify(join(process.cwd(), "secret", "rows.json"));
    const names = ["a.py", "b.csv", "c.log", "d.ipynb", "e", "long.jsonl"];
    for (const name of names)
      await writeFile(join(model, name), `${"{}\n".repeat(name.startsWith("long") ? 500_000 : 1)}${place}\n`);
    // neither is a text: what begins as data does, and what lists words
    await writeFile(join(model, "some.data"), `\0${place}`);
    await writeFile(join(model, "vocab.json"), `{${place}:0}`);
    await expectRefused(hub, [model, id], new RegExp(`${names.join(", ")} of .* name paths of this machine`));
    for (const name of names) await rm(join(model, name));
    await succeeds("push", model, id);
    expect(pathsOf(hub)).toEqual(expect.arrayContaining(["some.data", "vocab.json"]));
  });

  it("links that lead out of the folder, but not those into the hub's cache", async () => {
    const hub = await pushHub();
    const folder = await emptyFolder();
    const model = await tinyModel(join(folder, "model"));
    await writeFile(join(folder, "secret.txt"), "secret");
    await mkdir(join(model, "more"));
    await symlink(join("..", "config.json"), join(model, "more", "same.json"));
    await symlink(join("..", "secret.txt"), join(model, "a.txt"));
    await symlink(join(folder, "secret.txt"), join(model, "more", "b.txt"));
    const says = /a\.txt, more\/b\.txt of .*: links that lead out of the folder.*\n.*--exclude/;
    await expectRefused(hub, [model, id], says);
    await expectRefused(hub, [model, id, "--include", "a.txt"], /a\.txt of .*: a link that leads out/);
    await succeeds("push", model, id, "--exclude", "*.txt");
    expect(textOf(hub, "more/same.json")).toBe(await readFile(join(model, "config.json"), "utf8"));

    const cache = join(folder, "models--org--tiny");
    const snapshot = join(cache, "snapshots", "0123");
    await mkdir(join(snapshot, "more"), { recursive: true });
    await mkdir(join(cache, "blobs"), { recursive: true });
    for (const name of await readdir(model)) {
      if (name.endsWith(".txt") || name === "more") continue;
      await rename(join(model, name), join(cache, "blobs", name));
      await symlink(join("..", "..", "blobs", name), join(snapshot, name));
    }
    await symlink(join("..", "..", "..", "blobs", "config.json"), join(snapshot, "more", "config.json"));
    hub.models = [];
    await succeeds("push", snapshot, id);
    expect(pathsOf(hub)).toEqual(expect.arrayContaining(["config.json", "model.safetensors", "more/config.json"]));
    hub.models = [];
    hub.asked.length = 0;
    await writeFile(join(cache, "refs"), "not content");
    await symlink(join("..", "..", "refs"), join(snapshot, "refs.txt"));
    await expectRefused(hub, [snapshot, id], /refs\.txt of .*: a link that leads out/);
  });

  it("a folder whose weights would stay here, unless a pattern names them", async () => {
    const hub = await pushHub();
    const folder = await emptyFolder();
    await copyFile(someGguf, join(folder, ".-F16.gguf"));
    const says = /no weights of .* would go up: hidden files.*\(\.-F16\.gguf\)\n.*--include/;
    await expectRefused(hub, [folder, id], says);
    await writeFile(join(folder, "README.md"), "# Mine\n");
    await expectRefused(hub, [folder, id], says);
    await succeeds("push", folder, id, "--include", "*.gguf");
    expect(pathsOf(hub)).toEqual([".-F16.gguf"]);
    await succeeds("push", folder, id, "--include", "README.md");
  });

  it("to write where the token may not", async () => {
    const hub = await pushHub();
    const model = await tinyModel(join(await emptyFolder(), "model"));
    const { code, err } = await ft("push", model, "somebody/tiny");
    expect([code, err]).toEqual([2, expect.stringMatching(/making somebody\/tiny: the token may not write/)]);
    expect(hub.models).toEqual([]);
  });
});

it("leaves the path out that a config or a tokenizer's was loaded from, and keeps an id", async () => {
  const hub = await pushHub();
  const folder = await emptyFolder();
  const model = await tinyModel(join(folder, "model"), { _name_or_path: join(folder, "earlier") });
  const tokenizer = join(model, "tokenizer_config.json");
  const settings: object = JSON.parse(await readFile(tokenizer, "utf8"));
  const loadedFrom = (name: string): Promise<void> =>
    writeFile(tokenizer, JSON.stringify({ ...settings, name_or_path: name }));
  await loadedFrom(join(folder, "earlier"));
  await succeeds("push", model, id);
  expect(JSON.parse(textOf(hub, "tokenizer_config.json"))).toEqual({ ...settings, name_or_path: "" });
  expect(JSON.parse(textOf(hub, "config.json"))).toMatchObject({ _name_or_path: "", model_type: "llama" });
  await tinyModel(model, { _name_or_path: base });
  await loadedFrom(base);
  await succeeds("push", model, id);
  expect(JSON.parse(textOf(hub, "config.json"))._name_or_path).toBe(base);
  expect(JSON.parse(textOf(hub, "tokenizer_config.json")).name_or_path).toBe(base);
});
