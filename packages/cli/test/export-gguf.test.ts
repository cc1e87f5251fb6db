import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { openGguf } from "@ft/weights";
import { describe, expect, it } from "vitest";
import { ggufName } from "../src/export/gguf-name.ts";
import type { ExportJob } from "../src/export/job.ts";
import { expectRefusal, setup } from "./refusal.ts";
import { emptyFolder, ft } from "./run-ft.ts";

const model = fileURLToPath(new URL("../../../examples/quickstart/model", import.meta.url));

/** A run of two steps over the quickstart's model. */
async function trained() {
  const { folder, data, out: run } = await setup();
  const args = ["--model", model, "--data", data, "--out", run, "--max-steps", "2", "--batch-size", "2"];
  const { code, err } = await ft("train", ...args, "--learning-rate", "0.01");
  expect(code, err).toBe(0);
  return { folder, run };
}

function gguf(...args: readonly string[]) {
  return ft("export", "--to", "gguf", "--model", model, ...args);
}

describe("ft export --to gguf", () => {
  it("writes one file with Ollama's Modelfile and a card, adapter merged and checked", async () => {
    const { folder, run } = await trained();
    const out = join(folder, "merged");
    const ran = await gguf("--adapter", run, "--out", out, "--type", "q8_0", "--json");
    expect(ran.code, ran.err).toBe(0);
    const { file, type, check, bitsPerWeight, hasOllamaTemplate } = JSON.parse(ran.out);
    expect([file, type, hasOllamaTemplate]).toEqual(["model-tuned-Q8_0.gguf", "Q8_0", true]);
    expect((await readdir(out)).sort()).toEqual(["Modelfile", "README.md", "manifest.json", file]);
    expect(bitsPerWeight).toBeLessThan(16); // rows of 144 are no whole blocks: some are F16
    expect(check.meanKl).toBeLessThan(0.01);
    const ollama = await readFile(join(out, "Modelfile"), "utf8");
    expect(ollama).toMatch(/^FROM \.\/model-tuned-Q8_0\.gguf\nTEMPLATE """/);
    expect(ollama).toContain('PARAMETER stop "<|end|>"');
    const card = await readFile(join(out, "README.md"), "utf8");
    expect(card).toContain("tokens and template: the same for 4 prompts");
    expect(card).toContain("against base and adapter: KL");
    expect(card).toContain("ollama create");
    expect(card).toContain("llama-cli -m");
    // it answers as base and adapter do
    const ask = ["generate", "--prompt", "What is the capital of France?", "--max-new-tokens", "12", "--json"];
    const own = await ft(...ask, "--model", model, "--adapter", run);
    const theirs = await ft(...ask, "--model", join(out, file));
    expect(JSON.parse(theirs.out).text).toBe(JSON.parse(own.out).text);
  });

  it("writes the same bytes again", async () => {
    const folder = await emptyFolder();
    const [one, two] = [join(folder, "one"), join(folder, "two")];
    for (const [out, threads] of [
      [one, "1"],
      [two, "2"],
    ] as const)
      expect((await gguf("--out", out, "--type", "Q4_K_M", "--no-check", "--threads", threads)).code).toBe(0);
    const bytes = (out: string) => readFile(join(out, "model-Q4_K_M.gguf"));
    expect((await bytes(one)).equals(await bytes(two))).toBe(true);
  });

  it("names its file also where the model is the current folder", () => {
    const job = { named: ".", opened: { adapter: undefined } };
    expect(ggufName(job as ExportJob)).toBe(basename(process.cwd()));
    expect(ggufName({ ...job, named: 'models/.Base "One"' } as ExportJob)).toBe("Base-One");
  });

  it("refuses what it cannot do before it begins", async () => {
    const out = join(await emptyFolder(), "never");
    expectRefusal(await gguf("--out", out, "--type", "Q4_K"), /--type Q4_K is none of gguf's; did you mean/, out);
    expectRefusal(await ft("export", "--to", "ggml", "--model", model, "--out", out), /no export to "ggml"/, out);
    expectRefusal(await ft("export", "--to", "vllm", "--type", "F16", "--model", model, "--out", out), /no types/, out);
  });
});

describe("ft export --to lora-gguf", () => {
  it("writes the adapter alone, to be put over a file of the base", async () => {
    const { folder, run } = await trained();
    const out = join(folder, "lora");
    const ran = await ft(
      ...["export", "--to", "lora-gguf", "--model", model, "--adapter", run, "--out", out],
      ...["--type", "F16", "--json"],
    );
    expect(ran.code, ran.err).toBe(0);
    const { file, layers } = JSON.parse(ran.out);
    await using adapter = await openGguf(join(out, file));
    expect(adapter.metadata.get("general.type")).toBe("adapter");
    expect(adapter.tensors.size).toBe(2 * layers);
    expect(await readFile(join(out, "README.md"), "utf8")).toContain("--lora");
    expect(await readFile(join(out, "Modelfile"), "utf8")).toMatch(
      /^FROM .*\nADAPTER \.\/model-tuned-lora-F16\.gguf\n/,
    );
  });

  it("asks for the adapter", async () => {
    const out = join(await emptyFolder(), "none");
    expectRefusal(
      await ft("export", "--to", "lora-gguf", "--model", model, "--out", out),
      /lora-gguf without an adapter/,
      out,
    );
  });
});
