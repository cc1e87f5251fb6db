#!/usr/bin/env node
// The micro-batches of examples/smollm2 as JSON, for smollm2_qlora.py to train on: rows, split, order and padding are ft's.
//   npm run build && node tools/goldens/smollm2_batches.mjs MODEL.gguf ALPACA.json [STEPS] > batches.json
import {
  batches,
  chatTemplateOf,
  encodeConversations,
  epochBatches,
  loadRows,
  loadTokenizer,
  splitRows,
} from "@ft/data";

const [model, data, steps = "200"] = process.argv.slice(2);
if (model === undefined || data === undefined) {
  console.error("usage: node tools/goldens/smollm2_batches.mjs MODEL.gguf ALPACA.json [STEPS]");
  process.exit(2);
}
const tokenizer = await loadTokenizer(model);
const template = chatTemplateOf(tokenizer);
const { train, heldOut } = splitRows(await loadRows(data), { fraction: 0.1, seed: 0 });
const common = { seed: 0, maxLength: 128, batchSize: 4 };
const encoded = (rows) =>
  encodeConversations(tokenizer, template, rows, { maxLength: 128, truncation: "drop" }).examples;
const training = batches({ examples: encoded(train), ...common });
const held = batches({ examples: encoded(heldOut), shuffle: false, ...common });

const plain = ({ batch, seq, tokens, targets }) => ({ batch, seq, tokens: [...tokens], targets: [...targets] });
const drawn = [];
for (let i = 0; i < Number(steps); i++) drawn.push(plain(await training.batchAt(i)));
const kept = [];
for (const batch of epochBatches(held)) kept.push(plain(batch));
process.stdout.write(JSON.stringify({ training: drawn, heldOut: kept }));
