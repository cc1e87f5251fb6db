import { readFile } from "node:fs/promises";
import { Tokenizer } from "@huggingface/tokenizers";
import { describe, expect, it } from "vitest";
import { countPieces, trainBpe } from "../src/bpe.ts";
import { corpus, corpusSeed } from "../src/corpus.ts";
import { architecture } from "../src/first-weights.ts";
import { buildTokenizer, specialTokens, tokenizerRows, tokenizerTexts } from "../src/tokenizer.ts";

describe("trainBpe", () => {
  it("merges the most frequent pair first, and then what that makes frequent", () => {
    const counts = new Map([
      ["low", 5],
      ["lower", 2],
      ["newest", 6],
      ["widest", 3],
    ]);
    // the worked example of Sennrich et al. 2016 without its end-of-word sign: e+s and s+t occur 9 times each
    const merges = trainBpe(counts, 3).map((pair) => pair.join("+"));
    expect(merges[1]).toBe(merges[0] === "e+s" ? "es+t" : "e+st");
    expect(merges[2]).toBe("l+o");
  });

  it("takes the pair that sorts first among equals, and stops where nothing occurs twice", () => {
    expect(
      trainBpe(
        new Map([
          ["ba", 3],
          ["ab", 3],
          ["cd", 1],
        ]),
        10,
      ),
    ).toEqual([
      ["a", "b"],
      ["b", "a"],
    ]);
  });

  it("never merges digits, nor two Chinese characters", () => {
    expect([...countPieces(["room 77, 北北77", "77"]).keys()].filter((piece) => /7/.test(piece))).toEqual(["7"]);
    const text = "北京77北京77北京".repeat(50);
    const made = trainBpe(countPieces([text]), 100).map((pair) => pair.join(""));
    // three bytes a character: two merges each, and nothing beyond
    expect(made).toHaveLength(4);
    expect(made.filter((token) => token.length === 3)).toHaveLength(2);
  });
});

describe("the tokenizer", () => {
  const rows = [...corpus(corpusSeed, 2000)];
  const texts = rows.map(({ instruction, input, output }) => [instruction, input, output].join("\n"));
  const files = buildTokenizer(texts, 1024, 512);
  const tokenizer = new Tokenizer(files["tokenizer.json"], files["tokenizer_config.json"]);

  it("has the size asked for, special tokens first", () => {
    expect(tokenizer.get_vocab().size).toBe(1024);
    expect(specialTokens.map((token) => tokenizer.token_to_id(token))).toEqual([0, 1, 2, 3, 4]);
  });

  it("gives back any text", () => {
    for (const text of [...texts.slice(0, 200), "Zürich ½ 😀\n\n  x", "没见过的字：鑫"])
      expect(tokenizer.decode(tokenizer.encode(text, { add_special_tokens: false }).ids)).toBe(text);
  });

  it("spends less than half a token a byte on its own corpus", () => {
    const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
    const tokens = texts.reduce(
      (sum, text) => sum + tokenizer.encode(text, { add_special_tokens: false }).ids.length,
      0,
    );
    expect(tokens / bytes).toBeLessThan(0.5);
  });

  it("keeps names, numbers and Chinese characters the same wherever they stand", () => {
    const ids = (text: string): number[] => tokenizer.encode(text, { add_special_tokens: false }).ids;
    expect(ids("在北京")).toEqual([...ids("在"), ...ids("北"), ...ids("京")]);
    expect(ids("a 12")).toEqual([...ids("a"), ...ids(" "), ...ids("1"), ...ids("2")]);
  });
});

describe("the tokenizer in examples/quickstart/model", () => {
  it("is what the corpus gives", async () => {
    const model = new URL("../../quickstart/model/", import.meta.url);
    const made = buildTokenizer(
      tokenizerTexts(corpus(corpusSeed, tokenizerRows)),
      architecture.vocabSize,
      architecture.contextLength,
    );
    for (const [name, content] of Object.entries(made))
      expect(JSON.parse(await readFile(new URL(name, model), "utf8"))).toEqual(content);
  });
});
