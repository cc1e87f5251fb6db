import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { cachedSnapshot } from "../src/hub/cached-snapshot.ts";
import { type DownloadProgress, snapshotDownload } from "../src/hub/snapshot-download.ts";
import { expectFtError, goldenFile, temporaryFolder } from "./fixtures.ts";
import { isLarge, startHub } from "./hub-server.ts";
import { commit, layout, local, noise, someModel } from "./hub-support.ts";

const model = someModel();
const { id } = model;
const folderName = "models--some-org--Some.Model-1b";

describe("snapshotDownload", () => {
  it("makes the folder that huggingface_hub makes", async () => {
    const cacheDir = await temporaryFolder();
    const { folder, files } = await snapshotDownload(id, local(await startHub(model), cacheDir));
    expect(folder).toBe(join(cacheDir, folderName, "snapshots", commit));
    expect(files.map(({ path }) => path).sort()).toEqual(Object.keys(model.files).sort());
    for (const [path, content] of Object.entries(model.files))
      expect((await readFile(join(folder, path))).equals(Buffer.from(content)), path).toBe(true);
    const golden: unknown = JSON.parse(await readFile(goldenFile("hub/layout.json"), "utf8"));
    expect({ files: await layout(cacheDir) }).toMatchObject({ files: (golden as { files: string[] }).files });
  });

  it("fetches nothing that is there, and each content once", async () => {
    const [hub, cacheDir] = [await startHub(model), await temporaryFolder()];
    const first = await snapshotDownload(id, local(hub, cacheDir));
    const contents = new Set(Object.values(model.files).map((content) => Buffer.from(content).toString("latin1")));
    expect(hub.fetched.length).toBe(contents.size - 1); // all but the empty file
    expect(first.received).toBe([...contents].reduce((sum, content) => sum + content.length, 0));
    hub.fetched.length = 0;
    const second = await snapshotDownload(id, local(hub, cacheDir));
    expect([hub.fetched, second.received, second.folder]).toEqual([[], 0, first.folder]);
    // a lost link is made again, without fetching; a lost or shortened blob is fetched again
    await rm(join(first.folder, "config.json"));
    await writeFile(join(first.folder, "pytorch_model.bin"), "short");
    await snapshotDownload(id, local(hub, cacheDir));
    expect(hub.fetched).toEqual(["pytorch_model.bin"]);
    expect(await readFile(join(first.folder, "config.json"), "utf8")).toBe(model.files["config.json"]);
    expect((await readFile(join(first.folder, "pytorch_model.bin"))).length).toBe(1000);
  });

  it("takes what the patterns say, and adds to a snapshot that is there", async () => {
    const [hub, cacheDir] = [await startHub(model), await temporaryFolder()];
    const names = async (): Promise<string[]> =>
      (await cachedSnapshot(id, { cacheDir }))?.files.map((f) => f.path) ?? [];
    await snapshotDownload(id, local(hub, cacheDir, { allowPatterns: ["*.json"], ignorePatterns: ["tokenizer*"] }));
    expect(await names()).toEqual(["config.json", "model.safetensors.index.json"]);
    await snapshotDownload(id, local(hub, cacheDir, { allowPatterns: ["onnx/"] }));
    expect(await names()).toEqual([
      "config.json",
      "model.safetensors.index.json",
      "onnx/model-00002-of-00002.safetensors",
    ]);
    const none = snapshotDownload(id, local(hub, cacheDir, { allowPatterns: ["*.gguf"] }));
    await expectFtError(none, "missing", /no file that matches \*\.gguf; did you mean .*config\.json/);
  });

  it("follows a branch to its new commit, keeps what both have, and the old commit stays", async () => {
    const [hub, cacheDir] = [await startHub(model), await temporaryFolder()];
    const old = await snapshotDownload(id, local(hub, cacheDir));
    const next = "f".repeat(40);
    hub.models = [someModel({ commit: next, files: { ...model.files, "config.json": "{}\n" } })];
    hub.fetched.length = 0;
    const fresh = await snapshotDownload(id, local(hub, cacheDir));
    expect([fresh.commit, hub.fetched]).toEqual([next, ["config.json"]]);
    expect(await readFile(join(old.folder, "config.json"), "utf8")).toBe(model.files["config.json"]);
    expect((await cachedSnapshot(id, { cacheDir }))?.commit).toBe(next);
    expect((await cachedSnapshot(id, { cacheDir, revision: commit }))?.commit).toBe(commit);
  });

  it("takes branches with a slash and commits as revisions", async () => {
    const cacheDir = await temporaryFolder();
    const hub = await startHub(someModel({ branch: "refs/pr/1" }));
    await snapshotDownload(id, local(hub, cacheDir, { revision: "refs/pr/1", allowPatterns: ["config.json"] }));
    expect(await readFile(join(cacheDir, folderName, "refs", "refs", "pr", "1"), "utf8")).toBe(commit);
    const pinned = await snapshotDownload(id, local(hub, cacheDir, { revision: commit, allowPatterns: ["*.json"] }));
    expect(pinned.files.length).toBe(3);
    expect(await readdir(join(cacheDir, folderName, "refs"))).toEqual(["refs"]);
  });

  it("asks for size and etag of each file where the list lacks them", async () => {
    const [hub, cacheDir] = [await startHub(model), await temporaryFolder()];
    hub.bare = true;
    await snapshotDownload(id, local(hub, cacheDir));
    const full = await temporaryFolder();
    hub.bare = false;
    await snapshotDownload(id, local(hub, full));
    expect(await layout(cacheDir)).toEqual(await layout(full));
  });

  it("tells how far it is", async () => {
    const seen: DownloadProgress[] = [];
    const onProgress = (progress: DownloadProgress): void => void seen.push(progress);
    await snapshotDownload(id, local(await startHub(model), await temporaryFolder(), { onProgress }));
    const size = Object.values(model.files).reduce((sum, content) => sum + content.length, 0);
    expect(seen.at(-1)).toMatchObject({ bytes: size, size, filesDone: 10, files: 10 });
    for (const [i, { bytes }] of seen.entries()) expect(bytes).toBeGreaterThanOrEqual(seen[i - 1]?.bytes ?? 0);
    for (const path of Object.keys(model.files).filter((one) => isLarge(one) && !one.startsWith("onnx"))) {
      const of = seen.filter((progress) => progress.path === path);
      expect(of.at(-1), path).toMatchObject({
        fileBytes: model.files[path]?.length,
        fileSize: model.files[path]?.length,
      });
    }
  });

  it("downloads no more files at a time than maxWorkers says", async () => {
    const files = Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`${i}.bin`, noise(40_000, i)]));
    const hub = await startHub(someModel({ files }));
    const peak = async (maxWorkers: number): Promise<number> => {
      let [open, most] = [0, 0];
      const left = new Map<string, number>();
      hub.fault = ({ at }) => (at === "cdn" ? { slow: 5 } : undefined);
      const onProgress = ({ path, fileBytes, fileSize }: DownloadProgress): void => {
        if (!left.has(path)) open++;
        left.set(path, fileSize - fileBytes);
        most = Math.max(most, open);
        if (fileBytes === fileSize) open--;
      };
      await snapshotDownload(id, local(hub, await temporaryFolder(), { maxWorkers, onProgress }));
      return most;
    };
    expect(await peak(1)).toBe(1);
    const three = await peak(3);
    expect(three).toBeGreaterThan(1);
    expect(three).toBeLessThanOrEqual(3);
  });
});

