import { execFile, spawnSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { snapshotDownload } from "../src/hub/snapshot-download.ts";
import { goldenFile, temporaryFolder } from "./fixtures.ts";
import { startHub } from "./hub-server.ts";
import { commit, layout, local, someModel } from "./hub-support.ts";

// Needs a Python with huggingface_hub: FT_PYTHON, or python3.
const python = process.env.FT_PYTHON || "python3";
const found = spawnSync(python, ["-c", "import huggingface_hub"]).status === 0;
if (!found) console.warn(`skipped: ${python} has no huggingface_hub; set FT_PYTHON`);

const script = fileURLToPath(new URL("../../../tools/goldens/hub_cache.py", import.meta.url));
const run = promisify(execFile);

/** What the script prints, as JSON. Asynchronous, since the server it talks to lives in this process. */
async function witness(what: string, endpoint: string, cache: string, ...rest: string[]): Promise<unknown> {
  const env = { ...process.env, HF_ENDPOINT: endpoint, HF_HUB_CACHE: cache, HF_HOME: cache, HF_HUB_OFFLINE: "0" };
  const { stdout } = await run(python, [script, what, ...rest], { env });
  return JSON.parse(stdout);
}

/** huggingface_hub keeps a list of files, locks and a tag of its own beside the layout that all programs share. */
const shared = (lines: readonly string[]): string[] =>
  lines.filter((line) => !/^\.locks|\/trees\/|^CACHEDIR/.test(line));

const model = someModel();
const { id } = model;

describe.skipIf(!found)("huggingface_hub", () => {
  it("makes the kept layout from this server", async () => {
    const [hub, cacheDir] = [await startHub(model), await temporaryFolder()];
    const { versions } = (await witness("download", hub.endpoint, cacheDir, id)) as { versions: unknown };
    const made = { versions, files: shared(await layout(cacheDir)) };
    if (process.env.FT_WRITE_GOLDENS)
      await writeFile(goldenFile("hub/layout.json"), `${JSON.stringify(made, null, 2)}\n`);
    expect(made).toMatchObject({ files: JSON.parse(await readFile(goldenFile("hub/layout.json"), "utf8")).files });
  });

  it("accepts without a network what was downloaded here", async () => {
    const [hub, cacheDir] = [await startHub(model), await temporaryFolder()];
    const { folder } = await snapshotDownload(id, local(hub, cacheDir));
    const answer = await witness("local", "http://127.0.0.1:1", cacheDir, id, "config.json", "absent.json");
    expect(answer).toMatchObject({ snapshot: folder, cached: [join(folder, "config.json"), null], commits: [commit] });
  });

  it("downloads nothing again of what was downloaded here", async () => {
    const [hub, cacheDir] = [await startHub(model), await temporaryFolder()];
    const { folder } = await snapshotDownload(id, local(hub, cacheDir));
    hub.fetched.length = 0;
    expect(await witness("download", hub.endpoint, cacheDir, id)).toMatchObject({ snapshot: folder });
    expect(hub.fetched).toEqual([]);
  });

  it("leaves a folder of which nothing is fetched again here", async () => {
    const [hub, cacheDir] = [await startHub(model), await temporaryFolder()];
    const { snapshot } = (await witness("download", hub.endpoint, cacheDir, id)) as { snapshot: string };
    const before = await layout(cacheDir);
    hub.fetched.length = 0;
    const { folder, received } = await snapshotDownload(id, local(hub, cacheDir));
    expect([folder, received, hub.fetched]).toEqual([snapshot, 0, []]);
    expect(await layout(cacheDir)).toEqual(before);
  });
});
