#!/usr/bin/env node
// What a model folder computes here, for merged_check.py to compare with transformers.
//   npm run build && node tools/goldens/merged_ours.mjs FOLDER OUT [INPUTS.json]
// Writes OUT.json and OUT.safetensors: a batch, its logits [tokens, vocab] without padding, the ids that end answers, and
// the ids of some texts and chats. INPUTS is a golden.json with `padded`, for a folder without a tokenizer.
import { readFileSync, writeFileSync } from "node:fs";
import { createCpuBackend } from "@ft/backend-cpu";
import { chatTemplateOf, loadTokenizer, renderPrompt } from "@ft/data";
import { loadModel, uploadBatch } from "@ft/models";
import { writeSafetensors } from "@ft/weights";

const [folder, out, inputs] = process.argv.slice(2);
if (folder === undefined || out === undefined) {
  console.error("usage: node tools/goldens/merged_ours.mjs FOLDER OUT [INPUTS.json]");
  process.exit(2);
}

const texts = [
  "Hello, world!",
  "  two  spaces\n\n\tand a tab\r\n",
  "x   12, 3.14159 and 1,000,000.00 €",
  "你好，世界！这是第2个句子。",
  "don't I'll we've — naïve façade",
  "👍 👩‍👩‍👧‍👦 e\u0301",
  "def f(x):\n    return x + 1\n",
];
const chats = [
  [{ role: "user", content: "What is the capital of France?" }],
  [{ role: "user", content: "用一句话介绍长城。" }],
  [
    { role: "user", content: "Count from one to three.  " },
    { role: "assistant", content: "One, two,\nthree." },
    { role: "user", content: "And back?\n\n1) 3 + 4 = ?" },
  ],
];

/** Rows of ids, padded behind with id 0. */
function padded(rows) {
  const seq = Math.max(...rows.map((ids) => ids.length));
  const grid = (of) => rows.flatMap((ids) => Array.from({ length: seq }, (_, i) => (i < ids.length ? of(ids, i) : 0)));
  return {
    batch: rows.length,
    seq,
    tokens: grid((ids, i) => ids[i]),
    positions: grid((_, i) => i),
    segments: grid(() => 1),
  };
}

async function tokenized() {
  const tokenizer = await loadTokenizer(folder);
  const template = chatTemplateOf(tokenizer);
  return {
    texts: texts.map((text) => ({ text, ids: [...tokenizer.encode(text)] })),
    chats: chats.map((messages) => ({ messages, ids: [...renderPrompt(tokenizer, template, messages).ids] })),
  };
}

const model = await loadModel(folder, { backend: await createCpuBackend() });
const strings = inputs === undefined ? await tokenized() : undefined;
const batch = strings
  ? padded([...strings.texts, ...strings.chats].map(({ ids }) => ids.slice(0, model.config.maxPositions)))
  : JSON.parse(readFileSync(inputs, "utf8")).padded;
const ints = (name) => Int32Array.from(batch[name]);
const host = { ...batch, tokens: ints("tokens"), positions: ints("positions"), segments: ints("segments") };
host.targets = new Int32Array(host.tokens.length).fill(-100);
const { vocabSize, eosTokenIds, bosTokenId } = model.config;
const logits = model.logits(uploadBatch(model.backend, host, vocabSize));
const values = await logits.read();
const real = [...host.segments].flatMap((segment, i) => (segment === 0 ? [] : [i]));
const kept = new Float32Array(real.length * vocabSize);
for (const [i, at] of real.entries()) kept.set(values.subarray(at * vocabSize, (at + 1) * vocabSize), i * vocabSize);
const entry = { name: "logits", dtype: "f32", shape: [real.length, vocabSize], data: () => kept };
await writeSafetensors(`${out}.safetensors`, [entry]);
const { seq, tokens, positions, segments } = batch;
const facts = { batch: batch.batch, seq, tokens, positions, segments, eosTokenIds, bosTokenId, ...strings };
writeFileSync(`${out}.json`, JSON.stringify(facts));
logits.dispose();
model.dispose();
