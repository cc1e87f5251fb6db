import { readFileSync } from "node:fs";
import { golden, sharedData } from "@ft/testing";
import { openGguf } from "@ft/weights";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ChatTemplate, encodeConversation, type Tokenizer, tokenizerFromGguf } from "../src/index.ts";
import { conversation } from "./support.ts";
import { vocabularyCases } from "./vocabulary-cases.ts";

const vocabulary = sharedData("gguf/ggml-vocab-llama-spm.gguf");

async function open(): Promise<{
  tokenizer: Tokenizer;
  tokens: string[];
  scores: ArrayLike<number>;
  types: ArrayLike<number>;
}> {
  await using source = await openGguf(vocabulary!);
  const read = (key: string): any => source.metadata.get(`tokenizer.ggml.${key}`);
  return {
    tokenizer: tokenizerFromGguf(source.metadata),
    tokens: read("tokens"),
    scores: read("scores"),
    types: read("token_type"),
  };
}

describe.skipIf(vocabulary === undefined)("SentencePiece BPE from GGUF metadata (Llama 2's vocabulary)", () => {
  it("gives the ids of llama.cpp's vocabulary test, and the text back", async () => {
    const { tokenizer } = await open();
    const cases = vocabularyCases(sharedData("tokenizer/ggml-vocab-llama-spm.gguf.inp")!);
    expect(cases.length).toBe(46);
    for (const { text, ids } of cases) {
      expect(tokenizer.encode(text, { addSpecialTokens: false })).toEqual(ids);
      expect(tokenizer.decode(ids)).toBe(text);
    }
  });

  it("encodes and decodes as transformers does", async () => {
    const { tokenizer } = await open();
    const file = JSON.parse(readFileSync(sharedData("tokenizer/hf_encode_decode_cases.json")!, "utf8"));
    const cases = file["coreml-projects/Llama-2-7b-chat-coreml"];
    expect(cases.length).toBe(18);
    for (const { input, encoded, decoded_with_special, decoded_without_special } of cases) {
      expect(tokenizer.encode(input)).toEqual(encoded.input_ids);
      expect(tokenizer.decode(encoded.input_ids)).toBe(decoded_with_special);
      expect(tokenizer.decode(encoded.input_ids, { skipSpecialTokens: true })).toBe(decoded_without_special);
    }
  });

  it("merges as SentencePiece does: the best score first, the leftmost of equals", async () => {
    const { tokenizer, tokens, scores, types } = await open();
    const ordinary = new Map(tokens.flatMap((token, id) => (types[id] === 1 ? [[token, id] as const] : [])));
    const scoreOf = (piece: string): number => {
      const id = ordinary.get(piece);
      return id === undefined ? Number.NEGATIVE_INFINITY : scores[id]!;
    };
    const expected = (text: string): string[] => {
      const symbols = [...`\u2581${text.replaceAll(" ", "\u2581")}`];
      for (;;) {
        const joined = symbols.slice(1).map((symbol, i) => scoreOf(symbols[i]! + symbol));
        const best = joined.indexOf(Math.max(...joined));
        if (best === -1 || joined[best] === Number.NEGATIVE_INFINITY) return symbols;
        symbols.splice(best, 2, symbols[best]! + symbols[best + 1]!);
      }
    };
    const pieces = [...ordinary.keys()].map((piece) => piece.replaceAll("\u2581", " "));
    const inVocabulary = fc.constantFrom(...pieces);
    const runs = fc
      .array(fc.constantFrom(..." =-.*_#/aeo0n"), { minLength: 1, maxLength: 40 })
      .map((chars) => chars.join(""));
    const texts = fc.oneof(
      runs,
      fc.array(inVocabulary, { minLength: 1, maxLength: 6 }).map((list) => list.join("")),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const wanted = expected(text);
        fc.pre(wanted.every((piece) => ordinary.has(piece)));
        const ids = tokenizer.encode(text, { addSpecialTokens: false });
        expect(ids.map((id) => tokens[id])).toEqual(wanted);
      }),
      { numRuns: 2000, seed: 7 },
    );
  });

  it("gives the ids and labels that axolotl gives one Llama 2 chat", async () => {
    const { tokenizer } = await open();
    const chat = JSON.parse(readFileSync(sharedData("instruct/axolotl_conversation.json")!, "utf8"));
    const want = await golden<{ input_ids: number[]; labels: number[] }>(
      new URL(`file://${sharedData("chat-template/axolotl_conversation.tokenized_llama2chat.json")}`),
    );
    const turns: { from: string; value: string }[] = chat.conversations;
    const system = /<<SYS>>\n([\s\S]*)\n<<\/SYS>>/.exec(tokenizer.decode(want.input_ids))![1]!;
    const row = conversation([
      { role: "system", content: system },
      ...turns.map(({ from, value }) => ({
        role: from === "gpt" ? ("assistant" as const) : ("user" as const),
        content: value,
      })),
    ]);
    const template = new ChatTemplate(llama2, { specialTokens: tokenizer.specialTokens });
    const example = encodeConversation(tokenizer, template, row, { maxLength: 4096 })!;
    const length = want.input_ids.lastIndexOf(tokenizer.eosId!) + 1;
    expect(Array.from(example.tokens)).toEqual(want.input_ids.slice(0, length));
    expect(Array.from(example.targets)).toEqual([...want.labels.slice(1, length), -100]);
  });
});

/** Llama 2's chat form: the system message inside the first instruction, BOS and EOS around every exchange. */
const llama2 = [
  "{% set system = '<<SYS>>\\n' + messages[0].content + '\\n<</SYS>>\\n\\n' %}",
  "{% for m in messages[1:] %}",
  "{% if m.role == 'user' %}{{ bos_token + '[INST] ' + (system if loop.first else '') + m.content + ' [/INST]' }}",
  "{% else %}{{ ' ' + m.content + ' ' + eos_token }}{% endif %}",
  "{% endfor %}",
].join("");
