import { execFile, spawnSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { uploadFiles } from "../src/hub/upload-files.ts";
import { goldenFile, temporaryFolder } from "./fixtures.ts";
import { type PushHub, startPushHub, writeToken } from "./hub-push-server.ts";
import { contents, contentsFolder, essence, filesIn, id, to } from "./hub-push-support.ts";

// Needs a Python with huggingface_hub: FT_PYTHON, or python3.
const python = process.env.FT_PYTHON || "python3";
const found = spawnSync(python, ["-c", "import huggingface_hub"]).status === 0;
if (!found) console.warn(`skipped: ${python} has no huggingface_hub; set FT_PYTHON`);

const script = fileURLToPath(new URL("../../../tools/goldens/hub_cache.py", import.meta.url));

/** Has huggingface_hub upload a folder, by the protocol of Git LFS: this server does not speak Xet. */
async function uploadByPython(hub: PushHub, folder: string): Promise<{ versions: object; commit: string }> {
  const home = await temporaryFolder();
  const settings = { HF_ENDPOINT: hub.endpoint, HF_HOME: home, HF_TOKEN: writeToken, HF_HUB_OFFLINE: "0" };
  const env = { ...process.env, ...settings, HF_HUB_DISABLE_XET: "1" };
  const { stdout } = await promisify(execFile)(python, [script, "upload", id, folder], { env });
  return JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "");
}

describe.skipIf(!found)("huggingface_hub", () => {
  it("uploads to this server, by the requests that are kept, what it then holds", async () => {
    const [hub, folder] = [await startPushHub(), await contentsFolder()];
    hub.partSize = 200_000;
    const { versions, commit } = await uploadByPython(hub, folder);
    const made = { versions, posts: hub.posts.filter(({ path }) => path !== "/api/validate-yaml") };
    if (process.env.FT_WRITE_GOLDENS)
      await writeFile(goldenFile("hub/upload.json"), `${JSON.stringify(made, null, 2)}\n`);
    const kept = JSON.parse(await readFile(goldenFile("hub/upload.json"), "utf8"));
    expect(essence(hub.posts)).toEqual(essence(kept.posts));
    const [model] = hub.models;
    expect(model?.commit).toBe(commit);
    for (const [path, bytes] of Object.entries(contents))
      expect(Buffer.from(model?.files[path] ?? "").equals(bytes), path).toBe(true);
  });

  it("finds nothing to upload after this package, and the other way round", async () => {
    const [hub, folder] = [await startPushHub(), await contentsFolder()];
    const { commit } = await uploadFiles(id, filesIn(folder), to(hub));
    expect((await uploadByPython(hub, folder)).commit).toBe(commit);
    expect(await uploadFiles(id, filesIn(folder), to(hub))).toMatchObject({ commit, changed: [] });
    expect(hub.commits).toHaveLength(1);
  });
});
