import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { loadRows } from "@ft/data";
import { beforeAndAfter } from "./before-after.ts";

// Teaches the small model of this folder tasks it has never seen: `npm run quickstart` at the root of the repository.
const here = (path: string): string => relative(process.cwd(), fileURLToPath(new URL(`../${path}`, import.meta.url)));

const { loss, exact } = await beforeAndAfter({
  model: here("model"),
  training: await loadRows(here("data/train.json")),
  heldOut: await loadRows(here("data/heldout.json")),
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
console.log("\nnow ask it yourself, in the manner of the questions above (it knows nothing else):");
console.log(`  npm run ft -- chat --no-history --model ${here("model")} --adapter ${here("out/adapter")}`);

// what the quickstart promises, so that a change which breaks the promise is noticed
const kept = loss[1] <= 0.75 * loss[0] && exact[0] <= 0.1 && exact[1] >= 0.6;
if (!kept) {
  console.error("the loss should fall by 25 % and exact answers rise from at most 10 % to at least 60 %: they did not");
  process.exitCode = 1;
}
