// BLEU and chrF++ of a corpus, from texts to the score.
//   node bench/eval-bleu/ours.mjs PAIRS.json, then a line of JSON on standard input: {"metric": "bleu" | "chrf++"}
import { readFile } from "node:fs/promises";
import { bleu, chrf, corpusScore } from "@ft/eval";
import { serve } from "../lib/serve.mjs";

const { pairs } = JSON.parse(await readFile(process.argv[2], "utf8"));
const predictions = pairs.map(([prediction]) => prediction);
const references = pairs.map(([, all]) => all);
const metrics = { bleu: bleu(), "chrf++": chrf({ wordOrder: 2 }) };

await serve({
  async step({ metric }) {
    const from = performance.now();
    const { score } = corpusScore(metrics[metric], predictions, references);
    return { seconds: (performance.now() - from) / 1000, score };
  },
});
