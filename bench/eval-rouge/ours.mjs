// ROUGE-1, 2, L and Lsum of every pair and their means, from texts to the scores.
//   node bench/eval-rouge/ours.mjs PAIRS.json, then a line of JSON on standard input: {"stemmer": boolean}
import { readFile } from "node:fs/promises";
import { corpusScore, rouge } from "@ft/eval";
import { serve } from "../lib/serve.mjs";

const { pairs } = JSON.parse(await readFile(process.argv[2], "utf8"));
const predictions = pairs.map(([prediction]) => prediction);
const references = pairs.map(([, all]) => all);

await serve({
  async step({ stemmer }) {
    const from = performance.now();
    // a new metric each time: the stems that the last one remembers are not for this one
    const result = corpusScore(rouge({ stemmer }), predictions, references);
    return { seconds: (performance.now() - from) / 1000, score: result.get("rougeLsum").fmeasure };
  },
});
