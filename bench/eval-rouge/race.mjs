// ROUGE of the pairs of tools/goldens, with and without stems: @ft/eval beside rouge_score, one thread each.
import { fileURLToPath } from "node:url";
import { metricRace } from "../lib/metric-race.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const goldens = here("../../tools/goldens/data/eval-pairs/pairs.json");

/** All pairs, plain and stemmed, in turns. */
export function evalRougeRace({ python, steps, pairs = goldens }) {
  return metricRace({
    ...{ ours: here("ours.mjs"), python, pairs },
    peer: { name: "rouge_score", module: "rouge_score", script: here("../peers/rouge_pairs.py") },
    tasks: new Map([
      ["plain", { stemmer: false }],
      ["stemmed", { stemmer: true }],
    ]),
    rounds: { warmUp: 1, counted: steps },
    shown: { heading: "ROUGE-1, 2, L, Lsum of every pair, from texts to the means", score: "Lsum", digits: 9 },
  });
}
