// BLEU (13a) and chrF++ of the pairs of tools/goldens: @ft/eval beside sacrebleu, one thread each.
import { fileURLToPath } from "node:url";
import { metricRace } from "../lib/metric-race.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const goldens = here("../../tools/goldens/data/eval-pairs/pairs.json");

/** The whole corpus by each metric, in turns. */
export function evalBleuRace({ python, steps, pairs = goldens }) {
  return metricRace({
    ...{ ours: here("ours.mjs"), python, pairs },
    peer: { name: "sacrebleu", module: "sacrebleu", script: here("../peers/sacrebleu_corpus.py") },
    tasks: new Map(["bleu", "chrf++"].map((metric) => [metric, { metric }])),
    rounds: { warmUp: 2, counted: 2 * steps },
    shown: { heading: "Metrics of a corpus, from texts to the score", score: "score", digits: 6 },
  });
}
