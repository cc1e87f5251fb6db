import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { FtError } from "@ft/tensor";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { chatGolden, smallTokenizer } from "../../test/support.ts";
import { checkVocabulary, loadTokenizer, tokenizerFromGguf } from "../index.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), "ft-tokenizer-"));
});
afterEach(() => rm(folder, { recursive: true }));

const write = (name: string, content: unknown): Promise<void> =>
  writeFile(path.join(folder, name), typeof content === "string" ? content : JSON.stringify(content));

async function problem(of: Promise<unknown>): Promise<string> {
  const error = await of.then(
    () => "loaded",
    (reason: unknown) => reason,
  );
  return FtError.is(error) ? `${error.code} ${error.message.replaceAll(folder + path.sep, "")}` : String(error);
}

describe("loadTokenizer", () => {
  it("reads what stands beside tokenizer.json", async () => {
    await write("tokenizer.json", await readFile(new URL("tokenizer.json", chatGolden), "utf8"));
    await write("tokenizer_config.json", {
      eos_token: { content: "<|im_end|>" },
      pad_token: null,
      chat_template: "from config",
      add_bos_token: true,
    });
    await write("special_tokens_map.json", { bos_token: "<|im_start|>", pad_token: { content: "<|endoftext|>" } });
    await write("generation_config.json", { eos_token_id: [2, 0] });
    const tokenizer = await loadTokenizer(folder);
    expect(tokenizer).toMatchObject({
      vocabSize: 512,
      bosId: 1,
      eosId: 2,
      padId: 0,
      addsBos: true,
      stopIds: [2, 0],
      chatTemplate: "from config",
    });
    expect(tokenizer.specialTokens).toEqual({
      bos_token: "<|im_start|>",
      eos_token: "<|im_end|>",
      pad_token: "<|endoftext|>",
    });
    const plain = tokenizer.encode("Hi", { addSpecialTokens: false });
    expect(tokenizer.encode("Hi")).toEqual([1, ...plain]);
    expect(tokenizer.decode([1, ...plain, 2])).toBe("<|im_start|>Hi<|im_end|>");
    expect(tokenizer.decode([1, ...plain, 2], { skipSpecialTokens: true })).toBe("Hi");
    expect([
      tokenizer.tokenOf(2),
      tokenizer.idOf("<|im_end|>"),
      tokenizer.isSpecial(2),
      tokenizer.isSpecial(plain[0]!),
    ]).toEqual(["<|im_end|>", 2, true, false]);

    await write("tokenizer_config.json", {
      chat_template: [
        { name: "tool_use", template: "t" },
        { name: "default", template: "d" },
      ],
    });
    expect((await loadTokenizer(path.join(folder, "tokenizer.json"))).chatTemplate).toBe("d");
    await write("chat_template.jinja", "from file");
    expect((await loadTokenizer(folder)).chatTemplate).toBe("from file");
  });

  it("adds BOS where the post-processor of tokenizer.json does", async () => {
    const json = JSON.parse(await readFile(new URL("tokenizer.json", chatGolden), "utf8"));
    const bos = { SpecialToken: { id: "<|im_start|>", type_id: 0 } };
    const single = [bos, { Sequence: { id: "A", type_id: 0 } }];
    await write("tokenizer.json", { ...json, post_processor: { type: "TemplateProcessing", single, pair: single } });
    await write("tokenizer_config.json", { bos_token: "<|im_start|>" });
    const adds = await loadTokenizer(folder);
    const plain = adds.encode("a", { addSpecialTokens: false });
    expect(adds.addsBos).toBe(true);
    expect(adds.encode("a")).toEqual([1, ...plain]);
    await write("tokenizer.json", json);
    const doesNot = await loadTokenizer(folder);
    expect(doesNot.addsBos).toBe(false);
    expect(doesNot.encode("a")).toEqual(plain);
  });

  it("keeps white space as it is and refuses ids that do not exist", async () => {
    const tokenizer = await smallTokenizer();
    expect(tokenizer.decode(tokenizer.encode(" a . b ,  do n't "))).toBe(" a . b ,  do n't ");
    expect(tokenizer.decode([])).toBe("");
    expect(() => tokenizer.decode([512])).toThrow(/token id 512 is not in the vocabulary of 512/);
  });

  it("names what is missing or broken", async () => {
    expect(await problem(loadTokenizer(path.join(folder, "none")))).toContain("missing there is no model at none");
    expect(await problem(loadTokenizer(folder))).toContain("missing tokenizer.json: no such file");
    await write("tokenizer.json", "{");
    expect(await problem(loadTokenizer(folder))).toContain("format tokenizer.json: broken JSON");
    await write("tokenizer.json", { model: 1 });
    expect(await problem(loadTokenizer(folder))).toContain(`format tokenizer.json: has no "model" object`);
    for (const model of [{}, { type: "BPE" }, { type: "Magic", vocab: {} }, { type: "BPE", vocab: 3, merges: [] }]) {
      await write("tokenizer.json", { model });
      expect(await problem(loadTokenizer(folder))).toMatch(/^(format|unsupported) tokenizer\.json: /);
    }
    await write("tokenizer.json", await readFile(new URL("tokenizer.json", chatGolden), "utf8"));
    await write("tokenizer_config.json", "[]");
    expect(await problem(loadTokenizer(folder))).toContain("format tokenizer_config.json: is not a JSON object");
  });
});

