// ROUGE of the pairs of tools/goldens, with and without stems: @ft/eval beside rouge_score, one thread each.
import { fileURLToPath } from "node:url";
import { contestant } from "../lib/contestant.mjs";
import { median, table } from "../lib/numbers.mjs";
import { findPython } from "../lib/python.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const goldens = here("../../tools/goldens/data/eval-pairs/pairs.json");

/** Prints the time of each for all pairs, the median over rounds in which the two take turns, and the ratio. */
export async function evalRougeRace({ python: asked, steps, pairs = goldens }) {
  const python = findPython(asked, ["rouge_score"]);
  const runners = [await contestant("ft", process.execPath, [here("ours.mjs"), pairs], {})];
  if (python !== undefined)
    runners.push(await contestant("rouge_score", python, [here("../peers/rouge_pairs.py"), pairs], {}));
  const rows = [];
  for (const stemmer of [false, true]) {
    const seen = runners.map(() => []);
    for (let round = 0; round < 1 + steps; round++)
      for (const [i, runner] of runners.entries()) {
        const said = await runner.step({ stemmer });
        if (round >= 1) seen[i].push(said);
      }
    const seconds = seen.map((all) => median(all.map((said) => said.seconds)));
    rows.push([
      stemmer ? "stemmed" : "plain",
      ...seconds.map((s) => (1000 * s).toFixed(1)),
      seconds.length > 1 ? `${(seconds[1] / seconds[0]).toFixed(1)}x` : "-",
      ...seen.map((all) => all[0].score.toFixed(9)),
    ]);
  }
  for (const runner of runners) await runner.end();
  const names = runners.map(({ name }) => name);
  console.log(
    "\nROUGE-1, 2, L, Lsum of every pair, from texts to the means, one thread: milliseconds, and the peer's time over ours\n",
  );
  console.log(
    table([["", ...names.map((name) => `${name}, ms`), "ratio", ...names.map((name) => `${name}, Lsum`)], ...rows]),
  );
  return rows;
}
