import { readdirSync, readFileSync } from "node:fs";
import { golden, sharedData } from "@ft/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ChatGolden, chatGolden, chatml, conversation, smallTokenizer } from "../../test/support.ts";
import {
  ChatTemplate,
  chatTemplateOf,
  type Example,
  encodeConversation,
  encodeConversations,
  ignoredTarget,
  renderPrompt,
  type Tokenizer,
  tokenizerFromJson,
} from "../index.ts";

const tokenizer = await smallTokenizer();
const template = chatml(tokenizer);
const { conversations } = await golden<ChatGolden>(chatGolden);
const long = { maxLength: 4096 };

/** The learnt stretches of an example, as text. */
function learnt(example: Example): string[] {
  return runsOf(example).map((run) => tokenizer.decode(run));
}

describe("encodeConversation", () => {
  it("learns each trained answer with the token that ends it", () => {
    const chat = conversations.multi!;
    const all = encodeConversation(tokenizer, template, conversation(chat), long)!;
    expect(learnt(all)).toEqual([
      "Hello! How can I help?<|im_end|>",
      "你好！🙂<|im_end|>",
      "You're welcome.<|im_end|>",
    ]);
    const second = encodeConversation(tokenizer, template, conversation(chat, [3]), long)!;
    expect(learnt(second)).toEqual(["你好！🙂<|im_end|>"]);
    expect(second.tokens).toEqual(all.tokens);
  });

  it("is not misled by an answer that also stands elsewhere in the text", () => {
    const example = encodeConversation(tokenizer, template, conversation(conversations.repeated!, [3]), long)!;
    expect(learnt(example)).toEqual(["same<|im_end|>"]);
    expect(example.targets.findIndex((t) => t !== ignoredTarget)).toBe(example.tokens.length - 4);
  });

  it("starts to learn exactly where the prompt given at inference ends", () => {
    for (const [name, chat] of Object.entries(conversations)) {
      const last = chat.length - 1;
      if (chat[last]!.role !== "assistant" || name === "spaces") continue;
      const { ids } = renderPrompt(tokenizer, template, chat.slice(0, last));
      const { tokens, targets } = encodeConversation(tokenizer, template, conversation(chat, [last]), long)!;
      expect(Array.from(tokens.slice(0, ids.length))).toEqual(ids);
      expect(targets.findIndex((t) => t !== ignoredTarget)).toBe(ids.length - 1);
    }
  });

  it("puts BOS in front once, whoever brings it", () => {
    const bosId = tokenizer.idOf("<|endoftext|>")!;
    const withBos = { ...tokenizer, bosId, addsBos: true };
    const chat = conversation(conversations.single!);
    const plain = encodeConversation(tokenizer, template, chat, long)!;
    const added = encodeConversation(withBos, template, chat, long)!;
    expect(Array.from(added.tokens)).toEqual([bosId, ...plain.tokens]);
    expect(Array.from(added.targets)).toEqual([ignoredTarget, ...plain.targets]);
    const emits = new ChatTemplate(`<|endoftext|>${"{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}"}`);
    const once = encodeConversation(withBos, emits, chat, long)!;
    expect(once.tokens.filter((id) => id === bosId).length).toBe(1);
    expect(renderPrompt(withBos, emits, [{ role: "user", content: "x" }]).ids.filter((id) => id === bosId).length).toBe(
      1,
    );
  });

  it("cuts the end, drops or refuses rows that are too long", () => {
    const row = { ...conversation(conversations.single!), source: { file: "x.json", row: 17 } };
    const whole = encodeConversation(tokenizer, template, row, long)!;
    const length = whole.tokens.length;
    const cut = encodeConversation(tokenizer, template, row, { maxLength: length - 2 })!;
    expect(cut.tokens).toEqual(whole.tokens.slice(0, -2));
    expect(cut.cut).toBe(2);
    expect(Array.from(cut.targets)).toEqual([...whole.targets.slice(0, length - 3), ignoredTarget]);
    expect(encodeConversation(tokenizer, template, row, { maxLength: length, truncation: "error" })).toEqual(whole);
    expect(encodeConversation(tokenizer, template, row, { maxLength: length - 1, truncation: "drop" })).toBeUndefined();
    const refuse = (options: Parameters<typeof encodeConversation>[3]) => () =>
      encodeConversation(tokenizer, template, row, options);
    expect(refuse({ maxLength: length - 1, truncation: "error" })).toThrow(
      `row 17 of x.json: has ${length} tokens, more than ${length - 1}`,
    );
    expect(refuse({ maxLength: 8 })).toThrow("row 17 of x.json: has no answer left within 8 tokens");
    expect(refuse({ maxLength: 1 })).toThrow("maxLength is 1");
    const silent = conversation(conversations.single!, []);
    expect(() => encodeConversation(tokenizer, template, silent, long)).toThrow(
      "row 1 of rows.json: every assistant message has weight 0",
    );
  });

  it("counts what was cut and dropped", () => {
    const rows = Object.entries(conversations).flatMap(([name, chat]) => (name === "open" ? [] : [conversation(chat)]));
    const lengths = encodeConversations(tokenizer, template, rows, long).examples.map((e) => e.tokens.length);
    const maxLength = 60;
    const over = lengths.filter((length) => length > maxLength);
    expect(over.length).toBeGreaterThan(0);
    const { examples, stats } = encodeConversations(tokenizer, template, rows, { maxLength });
    expect(stats).toMatchObject({ examples: rows.length, truncated: over.length, dropped: 0 });
    expect(stats.cutTokens).toBe(over.reduce((sum, length) => sum + length - maxLength, 0));
    expect(stats.tokens).toBe(examples.reduce((sum, e) => sum + e.tokens.length, 0));
    expect(stats.targetTokens).toBe(examples.flatMap(learnt).reduce((n, text) => n + tokenizer.encode(text).length, 0));
    const dropped = encodeConversations(tokenizer, template, rows, { maxLength, truncation: "drop" });
    expect(dropped.stats).toMatchObject({ examples: rows.length - over.length, truncated: 0, dropped: over.length });
    expect(() => encodeConversations(tokenizer, template, rows, { maxLength: 2, truncation: "drop" })).toThrow(
      /none of 7 rows fits/,
    );
  });

  it("names the row that a template refuses", () => {
    const strict = new ChatTemplate("{{ raise_exception('no') if messages|length > 1 else '' }}", { name: "strict" });
    const encode = () => encodeConversation(tokenizer, strict, conversation(conversations.single!), long);
    expect(encode).toThrow("row 1 of rows.json: strict: cannot render these messages (no)");
  });

  it("names the row whose answers a template mixes up", () => {
    const mixed = new ChatTemplate(
      "{% for m in messages %}{{ loop.length }}{{ m.content }}{{ m.content }}{% endfor %}",
      { name: "mixed" },
    );
    const encode = () => encodeConversation(tokenizer, mixed, conversation(conversations.multi!), long);
    expect(encode).toThrow(
      "row 1 of rows.json: messages[1]: mixed changes it so that its answer cannot be told from its prompt",
    );
  });
});