describe("tokenizerFromGguf", () => {
  const good: [string, unknown][] = [
    ["model", "gpt2"],
    ["tokens", ["a", "b", "ab", "__proto__", "<s>", "</s>"]],
    ["token_type", Int32Array.of(1, 1, 1, 1, 3, 3)],
    ["merges", ["a b"]],
    ["bos_token_id", 4],
    ["eos_token_id", 5],
  ];
  const metadata = (changes: Record<string, unknown>): Map<string, unknown> => {
    const keys = new Map([...good, ...Object.entries(changes)].map(([key, value]) => [`tokenizer.ggml.${key}`, value]));
    for (const [key, value] of keys) if (value === undefined) keys.delete(key);
    return keys;
  };

  it("reads a small vocabulary", () => {
    const tokenizer = tokenizerFromGguf(metadata({ add_bos_token: true, eot_token_id: 2 }));
    expect(tokenizer.encode("aba</s>")).toEqual([4, 2, 0, 5]);
    expect(tokenizer).toMatchObject({ vocabSize: 6, bosId: 4, eosId: 5, stopIds: [5, 2] });
    expect(tokenizerFromGguf(metadata({ bos_token_id: 0xffffffff })).bosId).toBeUndefined();
  });

  it.each([
    [{ model: undefined }, "tokenizer.ggml.model is missing"],
    [{ model: "t5" }, `tokenizer.ggml.model is "t5"`],
    [{ model: 7 }, "tokenizer.ggml.model is not a string"],
    [{ pre: "tekken" }, `tokenizer.ggml.pre is "tekken"`],
    [{ tokens: undefined }, "tokenizer.ggml.tokens is missing"],
    [{ tokens: ["a", 2] }, "tokenizer.ggml.tokens is not a string at 1"],
    [{ token_type: Int32Array.of(1) }, "tokenizer.ggml.token_type has 1 entries for 6 tokens"],
    [{ merges: undefined }, "tokenizer.ggml.merges is missing"],
    [{ merges: ["ab"] }, `tokenizer.ggml.merges holds "ab" at 0, not two tokens`],
    [{ bos_token_id: 6 }, "tokenizer.ggml.bos_token_id is not one of the 6 token ids"],
    [{ eos_token_id: "5" }, "tokenizer.ggml.eos_token_id is not one of the 6 token ids"],
    [{ add_bos_token: 1 }, "tokenizer.ggml.add_bos_token is not a boolean"],
    [{ model: "llama" }, "tokenizer.ggml.scores is missing"],
    [{ model: "llama", scores: "x" }, "tokenizer.ggml.scores is not an array of numbers"],
  ])("refuses %j", (changes, message) => {
    expect(() => tokenizerFromGguf(metadata(changes))).toThrow(message);
  });
});

describe("checkVocabulary", () => {
  it("wants a row of the embedding for every id", async () => {
    const tokenizer = await smallTokenizer();
    expect(() => checkVocabulary(tokenizer, 512, "m")).not.toThrow();
    expect(() => checkVocabulary(tokenizer, 511, "m")).toThrow(
      "the tokenizer has ids up to 511, but the embedding of m has 511 rows",
    );
  });
});
