import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  batches,
  chatTemplateOf,
  encodeConversations,
  loadRows,
  previewExample,
  renderPrompt,
  splitRows,
  tokenizerFromGguf,
} from "@ft/data";

const folder = await mkdtemp(join(tmpdir(), "data-"));
const file = join(folder, "rows.jsonl");
await writeFile(
  file,
  `{"instruction": "Greet", "input": "Ann", "output": "Hi Ann"}
{"messages": [{"role": "user", "content": "Bye"}, {"role": "assistant", "content": "See you"}]}
{"instruction": "greet", "input": "ann", "output": "Hello"}`,
);
const rows = await loadRows(file);
const { train, heldOut } = splitRows(rows, { seed: 1, count: 1 });
console.log(train.length, heldOut.length, heldOut[0]?.messages[0]?.content); // rows 1 and 3 ask the same: one side
// => 2 1 Bye

// Usually `await loadTokenizer(folder)`; here a vocabulary of single characters
const tokens = [..."\u0120\u010aabcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ#:", "<end>"];
const types = tokens.map((token) => (token === "<end>" ? 3 : 1));
const vocabulary = { model: "gpt2", tokens, token_type: types, merges: [], eos_token_id: tokens.length - 1 };
const tokenizer = tokenizerFromGguf(
  new Map(Object.entries(vocabulary).map(([key, value]) => [`tokenizer.ggml.${key}`, value])),
);
const template = chatTemplateOf(tokenizer); // the model's own, or plain headings

const { examples, stats } = encodeConversations(tokenizer, template, train, { maxLength: 64 });
console.log(stats.examples, stats.tokens, stats.targetTokens);
// => 2 97 13
for (const { text, trained } of examples.slice(0, 1).flatMap((example) => previewExample(tokenizer, example)))
  console.log(trained, JSON.stringify(text));
// => false "### Instruction:\nGreet\nAnn\n\n### Response:\n"
// => true "Hi Ann<end>"

const plan = batches({ examples, seed: 1, batchSize: 1, maxLength: 128, packing: true });
const batch = plan.batchAt(0); // any step at once: a resumed run replays nothing
console.log(plan.perEpoch, batch.batch, batch.seq, batch.targetTokens, Math.max(...batch.segments));
// => 1 1 104 13 2

console.log(renderPrompt(tokenizer, template, [{ role: "user", content: "Hi" }]).ids.length); // what generation starts from
// => 35
await rm(folder, { recursive: true });
