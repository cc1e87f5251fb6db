import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { type HubServer, startHub } from "../../weights/test/hub-server.ts";
import { parseHubName } from "../src/run/hub-name.ts";
import { emptyFolder, ft } from "./run-ft.ts";
import { someRows, tinyModel } from "./tiny-model.ts";

const commit = "abcdef0123456789abcdef0123456789abcdef01";
const id = "org/tiny";

/** A hub with one whole model on it, and an environment in which `ft` uses it with an empty cache. */
async function hubWithTiny(more: Record<string, string> = {}): Promise<{ hub: HubServer; cache: string }> {
  const folder = await tinyModel(join(await emptyFolder(), "model"));
  const files: Record<string, Buffer | string> = { ...more };
  for (const name of await readdir(folder)) files[name] = await readFile(join(folder, name));
  const hub = await startHub({ id, commit, files });
  const cache = await emptyFolder();
  vi.stubEnv("HF_ENDPOINT", hub.endpoint);
  vi.stubEnv("HF_HUB_CACHE", cache);
  vi.stubEnv("HF_TOKEN", "");
  vi.stubEnv("HF_HUB_OFFLINE", "");
  return { hub, cache };
}
afterEach(() => {
  vi.unstubAllEnvs();
});

const names = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"];
const answer = ["--prompt", "hi", "--max-new-tokens", "2", "--threads", "1"];

describe("ft pull", () => {
  it("fetches what ft uses, prints the folder, and has nothing to do the second time", async () => {
    const { hub, cache } = await hubWithTiny({ "pytorch_model.bin": "x", "onnx/model.bin": "x", "README.md": "x" });
    const first = await ft("pull", id);
    const folder = join(cache, "models--org--tiny", "snapshots", commit);
    expect([first.code, first.out]).toEqual([0, `${folder}\n`]);
    expect((await readdir(folder)).sort()).toEqual(names);
    expect(first.err).toMatch(/100 %.*4\/4 files\n4 files, .* downloaded now/);
    hub.fetched.length = 0;
    const second = await ft("pull", id, "--json");
    expect(JSON.parse(second.out)).toMatchObject({ id, revision: "main", commit, folder, received: 0 });
    expect(hub.fetched).toEqual([]);
  });

  it("takes --include, --exclude, --revision and --cache", async () => {
    await hubWithTiny({ "a.Q4_1.gguf": "x", "b.Q8_0.gguf": "x" });
    const elsewhere = await emptyFolder();
    const pulled = await ft("pull", id, "--include", "*.gguf", "--exclude", "*Q8*", "--cache", elsewhere, "--json");
    expect(JSON.parse(pulled.out)).toMatchObject({ files: [{ path: "a.Q4_1.gguf", size: 1 }], received: 1 });
    const one = await ft("pull", `${id}/b.Q8_0.gguf@${commit}`, "--json");
    expect(JSON.parse(one.out)).toMatchObject({ revision: commit, files: [{ path: "b.Q8_0.gguf" }] });
    const none = await ft("pull", id, "--revision", "v2");
    expect([none.code, none.err]).toEqual([2, expect.stringMatching(/at v2: there is no such revision/)]);
    const twice = await ft("pull", `${id}@main`, "--revision", "main");
    expect([twice.code, twice.err]).toEqual([2, expect.stringMatching(/both give a revision/)]);
  });

  it("says what is wrong, as text and as JSON", async () => {
    const { hub } = await hubWithTiny();
    const bad = await ft("pull", "not an id");
    expect([bad.code, bad.err]).toEqual([
      2,
      expect.stringMatching(/^error: "not an id" is not the id[^\n]*\n {2}an id is/),
    ]);
    hub.fault = () => ({ status: 401 });
    const { code, out } = await ft("pull", id, "--json");
    expect([code, JSON.parse(out).error.code, JSON.parse(out).error.hint]).toEqual([
      2,
      "missing",
      expect.stringContaining("HF_TOKEN"),
    ]);
  });

  it("stops at Ctrl-C with 130, and goes on the next time", async () => {
    const { hub, cache } = await hubWithTiny({ "big.safetensors": "x".repeat(400_000) });
    hub.fault = ({ at }) => (at === "cdn" ? { slow: 10 } : undefined);
    const listeners = process.listenerCount("SIGINT");
    const running = ft("pull", id, "--include", "big.safetensors");
    const part = async (): Promise<boolean> =>
      (await readdir(cache, { recursive: true })).some((n) => n.endsWith(".incomplete"));
    await vi.waitUntil(async () => process.listenerCount("SIGINT") > listeners && (await part()));
    await new Promise((wait) => setTimeout(wait, 100));
    process.emit("SIGINT");
    const { code, err } = await running;
    expect([code, err]).toEqual([
      130,
      expect.stringMatching(/stopped; .* of 400\.0 kB are kept\n {2}the same command/),
    ]);
    hub.fetched.length = 0;
    expect((await ft("pull", id, "--include", "big.safetensors")).code).toBe(0);
    expect(hub.fetched).toEqual([expect.stringMatching(/^big\.safetensors bytes=[1-9]\d*-$/)]);
  });
});

