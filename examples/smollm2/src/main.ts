import { loadRows, splitRows } from "@ft/data";
import { beforeAndAfter } from "@ft/example-quickstart";

// node dist/main.js MODEL.gguf ALPACA.json [STEPS]
const [model, data, steps = "200"] = process.argv.slice(2);
if (model === undefined || data === undefined) {
  console.error("usage: node dist/main.js MODEL.gguf ALPACA.json [STEPS]");
  process.exit(2);
}
const { train, heldOut } = splitRows(await loadRows(data), { fraction: 0.1, seed: 0 });
await beforeAndAfter({
  model,
  training: train,
  heldOut,
  out: "out/adapter",
  maxLength: 128,
  batchSize: 4,
  length: { maxSteps: Number(steps) },
  learningRate: 2e-4,
  evalEvery: 50,
  rank: 16,
  exactRows: 0,
  samples: [0, 1, 2],
  maxNewTokens: 64,
});
