import { execFileSync, spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createCpuBackend } from "@ft/backend-cpu";
import { loadModel, saveModel } from "@ft/models";
import { describe, expect, it } from "vitest";
import { goldenBatch, goldenFolder, realLogits } from "../../models/test/goldens.ts";
import { type BitsandbytesOptions, bitsandbytesFormat } from "../src/index.ts";

// Needs a Python with transformers and bitsandbytes: FT_PYTHON, or python3.
const python = process.env.FT_PYTHON || "python3";
const found = spawnSync(python, ["-c", "import transformers, bitsandbytes"]).status === 0;
if (!found) console.warn(`skipped: ${python} has no transformers and bitsandbytes; set FT_PYTHON`);

const script = fileURLToPath(new URL("../../../tools/goldens/check_bnb_folder.py", import.meta.url));
const batch = join(goldenFolder("bnb-llama"), "batch.json");

const cases: readonly (readonly [string, BitsandbytesOptions, string, number])[] = [
  ["nf4", {}, "bnb-llama/base", 14],
  ["nf4 without double quantisation, blocks of 128", { doubleQuant: false, blockSize: 128 }, "bnb-llama/base", 14],
  ["fp4, blocks of 32", { type: "fp4", blockSize: 32 }, "bnb-llama/base", 14],
  ["nf4 with modules left out", { skipModules: ["down_proj", "layers.0.self_attn.q_proj"] }, "bnb-llama/base", 11],
  ["int8", { type: "int8" }, "bnb-llama/base", 14],
  ["nf4 with biases", { blockSize: 64 }, "llama-bias", 14],
];

describe.skipIf(!found)("transformers with bitsandbytes loads what is quantised here", () => {
  it.each(cases)("%s: every tensor is taken, the logits are ours to 1e-3", async (_, options, base, modules) => {
    const folder = await mkdtemp(join(tmpdir(), "ft-bnb-"));
    const format = bitsandbytesFormat(options);
    using model = await loadModel(goldenFolder(base), { backend: await createCpuBackend(), format });
    await saveModel(model, folder, { from: goldenFolder(base), format });
    const { padded } = JSON.parse(await readFile(batch, "utf8"));
    const logits = await realLogits(model, goldenBatch(padded));
    await writeFile(join(folder, "ours.json"), JSON.stringify({ logits }));
    // it exits with 1, and says why, when a tensor is missing, left over, or gives other logits
    const said = execFileSync(python, [script, folder, batch, join(folder, "ours.json")], { encoding: "utf8" });
    expect(said).toContain(`${modules} quantised modules`);
    await rm(folder, { recursive: true });
  });
});