describe("--model org/name", () => {
  it("downloads once, then asks nobody", async () => {
    const { hub } = await hubWithTiny();
    const first = await ft("generate", "--model", id, ...answer);
    expect([first.code, first.err]).toEqual([0, expect.stringMatching(/org\/tiny is not here yet: from the hub/)]);
    hub.asked.length = 0;
    const second = await ft("generate", "--model", `${id}@main`, ...answer);
    expect([second.code, second.err, second.out, hub.asked]).toEqual([0, "", first.out, []]);
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    expect((await ft("generate", "--model", id, ...answer)).out).toBe(first.out);
  });

  it("takes the tokenizer alone where that is enough, and the rest when it is needed", async () => {
    const { hub } = await hubWithTiny();
    const data = await someRows(join(await emptyFolder(), "rows.json"));
    expect((await ft("data", "stats", "--model", id, "--data", data)).code).toBe(0);
    expect(hub.fetched).not.toContain("model.safetensors");
    hub.fetched.length = 0;
    expect((await ft("generate", "--model", id, ...answer)).code).toBe(0);
    expect(hub.fetched).toEqual(["model.safetensors"]);
  });

  it("is a path where there is one", async () => {
    const { hub } = await hubWithTiny();
    const folder = await emptyFolder();
    const here = relative(process.cwd(), await tinyModel(join(folder, "model")));
    expect((await ft("generate", "--model", here, ...answer)).code).toBe(0);
    await mkdir(join(folder, "org"));
    await tinyModel(join(folder, "org", "tiny"));
    await writeFile(
      join(folder, "run.json"),
      JSON.stringify({ model: id, data: await someRows(join(folder, "rows.json")), out: "run" }),
    );
    const local = await ft("train", join(folder, "run.json"), "--max-steps", "1", "--threads", "1");
    expect([local.code, hub.asked]).toEqual([0, []]);
  });

  it("trains from a name: the run records it with its commit, the adapter by its id, and resumes", async () => {
    const { hub } = await hubWithTiny();
    const folder = await emptyFolder();
    const [out, data] = [join(folder, "run"), await someRows(join(folder, "rows.json"))];
    await writeFile(join(folder, "run.yaml"), `model: ${id}\ndata: rows.json\nout: run\nmaxSteps: 2\n`);
    const ran = await ft("train", join(folder, "run.yaml"), "--data", data, "--threads", "1");
    expect([ran.code, ran.err]).toEqual([0, expect.stringContaining("from the hub")]);
    const record = JSON.parse(await readFile(join(out, "run.json"), "utf8"));
    expect(record.config.model).toBe(`${id}@${commit}`);
    const adapter = JSON.parse(await readFile(join(out, "adapter", "adapter_config.json"), "utf8"));
    expect(adapter.base_model_name_or_path).toBe(id);
    hub.asked.length = 0;
    const resumed = await ft("train", "--out", out, "--resume", "--max-steps", "3", "--threads", "1");
    expect([resumed.code, hub.asked]).toEqual([0, []]);
  });

  it("says that it found neither a path nor a model", async () => {
    await hubWithTiny();
    const { code, err } = await ft("generate", "--model", "org/tyni", ...answer);
    expect([code, err]).toEqual([
      2,
      expect.stringMatching(/there is no org\/tyni here, and from the hub: .*no model org\/tyni/),
    ]);
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    const offline = await ft("generate", "--model", id, ...answer);
    expect([offline.code, offline.err]).toEqual([
      2,
      expect.stringMatching(/not in the cache.*switched off\n.*HF_HUB_OFFLINE/),
    ]);
  });

  it("asks for a file where a repository has no safetensors", async () => {
    const { hub } = await hubWithTiny();
    hub.models = [{ id, commit, files: { "config.json": "{}", "tiny.Q4_1.gguf": "x" } }];
    const { code, err } = await ft("generate", "--model", id, ...answer);
    expect([code, err]).toEqual([
      2,
      expect.stringMatching(/no config\.json and safetensors.*\n.*org\/tiny\/FILE\.gguf/),
    ]);
  });
});

it("tells names on the hub from paths", () => {
  const name = (text: string): object | undefined => parseHubName(text);
  expect(name("org/name")).toEqual({ id: "org/name", file: undefined, revision: undefined });
  expect(name("org/name@refs/pr/1")).toMatchObject({ id: "org/name", revision: "refs/pr/1" });
  expect(name("org/name/sub/x.gguf@v1")).toEqual({ id: "org/name", file: "sub/x.gguf", revision: "v1" });
  for (const path of [
    "model",
    "./model",
    "../a/b",
    "/a/b",
    "a/b/c",
    "a/b.gguf",
    "a//b",
    "org/name@",
    "a/b/../c.gguf",
    "C:\\a",
    "",
  ])
    expect(name(path), path).toBeUndefined();
});
