import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadTokenizer, type Tokenizer, tokenizerFilesFromGguf, tokenizerFromGguf } from "@ft/data";
import { configFromHf, readCompanions } from "@ft/models";
import { sharedData } from "@ft/testing";
import { openGguf } from "@ft/weights";
import { describe, expect, it } from "vitest";
import { packagedTokenizer } from "../../data/test/support.ts";
import { vocabularyCases } from "../../data/test/vocabulary-cases.ts";
import { tokenizerMetadata } from "../src/gguf/tokenizer/tokenizer-metadata.ts";
import type { ExportSource } from "../src/index.ts";
import { memorySource } from "./memory-source.ts";
import { texts } from "./texts.ts";

const quickstart = fileURLToPath(new URL("../../../examples/quickstart/model", import.meta.url));
const llama2 = sharedData("gguf/ggml-vocab-llama-spm.gguf");

async function filesOf(folder: string): Promise<Map<string, Uint8Array>> {
  const names = ["tokenizer.json", "tokenizer_config.json"];
  return new Map(await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name))] as const)));
}

function source(files: ReadonlyMap<string, Uint8Array>, rows: number, config: object = {}): ExportSource {
  const base = memorySource(new Map());
  const hf = { model_type: "llama", vocab_size: rows, hidden_size: 4, intermediate_size: 4, num_hidden_layers: 1 };
  const own = configFromHf({ ...hf, num_attention_heads: 1, ...config }, "config.json");
  return { ...base, files, config: own };
}

/** The metadata as openGguf would give it. */
function metadataOf(from: ExportSource): Map<string, unknown> {
  return new Map(tokenizerMetadata(from).entries.map(([key, [, value]]) => [key, value]));
}

/** The quickstart's files with another tokenizer.json. */
async function changed(change: (json: any) => unknown): Promise<Map<string, Uint8Array>> {
  const { files } = await readCompanions(quickstart);
  const json = JSON.parse(Buffer.from(files.get("tokenizer.json")!).toString());
  return new Map([...files, ["tokenizer.json", Buffer.from(JSON.stringify(change(json)))]]);
}

/** The expression of Llama 3 and Qwen 2. */
function wordsOf(digits: string): string {
  const rest = " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  return `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}|${rest}`;
}

function expectSame(own: Tokenizer, exported: Tokenizer): void {
  for (const text of texts) {
    const ids = own.encode(text);
    expect(exported.encode(text), text).toEqual(ids);
    expect(exported.decode(ids), text).toBe(own.decode(ids));
  }
  const facts = ({ bosId, eosId, addsBos, stopIds }: Tokenizer) => ({ bosId, eosId, addsBos, stopIds });
  expect(facts(exported)).toEqual(facts(own));
  expect(exported.chatTemplate).toBe(own.chatTemplate);
}

