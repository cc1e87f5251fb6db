import { golden } from "@ft/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ChatGolden, chatGolden, chatml, conversation, smallTokenizer } from "../test/support.ts";
import { dataStats, type Example, encodeConversation, ignoredTarget, previewExample } from "./index.ts";

const tokenizer = await smallTokenizer();
const template = chatml(tokenizer);
const { conversations } = await golden<ChatGolden>(chatGolden);

describe("previewExample", () => {
  it("shows what is learnt and what is not", () => {
    const example = encodeConversation(tokenizer, template, conversation(conversations.multi!, [1, 3]), {
      maxLength: 512,
    })!;
    expect(previewExample(tokenizer, example)).toEqual([
      { text: "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", trained: false },
      { text: "Hello! How can I help?<|im_end|>", trained: true },
      { text: "\n<|im_start|>user\n请用中文说你好。<|im_end|>\n<|im_start|>assistant\n", trained: false },
      { text: "你好！🙂<|im_end|>", trained: true },
      {
        text: "\n<|im_start|>user\nThanks<|im_end|>\n<|im_start|>assistant\nYou're welcome.<|im_end|>\n",
        trained: false,
      },
    ]);
  });

  it("joins to the decoded text whatever is marked, and never tears a character", () => {
    const texts = fc
      .array(fc.constantFrom("你", "🙂", "é", "a", " word", "<|im_end|>", "👨‍👩‍👧‍👦"), { minLength: 1, maxLength: 12 })
      .map((parts) => parts.join(""));
    let torn = 0;
    fc.assert(
      fc.property(texts, fc.infiniteStream(fc.boolean()), (text, marks) => {
        const tokens = Int32Array.from(tokenizer.encode(text));
        const targets = Int32Array.from(tokens, (_, i) =>
          marks.next().value && i + 1 < tokens.length ? tokens[i + 1]! : ignoredTarget,
        );
        const spans = previewExample(tokenizer, { tokens, targets });
        expect(spans.map((span) => span.text).join("")).toBe(text);
        // Each border lies where some number of whole tokens ends.
        const borders = new Set(Array.from(tokens, (_, i) => tokenizer.decode(tokens.subarray(0, i + 1))));
        let front = "";
        for (const span of spans) {
          front += span.text;
          expect(borders).toContain(front);
        }
        spans.slice(1).forEach((span, i) => {
          expect(span.trained).not.toBe(spans[i]!.trained);
        });
        if (Array.from(tokens).some((id) => tokenizer.decode([id]).includes("\uFFFD"))) torn++;
      }),
      { seed: 2, numRuns: 300 },
    );
    expect(torn).toBeGreaterThan(50);
  });
});

describe("dataStats", () => {
  it("counts", () => {
    const make = (length: number, learnt: number, cut = 0): Example => ({
      tokens: Int32Array.from({ length }, (_, i) => i),
      targets: Int32Array.from({ length }, (_, i) => (i < learnt ? i + 1 : ignoredTarget)),
      cut,
      source: { file: "x", row: 1 },
    });
    const stats = dataStats([...Array.from({ length: 98 }, (_, i) => make(i + 3, 2)), make(100, 50, 7), make(100, 50)]);
    expect(stats).toEqual({
      examples: 100,
      tokens: 98 * 3 + (97 * 98) / 2 + 200,
      targetTokens: 296,
      targetShare: 296 / (98 * 3 + (97 * 98) / 2 + 200),
      length: { min: 3, mean: (98 * 3 + (97 * 98) / 2 + 200) / 100, p50: 52, p90: 92, p95: 97, p99: 100, max: 100 },
      targetLength: { min: 2, mean: 2.96, p50: 2, p90: 2, p95: 2, p99: 50, max: 50 },
      duplicates: 2,
      truncated: 1,
    });
  });
});
