import { mkdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { corpus, corpusRows, corpusSeed } from "./corpus.ts";
import { architecture, modelConfig, writeFirstWeights } from "./first-weights.ts";
import { buildTokenizer, tokenizerRows, tokenizerTexts } from "./tokenizer.ts";

// Writes all that pretraining starts from to out/: the rows, the tokenizer, the first weights. Then pretrain.yaml trains it.
const out = fileURLToPath(new URL("../out", import.meta.url));

await mkdir(`${out}/start`, { recursive: true });
const rows = [...corpus(corpusSeed, corpusRows)];
await writeFile(`${out}/corpus.jsonl`, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
const files = buildTokenizer(
  tokenizerTexts(rows.slice(0, tokenizerRows)),
  architecture.vocabSize,
  architecture.contextLength,
);
for (const [name, content] of Object.entries(files))
  await writeFile(`${out}/start/${name}`, `${JSON.stringify(content)}\n`);
await writeFile(`${out}/start/config.json`, `${JSON.stringify(modelConfig(), null, 2)}\n`);
await writeFirstWeights(`${out}/start/model.safetensors`, corpusSeed);
console.log(`${rows.length} rows, ${architecture.vocabSize} tokens and first weights in ${out}`);
