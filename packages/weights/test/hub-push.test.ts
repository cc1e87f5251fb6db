import { readdir, readFile, rename, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { snapshotDownload } from "../src/hub/snapshot-download.ts";
import { type UploadEvent, uploadFiles } from "../src/hub/upload-files.ts";
import { expectFtError, goldenFile, temporaryFolder } from "./fixtures.ts";
import { type Posted, type PushHub, startPushHub, writeToken } from "./hub-push-server.ts";
import { contents, contentsFolder, essence, filesIn, id, to, weights } from "./hub-push-support.ts";
import { gitSha1, type HubModel, sha256 } from "./hub-server.ts";
import { local, noise } from "./hub-support.ts";

/** What the hub has is what is in the folder, seen through a download. */
async function expectSame(hub: PushHub, folder: string, revision?: string): Promise<void> {
  const options = { revision, ignorePatterns: [".gitattributes"] };
  const got = await snapshotDownload(id, local(hub, await temporaryFolder(), options));
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((one) => one.isFile())
    .map((one) => join(one.parentPath, one.name).slice(folder.length + 1));
  expect(got.files.map(({ path }) => path).sort()).toEqual(paths.map((path) => path.replaceAll("\\", "/")).sort());
  for (const path of paths)
    expect((await readFile(join(got.folder, path))).equals(await readFile(join(folder, path))), path).toBe(true);
}

describe("uploadFiles", () => {
  it("makes the repository and one commit, which comes back byte for byte", async () => {
    const [hub, folder] = [await startPushHub(), await contentsFolder()];
    const events: UploadEvent[] = [];
    const done = await uploadFiles(
      id,
      filesIn(folder),
      to(hub, { message: "First", onEvent: (one) => events.push(one) }),
    );
    expect(done).toMatchObject({
      changed: Object.keys(contents),
      unchanged: [],
      kept: [],
      ignored: [],
      others: [".gitattributes"],
    });
    expect(done.url).toBe(`${hub.endpoint}/${id}/commit/${done.commit}`);
    expect(done.commit).toBe(hub.models[0]?.commit);
    expect(hub.commits).toEqual([{ summary: "First", pullRequest: false, paths: Object.keys(contents) }]);
    await expectSame(hub, folder);
    // the same content under two names goes once, small files in the commit
    expect(hub.uploads.sort()).toEqual([sha256(weights), sha256(noise(120_000, 2))].sort());
    expect(done.sent).toBe(420_000);
    const size = Object.values(contents).reduce((sum, bytes) => sum + bytes.length, 0);
    expect(events[0]).toEqual({ type: "made", what: "repository" });
    expect(events.at(-2)).toEqual({ type: "committing" });
    expect(events.at(-1)).toEqual({ type: "progress", bytes: size, size, sent: 420_000, filesDone: 6, files: 6 });
    const counts = events.flatMap((event) => (event.type === "progress" ? [event.bytes] : []));
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
    // the token goes to the hub alone; the storage refuses it
    expect(
      hub.asked.every(({ authorization }) => authorization === `Bearer ${writeToken}` || authorization === undefined),
    ).toBe(true);
  });

  it("sends in parts where the storage wants parts, and tells the hub where it wants to be told", async () => {
    const [hub, folder] = [await startPushHub(), await contentsFolder()];
    hub.partSize = 70_001; // 300,000 bytes are five parts, the last one smaller
    hub.verifies = true;
    await uploadFiles(id, filesIn(folder), to(hub));
    const parts = [1, 2, 3, 4, 5].map((part) => `${sha256(weights)} ${part}`);
    expect(hub.uploads).toEqual(expect.arrayContaining([...parts, `verified ${sha256(weights)}`]));
    await expectSame(hub, folder);
  });

  it("asks what huggingface_hub asks, in the same words", async () => {
    const [hub, folder] = [await startPushHub(), await contentsFolder()];
    hub.partSize = 200_000; // one file in one piece, one in parts
    await uploadFiles(id, filesIn(folder), to(hub));
    const theirs: { posts: Posted[] } = JSON.parse(await readFile(goldenFile("hub/upload.json"), "utf8"));
    expect(essence(hub.posts)).toEqual(essence(theirs.posts));
  });

  it("sends only what changed, and makes no commit where nothing did", async () => {
    const [hub, folder] = [await startPushHub(), await contentsFolder()];
    const first = await uploadFiles(id, filesIn(folder), to(hub));
    hub.uploads.length = 0;
    const again = await uploadFiles(id, filesIn(folder), to(hub));
    expect(again).toMatchObject({ commit: first.commit, url: first.url, changed: [], sent: 0 });
    expect([hub.commits.length, hub.uploads]).toEqual([1, []]);
    // one byte of a small file, and a large one that the storage has under another name
    await writeFile(join(folder, "config.json"), '{"model_type":"llamb"}\n');
    await rename(join(folder, "more", "other.safetensors"), join(folder, "more", "renamed.safetensors"));
    const paths = [
      ...Object.keys(contents).filter((path) => !path.endsWith("other.safetensors")),
      "more/renamed.safetensors",
    ];
    const third = await uploadFiles(id, filesIn(folder, paths), to(hub));
    expect(third.changed).toEqual(["config.json", "more/renamed.safetensors"]);
    expect(third.others).toEqual([".gitattributes", "more/other.safetensors"]);
    expect([third.sent, hub.uploads]).toEqual([0, []]);
    expect(hub.commits.at(-1)?.paths).toEqual(third.changed);
  });

  it("takes bytes, and hashes that are known", async () => {
    const [hub, folder] = [await startPushHub(), await contentsFolder()];
    const files = [
      { path: "README.md", content: Buffer.from("in memory") },
      { path: "model.safetensors", content: join(folder, "model.safetensors"), sha256: sha256(weights) },
      { path: "x.safetensors", content: noise(1000, 9) },
    ];
    await uploadFiles(id, files, to(hub));
    const held: HubModel["files"] = hub.models[0]?.files ?? {};
    expect(Buffer.from(held["README.md"] ?? "").toString()).toBe("in memory");
    expect(gitSha1(Buffer.from(held["x.safetensors"] ?? ""))).toBe(gitSha1(noise(1000, 9)));
    hub.uploads.length = 0;
    expect((await uploadFiles(id, files, to(hub))).changed).toEqual([]);
  });

  it("commits to a branch, which it makes, and asks for a pull request", async () => {
    const [hub, folder] = [await startPushHub(), await contentsFolder()];
    const events: UploadEvent[] = [];
    await uploadFiles(id, filesIn(folder), to(hub, { revision: "v2/next", onEvent: (one) => events.push(one) }));
    expect(events.slice(0, 2)).toEqual([
      { type: "made", what: "repository" },
      { type: "made", what: "branch" },
    ]);
    await expectSame(hub, folder, "v2/next");
    expect(Object.keys(hub.models.find(({ branch }) => branch === undefined)?.files ?? {})).toEqual([".gitattributes"]);
    const asked = await uploadFiles(id, filesIn(folder), to(hub, { createPr: true }));
    expect(asked.pullRequest).toBe(`${hub.endpoint}/${id}/discussions/1`);
    expect(hub.commits.at(-1)?.pullRequest).toBe(true);
    await expectSame(hub, folder, "refs/pr/1");
    const absent = uploadFiles(id, filesIn(folder), to(hub, { createPr: true, revision: "none" }));
    await expectFtError(absent, "missing", /no branch none/);
  });

  it("leaves out what the repository's .gitignore names", async () => {
    const [hub, folder] = [await startPushHub(), await contentsFolder()];
    await uploadFiles(id, [{ path: ".gitignore", content: Buffer.from("config.json\nmodel.safetensors") }], to(hub));
    const done = await uploadFiles(id, filesIn(folder), to(hub));
    expect(done.ignored).toEqual(["config.json", "model.safetensors"]);
    expect(hub.commits.at(-1)?.paths).not.toContain("config.json");
    expect(Object.keys(hub.models[0]?.files ?? {})).not.toContain("model.safetensors");
  });

  it("makes a private repository, and does not fill a public one that was to be private", async () => {
    const [hub, folder] = [await startPushHub(), await contentsFolder()];
    await uploadFiles(id, filesIn(folder), to(hub, { isPrivate: true }));
    expect(hub.models[0]?.private).toBe(true);
    await uploadFiles(id, [{ path: "x", content: Buffer.from("x") }], to(hub, { isPrivate: true }));
    hub.models = hub.models.map((model) => ({ ...model, private: false }));
    const refused = uploadFiles(id, [{ path: "y", content: Buffer.from("y") }], to(hub, { isPrivate: true }));
    await expectFtError(refused, "config", /not private/);
    expect(hub.commits).toHaveLength(2);
  });

  it("does not hold a large file in memory", async () => {
    const hub = await startPushHub();
    const folder = await temporaryFolder();
    const path = join(folder, "model.gguf");
    await writeFile(path, "");
    await truncate(path, 2 ** 31 + 5); // sparse: more than one array of bytes can be read into at once
    // a storage that stops reading: what is queued for it must not grow
    hub.storageFault = () => ({ deaf: true });
    const before = process.memoryUsage().rss;
    let most = 0;
    const stop = new AbortController();
    const onEvent = (event: UploadEvent): void => {
      if (event.type !== "progress" || event.sent < 2 ** 20) return;
      most = Math.max(most, process.memoryUsage().rss - before);
      stop.abort(new Error("enough"));
    };
    const files = [{ path: "model.gguf", content: path, sha256: "0".repeat(64) }];
    await expect(uploadFiles(id, files, to(hub, { onEvent, signal: stop.signal }))).rejects.toThrow("enough");
    expect(most).toBeLessThan(200 * 2 ** 20);
    expect(hub.commits).toEqual([]);
  });
});
