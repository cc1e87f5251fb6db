// npm run bench -- [gemm | nf4 | train | decode | memory | wasm | startup | eval-bleu | eval-rouge | all | full] [--threads N] [--python PATH] [--steps N] [--best] [--profile]
// npm run bench -- cuda [ROW...] [--python PATH] [--profile] [--together] [--only ft | peer] [--budget SECONDS]
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { cudaRace } from "./cuda/race.mjs";
import { decodeRace } from "./decode/race.mjs";
import { evalBleuRace } from "./eval-bleu/race.mjs";
import { evalRougeRace } from "./eval-rouge/race.mjs";
import { fullRace } from "./full/race.mjs";
import { gemmRace } from "./gemm/race.mjs";
import { wasmRace } from "./gemm/wasm.mjs";
import { memoryRace } from "./memory/race.mjs";
import { nf4Race } from "./nf4/race.mjs";
import { startupRace } from "./startup/race.mjs";
import { trainRace } from "./train/race.mjs";

const races = {
  gemm: gemmRace,
  nf4: nf4Race,
  train: trainRace,
  decode: decodeRace,
  memory: memoryRace,
  wasm: wasmRace,
  startup: startupRace,
  "eval-bleu": evalBleuRace,
  "eval-rouge": evalRougeRace,
};
// Needs 16 GB of memory and 40 GB of disk: only when it is asked for.
const large = { full: fullRace };
// Needs an NVIDIA card.
const onCard = { cuda: cudaRace };
const usage = `usage: npm run bench -- [${Object.keys({ ...races, ...large }).join(" | ")} | all] [--threads N] [--python PATH] [--steps N] [--best] [--profile]
       npm run bench -- cuda [ROW...] [--python PATH] [--profile] [--together] [--only ft | peer] [--budget SECONDS]`;

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        threads: { type: "string", default: String(availableParallelism()) },
        python: { type: "string" },
        steps: { type: "string", default: "3" },
        best: { type: "boolean", default: false },
        profile: { type: "boolean", default: false },
        together: { type: "boolean", default: false },
        only: { type: "string" },
        budget: { type: "string" },
      },
    });
  } catch (error) {
    console.error(error.message);
    return undefined;
  }
}

const parsed = parse();
const [what = "all", ...rows] = parsed?.positionals ?? [];
const [threads, steps] = [Number(parsed?.values.threads), Number(parsed?.values.steps)];
const { only, budget, ...values } = parsed?.values ?? {};
const whole = (n) => Number.isSafeInteger(n) && n > 0;
if (
  !parsed ||
  (rows.length > 0 && !(what in onCard)) ||
  !(what === "all" || what in { ...races, ...large, ...onCard }) ||
  ![undefined, "ft", "peer"].includes(only) ||
  !whole(threads) ||
  !whole(steps) ||
  !(budget === undefined || whole(Number(budget)))
) {
  console.error(usage);
  process.exit(2);
}
for (const [name, race] of Object.entries(races))
  if (what === "all" || what === name) await race({ ...values, threads, steps });
await large[what]?.({ ...values, threads, steps });
await onCard[what]?.({
  ...{ ...values, only },
  ...(rows.length > 0 && { rows }),
  ...(budget !== undefined && { budget: Number(budget) }),
});