describe("the default template", () => {
  it("learns answer and end of text", () => {
    const plain = chatTemplateOf({ ...tokenizer, specialTokens: { eos_token: "<|endoftext|>" } });
    const example = encodeConversation(tokenizer, plain, conversation(conversations.multi!), long)!;
    expect(learnt(example)).toEqual([
      "Hello! How can I help?<|endoftext|>",
      "你好！🙂<|endoftext|>",
      "You're welcome.<|endoftext|>",
    ]);
  });
});

const folder = sharedData("chat-template/templates");
const ends: Record<string, string> = {
  "HuggingFaceTB-SmolLM3-3B.jinja": "<|im_end|>",
  "Qwen-Qwen2.5-7B-Instruct.jinja": "<|im_end|>",
  "Qwen-Qwen3-0.6B.jinja": "<|im_end|>",
  "deepseek-ai-DeepSeek-R1-Distill-Llama-8B.jinja": "<｜end▁of▁sentence｜>",
  "google-gemma-2-2b-it.jinja": "<end_of_turn>",
  "meta-llama-Llama-3.1-8B-Instruct.jinja": "<|eot_id|>",
  "meta-llama-Llama-3.2-3B-Instruct.jinja": "<|eot_id|>",
  "microsoft-Phi-3.5-mini-instruct.jinja": "<|end|>",
  "mistralai-Mistral-Nemo-Instruct-2407.jinja": "</s>",
};

describe.skipIf(folder === undefined)("real templates", () => {
  it("are all covered", () => expect(readdirSync(folder!).sort()).toEqual(Object.keys(ends).sort()));

  it.each(Object.entries(ends))(
    "%s: every answer of a chat is learnt, with its end and nothing of the prompts",
    (file, end) => {
      // The small tokenizer with this model's markers made special, so that the end of a turn is one token.
      const source = readFileSync(`${folder}/${file}`, "utf8");
      const special = { bos_token: "<|endoftext|>", eos_token: file.startsWith("microsoft") ? "<|endoftext|>" : end };
      const marked = withSpecialTokens(source, end);
      const model = new ChatTemplate(source, { name: file, specialTokens: special });
      const word = fc.stringMatching(/^[a-z][a-z0-9 ,.]{0,12}[a-z]$/);
      fc.assert(
        fc.property(fc.array(fc.tuple(word, word), { minLength: 1, maxLength: 4 }), (pairs) => {
          const chat = pairs.flatMap(([q, a]) => [
            { role: "user" as const, content: `Q${q}` },
            { role: "assistant" as const, content: `A${a}` },
          ]);
          const example = encodeConversation(marked, model, conversation(chat), long)!;
          const found = runsOf(example).map((run) => marked.decode(run));
          expect(found.length).toBe(pairs.length);
          pairs.forEach(([, a], i) => {
            // Thinking models write an empty thought first; Phi ends a whole chat with its end-of-text token as well.
            const answer = found[i]!.replace(/^<think>\n\n<\/think>\n\n/, "").replace(`${end}\n<|endoftext|>`, end);
            expect(answer.replace(/^ /, "")).toBe(`A${a}${end}`);
          });
        }),
        { numRuns: 40, seed: 11 },
      );
    },
  );
});

/** The small tokenizer, with every marker that the template writes as a special token of its own. */
function withSpecialTokens(source: string, end: string): Tokenizer {
  const json = JSON.parse(readFileSync(new URL("tokenizer.json", chatGolden), "utf8"));
  const markers = new Set([end, ...(source.match(/<[|｜][^|｜<>']+[|｜]>|<start_of_turn>|\[\/?INST\]/g) ?? [])]);
  for (const { content } of json.added_tokens) markers.delete(content);
  const added = [...markers].map((content, i) => ({ ...json.added_tokens[0], id: 512 + i, content }));
  return tokenizerFromJson(
    { ...json, added_tokens: [...json.added_tokens, ...added] },
    { name: "test", specialTokens: {} },
  );
}

function runsOf(example: Example): number[][] {
  const runs: number[][] = [];
  example.targets.forEach((target, i) => {
    if (target === ignoredTarget) return;
    expect(target).toBe(example.tokens[i + 1]);
    if (i > 0 && example.targets[i - 1] !== ignoredTarget) runs.at(-1)!.push(target);
    else runs.push([target]);
  });
  return runs;
}