describe("offline", () => {
  it("gives what is cached without a request, and says what is not", async () => {
    const [hub, cacheDir] = [await startHub(model), await temporaryFolder()];
    const { folder } = await snapshotDownload(id, local(hub, cacheDir, { allowPatterns: ["*.json"] }));
    hub.asked.length = 0;
    const found = await snapshotDownload(id, local(hub, cacheDir, { offline: true }));
    expect([found.folder, found.files.length, hub.asked.length]).toEqual([folder, 3, 0]);
    const offline = (more: object): Promise<unknown> =>
      snapshotDownload(id, local(hub, cacheDir, { offline: true, ...more }));
    await expectFtError(offline({ allowPatterns: ["*.gguf"] }), "missing", /cached part of .* no file/);
    await expectFtError(offline({ revision: "other" }), "missing", /at other is not in the cache.*HF_HUB_OFFLINE/);
  });
});

describe("the token", () => {
  it("goes to the hub and not to where it redirects", async () => {
    const hub = await startHub(model);
    await snapshotDownload(id, local(hub, await temporaryFolder(), { token: "hf_secret" }));
    const seen = (at: string): Set<string | undefined> =>
      new Set(hub.asked.filter((one) => one.at === at).map((one) => one.authorization));
    expect([...seen("hub")]).toEqual(["Bearer hf_secret"]);
    expect([...seen("cdn")]).toEqual([undefined]);
  });
});