describe("tokenizer metadata", () => {
  it.each([
    ["gpt2", "gpt-2", 50_257],
    ["llama3", "llama-bpe", 128_256],
    ["qwen2_5", "qwen2", 151_936],
  ])("gives the tokens of a real tokenizer.json: %s", async (name, pre, rows) => {
    const folder = packagedTokenizer(name);
    const metadata = metadataOf(source(await filesOf(folder), rows));
    expect(metadata.get("tokenizer.ggml.model")).toBe("gpt2");
    expect(metadata.get("tokenizer.ggml.pre")).toBe(pre);
    expect(metadata.get("tokenizer.ggml.tokens")).toHaveLength(rows);
    expectSame(await loadTokenizer(folder), tokenizerFromGguf(metadata));
  });

  it("gives the tokens of the quickstart's tokenizer, and again after a way through a file's metadata", async () => {
    const own = await loadTokenizer(quickstart);
    const { files } = await readCompanions(quickstart);
    const metadata = metadataOf(source(files, 1536, { eos_token_id: 4 }));
    expectSame(own, tokenizerFromGguf(metadata));
    const again = metadataOf(source(tokenizerFilesFromGguf(metadata), 1536, { eos_token_id: 4 }));
    expect(again).toEqual(metadata);
  });

  it("fills rows that no token has with unused ones", async () => {
    const { files } = await readCompanions(quickstart);
    const metadata = metadataOf(source(files, 1600));
    const tokens: string[] = Object(metadata.get("tokenizer.ggml.tokens"));
    const types = Object(metadata.get("tokenizer.ggml.token_type"));
    expect(tokens).toHaveLength(1600);
    expect([tokens[1536], tokens[1599], types[1535], types[1536], types[1599], types[0]]).toEqual([
      ...["[PAD1536]", "[PAD1599]", 1, 5, 5, 3],
    ]);
  });

  it("names every end of an answer", async () => {
    const files = await filesOf(packagedTokenizer("llama3"));
    files.set("generation_config.json", Buffer.from('{"eos_token_id": [128001, 128008, 128009]}'));
    const config = JSON.parse(Buffer.from(files.get("tokenizer_config.json")!).toString());
    files.set("tokenizer_config.json", Buffer.from(JSON.stringify({ ...config, eos_token: "<|eot_id|>" })));
    const metadata = metadataOf(source(files, 128_256));
    expect(tokenizerFromGguf(metadata).stopIds).toEqual([128_009, 128_001, 128_008]);
    expect(metadata.get("tokenizer.ggml.bos_token_id")).toBe(128_000);
    expect(tokenizerMetadata(source(files, 128_256)).droppedEndIds).toEqual([]);
  });

  it.each([
    ["<|end|>, two others and a fourth", [4, 1, 2, 3], 1536, { eos: 4, eot: 1, eom: 2 }, [3]],
    ["<|eom_id|> in its own place", [4, 1, 1536, 2, 3], 1537, { eos: 4, eot: 1, eom: 1536 }, [2, 3]],
  ])("says which ends of an answer have no place: %s", async (_, ends, rows, ids, dropped) => {
    const files = await changed((json) => ({
      ...json,
      added_tokens: [
        ...json.added_tokens,
        ...(rows > 1536 ? [{ id: 1536, content: "<|eom_id|>", special: true }] : []),
      ],
    }));
    files.delete("generation_config.json");
    const from = source(files, rows, { eos_token_id: ends });
    const metadata = metadataOf(from);
    for (const [name, id] of Object.entries(ids))
      expect(metadata.get(`tokenizer.ggml.${name}_token_id`), name).toBe(id);
    expect(tokenizerMetadata(from).droppedEndIds).toEqual(dropped);
  });

  it("takes no token for one that is not named, an empty one neither", async () => {
    const files = await changed((json) => ({
      ...json,
      model: { ...json.model, vocab: { ...json.model.vocab, "": 1536 } },
    }));
    for (const config of [{}, { bos_token: null, pad_token: 7, unk_token: {} }]) {
      files.set("tokenizer_config.json", Buffer.from(JSON.stringify(config)));
      files.delete("special_tokens_map.json");
      const metadata = metadataOf(source(files, 1537));
      for (const name of ["bos", "unknown", "padding"])
        expect(metadata.has(`tokenizer.ggml.${name}_token_id`), name).toBe(false);
    }
  });

  it.each([true, false])("adds EOS where tokenizer_config.json says so: %s", async (adds) => {
    const files = await changed((json) => json);
    const config = { eos_token: "<|end|>", add_eos_token: adds };
    files.set("tokenizer_config.json", Buffer.from(JSON.stringify(config)));
    expect(metadataOf(source(files, 1536)).get("tokenizer.ggml.add_eos_token") ?? false).toBe(adds);
    files.set("tokenizer_config.json", Buffer.from('{ "add_eos_token": true }'));
    files.delete("generation_config.json");
    expect(metadataOf(source(files, 1536)).has("tokenizer.ggml.add_eos_token")).toBe(false); // of no EOS
  });

  it("takes BOS from the post-processor where the configuration says nothing", async () => {
    const { files } = await readCompanions(quickstart);
    const json = JSON.parse(Buffer.from(files.get("tokenizer.json")!).toString());
    const mark = { SpecialToken: { id: "<|system|>", type_id: 0 } };
    const end = { SpecialToken: { id: "<|end|>", type_id: 0 } };
    const single = [mark, { Sequence: { id: "A", type_id: 0 } }, end];
    const special = (token: string, id: number) => ({ id: token, ids: [id], tokens: [token] });
    const specials = { "<|system|>": special("<|system|>", 1), "<|end|>": special("<|end|>", 4) };
    const template = { type: "TemplateProcessing", single, pair: single, special_tokens: specials };
    const bytes = { type: "ByteLevel", add_prefix_space: true, trim_offsets: false, use_regex: true };
    const changed = { ...json, post_processor: { type: "Sequence", processors: [bytes, template] } };
    const own = { bos_token: "<|system|>", eos_token: "<|end|>" };
    const metadata = metadataOf(
      source(
        new Map([
          ["tokenizer.json", Buffer.from(JSON.stringify(changed))],
          ["tokenizer_config.json", Buffer.from(JSON.stringify(own))],
        ]),
        1536,
      ),
    );
    expect(metadata.get("tokenizer.ggml.add_bos_token")).toBe(true);
    expect(metadata.get("tokenizer.ggml.add_eos_token")).toBe(true);
    expect(metadata.has("tokenizer.chat_template")).toBe(false);
  });

  const nfc = { type: "NFC" };
  const words = (digits: string): object => ({
    type: "Sequence",
    pretokenizers: [
      { type: "Split", pattern: { Regex: wordsOf(digits) }, behavior: "Isolated", invert: false },
      { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
    ],
  });
  const ignoring = (model: object): object => ({ ...model, ignore_merges: true });

  it.each<[string, (json: any) => unknown, string]>([
    ["no normalizer", (json) => ({ ...json, normalizer: { type: "Sequence", normalizers: [] } }), "gpt-2"],
    [
      "Qwen's NFC, which llama.cpp leaves out",
      (json) => ({ ...json, normalizer: nfc, pre_tokenizer: words("\\p{N}") }),
      "qwen2",
    ],
    [
      "words that are tokens, taken whole",
      (json) => ({ ...json, pre_tokenizer: words("\\p{N}{1,3}"), model: ignoring(json.model) }),
      "llama-bpe",
    ],
  ])("takes %s", async (_, change, pre) => {
    expect(metadataOf(source(await changed(change), 1536)).get("tokenizer.ggml.pre")).toBe(pre);
  });

  it.each<[string, (json: any) => unknown, string, string]>([
    ["letters made small", (json) => ({ ...json, normalizer: { type: "Lowercase" } }), "unsupported", '"Lowercase"'],
    [
      "a text put in front",
      (json) => ({ ...json, normalizer: { type: "Sequence", normalizers: [{ type: "Prepend", prepend: " " }] } }),
      "unsupported",
      '"Prepend"',
    ],
    ["NFC with other words", (json) => ({ ...json, normalizer: nfc }), "unsupported", 'normalizer {"type":"NFC"}'],
    [
      "whole words with GPT-2's",
      (json) => ({ ...json, model: ignoring(json.model) }),
      "unsupported",
      "ignore_merges true",
    ],
    [
      "whole words with Qwen's",
      (json) => ({ ...json, pre_tokenizer: words("\\p{N}"), model: ignoring(json.model) }),
      "unsupported",
      "ignore_merges true",
    ],
    [
      "marks at the ends of words",
      (json) => ({ ...json, model: { ...json.model, end_of_word_suffix: "</w>" } }),
      "unsupported",
      'end_of_word_suffix "</w>"',
    ],
    ["another model", (json) => ({ ...json, model: { ...json.model, type: "Unigram" } }), "unsupported", '"Unigram"'],
    [
      "another pre-tokenizer",
      (json) => ({ ...json, pre_tokenizer: { type: "Whitespace" } }),
      "unsupported",
      "Whitespace",
    ],
    ["no model", (json) => ({ ...json, model: 1 }), "format", "has no model with a vocabulary"],
    ["a broken rule", (json) => ({ ...json, model: { ...json.model, merges: ["a b c"] } }), "format", '"a b c"'],
    [
      "two tokens of one id",
      (json) => ({ ...json, model: { ...json.model, vocab: { ...json.model.vocab, twice: 9 } } }),
      "data",
      "at id 9",
    ],
    [
      "a token beyond the embedding",
      (json) => ({ ...json, model: { ...json.model, vocab: { ...json.model.vocab, far: 1536 } } }),
      "data",
      "the embedding has 1536 rows",
    ],
  ])("refuses %s", async (_, change, code, message) => {
    const from = source(await changed(change), 1536);
    expect(() => tokenizerMetadata(from)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    );
  });
});

describe("SentencePiece's BPE", () => {
  const metaspace = { type: "Metaspace", replacement: "▁", prepend_scheme: "first", split: false };
  const small = {
    added_tokens: [{ id: 0, content: "<unk>", special: true }],
    normalizer: { type: "Sequence", normalizers: [{ type: "Replace", pattern: { String: " " }, content: "▁" }] },
    pre_tokenizer: null as unknown,
    model: {
      ...{ type: "BPE", byte_fallback: true, unk_token: "<unk>" },
      vocab: { "<unk>": 0, "<0x41>": 1, a: 2, b: 3, ab: 4, aba: 5, "▁": 6 },
      merges: [
        ["a", "b"],
        ["ab", "a"],
      ] as [string, string][],
    },
  };
  const files = (json: unknown) => new Map([["tokenizer.json", Buffer.from(JSON.stringify(json))]]);

  it("scores tokens by the order of the rules that make them", () => {
    const metadata = metadataOf(source(files(small), 8));
    expect([...Object(metadata.get("tokenizer.ggml.scores"))]).toEqual([0, 0, -2, -3, 0, -1, -4, 0]);
    const rules = ["a b", "b a", "b b", "a ba", "a bb", "ab a", "ab b"];
    const vocab = { ...small.model.vocab, abb: 7, ba: 8, bb: 9 };
    const scores = metadataOf(source(files({ ...small, model: { ...small.model, vocab, merges: rules } }), 10));
    expect([...Object(scores.get("tokenizer.ggml.scores"))]).toEqual([0, 0, -4, -5, 0, -3, -6, -3, -1, -2]);
    expect([...Object(metadata.get("tokenizer.ggml.token_type"))]).toEqual([2, 6, 1, 1, 1, 1, 1, 5]);
    expect(metadata.get("tokenizer.ggml.add_space_prefix")).toBe(false);
    const prefixed = metadataOf(source(files({ ...small, normalizer: null, pre_tokenizer: metaspace }), 8));
    expect(prefixed.get("tokenizer.ggml.add_space_prefix")).toBe(true);
  });

  it("refuses rules that no score expresses, and normalisers that do more", () => {
    const apart = { ...small.model, merges: ["a b", "ab a", "a ba", " ab"] };
    expectRefused({ model: apart }, "stand apart");
    expectRefused({ model: { ...small.model, ignore_merges: true } }, "ignore_merges");
    expectRefused({ normalizer: { type: "NFKC" } }, '"NFKC"');
    expectRefused({ normalizer: null }, "normalizer null");
    expectRefused({ normalizer: { type: "Prepend", prepend: "▁" } }, "Prepend");
    for (const pattern of [{ String: "a" }, { Regex: " " }, undefined])
      expectRefused({ normalizer: { type: "Replace", pattern, content: "▁" } }, '"Replace"');
    expectRefused({ pre_tokenizer: { type: "Split" } }, '"Split"');
    expectRefused({ pre_tokenizer: { ...metaspace, replacement: "_" } }, '"replacement":"_"');
    expectRefused({ pre_tokenizer: { ...metaspace, split: true } }, '"split":true');
    const { split: _, ...absent } = metaspace; // Hugging Face splits then
    expectRefused({ pre_tokenizer: absent }, '"split": false');
  });

  function expectRefused(changes: object, message: string): void {
    expect(() => tokenizerMetadata(source(files({ ...small, ...changes }), 8)), message).toThrow(
      expect.objectContaining({ code: "unsupported", message: expect.stringContaining(message) }),
    );
  }

  it.each<[string, string[], string[], string]>([
    ["one rule a token, of two that make it", ["c", "ab", "bc", "abc"], ["a b", "b c", "a bc"], '"ab" and "c"'],
    ["a token that no rule makes", ["ab"], [], '"a" and "b"'],
    ["a character that is no token", ["a🙂"], [], '"a" and "🙂"'],
  ])("refuses pairs that llama.cpp would join by itself: %s", (_, more, merges, pair) => {
    const vocab = Object.fromEntries(["<unk>", "a", "b", "▁", ...more].map((token, id) => [token, id]));
    expectRefused({ model: { ...small.model, vocab, merges } }, `no merge rule for ${pair}`);
  });

  it("needs no rule for pairs that never meet", () => {
    const vocab = { "<unk>": 0, a: 1, b: 2, "▁": 3, ab: 4, "a\n": 5, aba: 6 };
    const apart = { id: 7, content: "\n", special: false }; // texts are cut there first
    const model = { ...small.model, vocab };
    const metadata = metadataOf(source(files({ ...small, added_tokens: [...small.added_tokens, apart], model }), 8));
    expect([...Object(metadata.get("tokenizer.ggml.scores"))]).toEqual([0, -2, -3, -4, 0, -5, -1, 0]);
  });

  /**
   * Ordinary tokens of several characters by score, best first, those of one score together: what decides on merges. Without those of
   * spaces alone, which share one score in the original, and whose shortest the rules of Hugging Face put in front.
   */
  function ranks(metadata: ReadonlyMap<string, unknown>): number[][] {
    const [scores, types] = ["scores", "token_type"].map((key) => Object(metadata.get(`tokenizer.ggml.${key}`)));
    const tokens: string[] = Object(metadata.get("tokenizer.ggml.tokens"));
    const made = [...types.keys()].filter(
      (id) => types[id] === 1 && /[^▁]/.test(tokens[id]!) && [...tokens[id]!].length > 1,
    );
    const ordinary = made.sort((a, b) => scores[b] - scores[a] || a - b);
    const groups: number[][] = [];
    for (const id of ordinary)
      if (scores[groups.at(-1)?.[0] ?? -1] === scores[id]) groups.at(-1)!.push(id);
      else groups.push([id]);
    return groups;
  }

  it.skipIf(llama2 === undefined)("writes Llama 2's own tokens, types and order of scores back", async () => {
    await using file = await openGguf(llama2!);
    const from = source(tokenizerFilesFromGguf(file.metadata), 32_000);
    const metadata = metadataOf(from);
    for (const key of ["model", "tokens", "token_type", "bos_token_id", "eos_token_id", "unknown_token_id"])
      expect(metadata.get(`tokenizer.ggml.${key}`), key).toEqual(file.metadata.get(`tokenizer.ggml.${key}`));
    expect(ranks(metadata)).toEqual(ranks(file.metadata));
    const tokenizer = tokenizerFromGguf(metadata);
    for (const { text, ids } of vocabularyCases(sharedData("tokenizer/ggml-vocab-llama-spm.gguf.inp")!))
      expect(tokenizer.encode(text, { addSpecialTokens: false })).toEqual(ids);
  });
});
