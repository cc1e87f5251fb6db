import { rm } from "node:fs/promises";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { loadRows } from "@ft/data";
import { beforeAndAfter } from "@ft/example-quickstart";
import { optimizers8bit } from "@ft/optim-8bit";
import { bitsandbytesFormat } from "@ft/quant-nf4";
import { baseCodes, type CodesOf, stateTypes } from "./evidence.ts";

// The quickstart again, with QLoRA: `npm run qlora` at the root of the repository.
const here = (path: string): string => relative(process.cwd(), fileURLToPath(new URL(`../${path}`, import.meta.url)));
const checkpoints = here("out/checkpoints");
await rm(checkpoints, { recursive: true, force: true });

const codes: Partial<Record<"before" | "after", CodesOf>> = {};
const { loss, exact } = await beforeAndAfter({
  model: here("../quickstart/model"),
  training: await loadRows(here("../quickstart/data/train.json")),
  heldOut: await loadRows(here("../quickstart/data/heldout.json")),
  format: bitsandbytesFormat({ type: "nf4", doubleQuant: true, blockSize: 64 }),
  // 0: adapters this small would keep 32-bit state otherwise
  optimizer: optimizers8bit.adamw8bit!({ weightDecay: 0, min8bitSize: 0 }),
  checkpointing: true,
  checkpoints,
  async inspect(model, when) {
    codes[when] = await baseCodes(model);
  },
  out: here("out/adapter"),
  maxLength: 128,
  batchSize: 16,
  length: { epochs: 4 },
  learningRate: 5e-3,
  evalEvery: 60,
  rank: 16,
  exactRows: 20,
  samples: [0, 1, 6],
  maxNewTokens: 64,
});

const state = await stateTypes(checkpoints);
console.log(`base            ${codes.before?.size} weights in NF4, ${codes.before?.bytes} bytes of codes and scales`);
console.log(`optimizer       slots ${[...state].map(([slot, dtypes]) => `${slot} ${[...dtypes].join()}`).join(", ")}`);

// what QLoRA promises, so that a change which breaks the promise is noticed
const promises: readonly (readonly [string, boolean])[] = [
  ["the loss falls by 25 %", loss[1] <= 0.75 * loss[0]],
  ["exact answers rise from at most 10 % to at least 60 %", exact[0] <= 0.1 && exact[1] >= 0.6],
  ["every weight of a block is held in u8 codes", codes.before?.types.join() === "u8" && codes.before.size === 6 * 7],
  ["training leaves the base's bytes as they were", codes.before?.sha256 === codes.after?.sha256],
  ["the checkpoint holds u8 slots", ["m", "v"].every((slot) => [...(state.get(slot) ?? [])].join() === "u8")],
];
for (const [promise, kept] of promises) {
  if (kept) continue;
  console.error(`broken: ${promise}`);
  process.exitCode = 1;
}
