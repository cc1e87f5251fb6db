import { readFileSync } from "node:fs";
import { sharedData } from "@ft/testing";
import { describe, expect, it } from "vitest";
import { loadTokenizer, tokenizerFromGguf } from "../src/index.ts";
import { packagedTokenizer } from "./support.ts";
import { vocabularyCases } from "./vocabulary-cases.ts";

const models: [string, string][] = [
  ["llama-bpe", "llama3"],
  ["qwen2", "qwen2_5"],
  ["gpt-2", "gpt2"],
];

describe.each(models)("llama.cpp's vocabulary test %s", (vocabulary, packageName) => {
  const inp = sharedData(`tokenizer/ggml-vocab-${vocabulary}.gguf.inp`);
  it.skipIf(inp === undefined)("gives the same ids from tokenizer.json", async () => {
    const cases = vocabularyCases(inp!);
    expect(cases.length).toBe(46);
    const tokenizer = await loadTokenizer(packagedTokenizer(packageName));
    expect(cases.map(({ text }) => tokenizer.encode(text, { addSpecialTokens: false }))).toEqual(
      cases.map(({ ids }) => ids),
    );
  });

  it.skipIf(inp === undefined)("gives the same ids from GGUF metadata of the same vocabulary", async () => {
    const cases = vocabularyCases(inp!);
    const json = JSON.parse(readFileSync(`${packagedTokenizer(packageName)}/tokenizer.json`, "utf8"));
    const tokenizer = tokenizerFromGguf(metadataOf(json, vocabulary));
    expect(cases.map(({ text }) => tokenizer.encode(text, { addSpecialTokens: false }))).toEqual(
      cases.map(({ ids }) => ids),
    );
    for (const { text, ids } of cases) expect(tokenizer.decode(ids)).toBe(text);
  });
});

/** What a converter writes into a GGUF file for a byte-level BPE tokenizer.json. */
function metadataOf(json: any, pre: string): Map<string, unknown> {
  const tokens: string[] = [];
  for (const [token, id] of Object.entries<number>(json.model.vocab)) tokens[id] = token;
  const types = tokens.map(() => 1);
  for (const { id, content, special } of json.added_tokens) {
    tokens[id] = content;
    types[id] = special ? 3 : 4;
  }
  const merges = json.model.merges.map((merge: string | string[]) =>
    typeof merge === "string" ? merge : merge.join(" "),
  );
  return new Map<string, unknown>([
    ["tokenizer.ggml.model", "gpt2"],
    ["tokenizer.ggml.pre", pre],
    ["tokenizer.ggml.tokens", tokens],
    ["tokenizer.ggml.token_type", Int32Array.from(types)],
    ["tokenizer.ggml.merges", merges],
  ]);
}
