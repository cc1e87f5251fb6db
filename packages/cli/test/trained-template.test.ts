import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { loadTokenizer } from "@ft/data";
import { openGguf } from "@ft/weights";
import { describe, expect, it } from "vitest";
import { setup } from "./refusal.ts";
import { ft } from "./run-ft.ts";

const custom =
  "{% for m in messages %}[{{ m.role }}] {{ m.content }}<|end|>\n{% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}";

async function succeeds(...args: readonly string[]): Promise<string> {
  const { code, err, out } = await ft(...args);
  expect(code, err).toBe(0);
  return out;
}

/** A run of three steps, with a template of its own or the model's. */
async function trained(template: string | undefined, ...flags: readonly string[]) {
  const at = await setup();
  const file = join(at.folder, "own.jinja");
  if (template !== undefined) await writeFile(file, template);
  const given = template === undefined ? [] : ["--chat-template", file];
  const args = ["--model", at.model, "--data", at.data, "--out", at.out, "--max-steps", "3", "--batch-size", "4"];
  await succeeds("train", ...args, ...given, ...flags);
  await rm(file, { force: true }); // what was trained with goes with the result, not with a path
  return at;
}

describe("the chat template of a training", () => {
  it("goes with the adapter into answers and exports", async () => {
    const { folder, model, out } = await trained(custom);
    expect(await readFile(join(out, "adapter/chat_template.jinja"), "utf8")).toBe(custom);
    const over = ["--model", model, "--adapter", out];
    await writeFile(join(folder, "again.jinja"), custom);
    const ask = ["generate", ...over, "--prompt", "hello", "--max-new-tokens", "8"];
    expect(await succeeds(...ask)).toBe(await succeeds(...ask, "--chat-template", join(folder, "again.jinja")));
    const merged = join(folder, "merged");
    await succeeds("merge", ...over, "--out", merged);
    expect((await loadTokenizer(merged)).chatTemplate).toBe(custom);
    // transformers.js looks there only
    expect(JSON.parse(await readFile(join(merged, "tokenizer_config.json"), "utf8")).chat_template).toBe(custom);
    const lora = join(folder, "lora");
    const shown = await succeeds("export", "--to", "lora-gguf", ...over, "--out", lora);
    expect(shown).toContain("--chat-template-file");
    expect(await readFile(join(lora, "chat_template.jinja"), "utf8")).toBe(custom);
    await succeeds("export", "--to", "gguf", ...over, "--out", join(folder, "gguf"));
    await using file = await openGguf(join(folder, "gguf/model-tuned-F16.gguf"));
    expect(file.metadata.get("tokenizer.chat_template")).toBe(custom);
  });

  it("of a base that has none is the default one, which others do not know", async () => {
    const at = await setup();
    const file = join(at.model, "tokenizer_config.json");
    const { chat_template: _, ...rest } = JSON.parse(await readFile(file, "utf8"));
    await writeFile(file, JSON.stringify(rest));
    const args = ["--model", at.model, "--data", at.data, "--out", at.out, "--max-steps", "3", "--batch-size", "4"];
    await succeeds("train", ...args);
    const merged = join(at.folder, "merged");
    await succeeds("merge", "--model", at.model, "--adapter", at.out, "--out", merged);
    expect((await loadTokenizer(merged)).chatTemplate).toContain("### Instruction:");
    const card = await readFile(join(merged, "README.md"), "utf8");
    expect(card).toContain("tokens and template: the same");
  });

  it("stands in the model of a full run, and is left to the base where it was the base's own", async () => {
    const full = await trained(custom, "--method", "full");
    expect((await loadTokenizer(join(full.out, "model"))).chatTemplate).toBe(custom);
    const plain = await trained(undefined);
    await expect(readFile(join(plain.out, "adapter/chat_template.jinja"))).rejects.toThrow(/ENOENT/);
  });

  it("is told of where answers would have no end", async () => {
    const at = await setup();
    const file = join(at.folder, "own.jinja");
    const args = ["--model", at.model, "--data", at.data, "--max-steps", "1", "--chat-template", file];
    await writeFile(file, custom);
    expect((await ft("train", ...args, "--out", join(at.folder, "ends"))).err).not.toContain("may run on");
    await writeFile(file, custom.replace("<|end|>", "</end>"));
    expect((await ft("train", ...args, "--out", join(at.folder, "open"))).err).toContain("may run on");
  });

  it("may not change on the way", async () => {
    const at = await setup();
    const file = join(at.folder, "own.jinja");
    await writeFile(file, `\uFEFF${custom}`);
    const args = ["--model", at.model, "--data", at.data, "--out", at.out, "--max-steps", "3", "--batch-size", "4"];
    await succeeds("train", ...args, "--chat-template", file);
    expect(await readFile(join(at.out, "adapter/chat_template.jinja"), "utf8")).toBe(custom);
    await writeFile(file, custom.replace("[assistant]", "[model]"));
    const ran = await ft("train", "--out", at.out, "--resume");
    expect(ran.code).toBe(2);
    expect(ran.err).toMatch(/template/);
    expect(await readFile(join(at.out, "adapter/chat_template.jinja"), "utf8")).toBe(custom);
  });

  it("is one for all that ft eval compares", async () => {
    const one = await trained(custom);
    const two = await trained(undefined);
    const asked = ["eval", "--model", one.model, "--data", one.data, "--metrics", "perplexity", "--json"];
    const own = JSON.parse(await succeeds(...asked, "--adapter", one.out));
    await writeFile(join(one.folder, "again.jinja"), custom);
    const given = JSON.parse(
      await succeeds(...asked, "--adapter", one.out, "--chat-template", join(one.folder, "again.jinja")),
    );
    expect(own.measures).toEqual(given.measures);
    const ran = await ft(...asked, "--adapter", one.out, "--adapter", two.out);
    expect(ran.code).toBe(2);
    expect(ran.out).toContain("different chat templates");
  });
});
