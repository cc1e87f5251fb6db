import { loadRows, splitRows } from "@ft/data";
import { beforeAndAfter } from "@ft/example-quickstart";
import { optimizers8bit } from "@ft/optim-8bit";
import { bitsandbytesFormat } from "@ft/quant-nf4";

// node dist/main.js MODEL.gguf ALPACA.json [STEPS] [qlora]
const [model, data, steps = "200", method = "lora"] = process.argv.slice(2);
if (model === undefined || data === undefined || !["lora", "qlora"].includes(method)) {
  console.error("usage: node dist/main.js MODEL.gguf ALPACA.json [STEPS] [lora | qlora]");
  process.exit(2);
}
const qlora = {
  format: bitsandbytesFormat({ type: "nf4", doubleQuant: true, blockSize: 64 }),
  optimizer: optimizers8bit.adamw8bit!({ weightDecay: 0 }),
  checkpointing: true,
};
const { train, heldOut } = splitRows(await loadRows(data), { fraction: 0.1, seed: 0 });
await beforeAndAfter({
  ...(method === "qlora" && qlora),
  model,
  training: train,
  heldOut,
  out: method === "qlora" ? "out/qlora/adapter" : "out/adapter",
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
