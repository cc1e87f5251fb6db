import { existsSync } from "node:fs";
import { createCpuBackend } from "@ft/backend-cpu";
import { assembleBatch, chatTemplateOf, encodeConversation, loadRows, renderPrompt, tokenizerFromGguf } from "@ft/data";
import { generate, loadModel, uploadBatch } from "@ft/models";
import { scope } from "@ft/tensor";
import { expectClose, sharedData, smollm2Path } from "@ft/testing";
import { openGguf } from "@ft/weights";
import { describe, expect, it } from "vitest";
import { goldenJson } from "../../models/test/goldens.ts";

const gguf = smollm2Path();
const alpaca = sharedData("instruct/alpaca_en_demo.json");
const json = goldenJson("smollm2");

async function open() {
  await using source = await openGguf(gguf);
  return tokenizerFromGguf(source.metadata);
}

describe.skipIf(!existsSync(gguf))("SmolLM2-135M from its GGUF, against transformers on the same weights", () => {
  it("tokenises every string alike", async () => {
    const tokenizer = await open();
    for (const { text, ids } of json.tokenizer)
      expect(tokenizer.encode(text, { addSpecialTokens: false }), text).toEqual(ids);
  });

  it.skipIf(alpaca === undefined)("renders, cuts and masks the first four rows alike", async () => {
    const tokenizer = await open();
    const rows = await loadRows(alpaca!);
    const template = chatTemplateOf(tokenizer);
    const examples = json.data.rows.map(
      (row: number) => encodeConversation(tokenizer, template, rows[row]!, { maxLength: 128 })!,
    );
    const batch = assembleBatch(examples, [[0], [1], [2], [3]], 128);
    expect([...batch.tokens]).toEqual(json.batch.tokens);
    expect([...batch.targets]).toEqual(json.batch.targets);
  });

  it("has its loss on them, and the likeliest next tokens", async () => {
    const backend = await createCpuBackend();
    using model = await loadModel(gguf, { backend });
    const { batch, seq, tokens, targets } = json.batch;
    const positions = Int32Array.from({ length: batch * seq }, (_, i) => i % seq);
    const host = {
      batch,
      seq,
      tokens: Int32Array.from(tokens),
      targets: Int32Array.from(targets),
      positions,
      segments: positions.map(() => 1),
    };
    const upload = uploadBatch(backend, host, model.config.vocabSize);
    const { loss, count } = scope(() => model.loss(upload));
    expect((await count.read())[0]).toBe(json.loss.count);
    expect(Math.abs((await loss.read())[0]! / json.loss.sum - 1)).toBeLessThan(1e-3);
    using logits = model.logits(upload);
    const values = await logits.read();
    const { vocabSize } = model.config;
    for (const [row, { position, ids, logits: want }] of json.lastLogits.entries()) {
      const at = (row * seq + position) * vocabSize;
      const bound = { relative: 1e-4, reason: "float32 sums of 30 layers in another order" };
      expectClose(
        ids.map((id: number) => values[at + id]),
        want,
        bound,
        `row ${row}`,
      );
    }
  });

  it("answers alike, greedily", async () => {
    const backend = await createCpuBackend();
    using model = await loadModel(gguf, { backend });
    const tokenizer = await open();
    for (const { prompt, promptIds, ids: want } of json.greedy) {
      const { ids: rendered } = renderPrompt(tokenizer, chatTemplateOf(tokenizer), [{ role: "user", content: prompt }]);
      expect(rendered).toEqual(promptIds);
      const ids: number[] = [];
      for await (const id of generate(model, promptIds, { maxNewTokens: want.length, stopIds: [] })) ids.push(id);
      expect(ids, prompt).toEqual(want);
    }
  });
});
