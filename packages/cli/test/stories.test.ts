import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { createCpuBackend } from "@ft/backend-cpu";
import { loadTokenizer } from "@ft/data";
import { generate, loadModel } from "@ft/models";
import { sharedData } from "@ft/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const published = sharedData("model/stories260K.md");
const converter = fileURLToPath(new URL("../../../tools/convert_stories260k.mjs", import.meta.url));

describe.skipIf(published === undefined)("stories260K, greedy from BOS", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "ft-stories-"));
    await promisify(execFile)(process.execPath, [converter, sharedData("model")!, folder]);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it.each([
    ["native kernels", true],
    ["reference loops", false],
  ])("tells the published story to the letter, on the %s", async (_, native) => {
    const [, story] = /-t 0\.0\n([\s\S]*?)\n```/.exec(await readFile(published!, "utf8"))!;
    const tokenizer = await loadTokenizer(folder);
    const backend = await createCpuBackend({ native });
    using model = await loadModel(folder, { backend });
    const ids: number[] = [];
    // the publisher stopped after 257 places, of which BOS was one
    for await (const id of generate(model, [tokenizer.bosId!], { maxNewTokens: 256, stopIds: [] })) ids.push(id);
    expect(tokenizer.decode(ids).trim()).toBe(story!.trim());
  });
});
