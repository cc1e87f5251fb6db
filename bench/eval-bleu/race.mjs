// BLEU (13a) and chrF++ of the pairs of tools/goldens: @ft/eval beside sacrebleu, one thread each.
import { fileURLToPath } from "node:url";
import { contestant } from "../lib/contestant.mjs";
import { median, table } from "../lib/numbers.mjs";
import { findPython } from "../lib/python.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const goldens = here("../../tools/goldens/data/eval-pairs/pairs.json");

/** Prints the time of each for the whole corpus, the median over rounds in which the two take turns, and the ratio. */
export async function evalBleuRace({ python: asked, steps, pairs = goldens }) {
  const python = findPython(asked, ["sacrebleu"]);
  const runners = [await contestant("ft", process.execPath, [here("ours.mjs"), pairs], {})];
  if (python !== undefined)
    runners.push(await contestant("sacrebleu", python, [here("../peers/sacrebleu_corpus.py"), pairs], {}));
  const rows = [];
  for (const metric of ["bleu", "chrf++"]) {
    const seen = runners.map(() => []);
    for (let round = 0; round < 2 + 2 * steps; round++)
      for (const [i, runner] of runners.entries()) {
        const said = await runner.step({ metric });
        if (round >= 2) seen[i].push(said);
      }
    const seconds = seen.map((all) => median(all.map((said) => said.seconds)));
    const ratio = seconds.length > 1 ? `${(seconds[1] / seconds[0]).toFixed(2)}x` : "-";
    rows.push([
      metric,
      ...seconds.map((s) => (1000 * s).toFixed(1)),
      ratio,
      ...seen.map((all) => all[0].score.toFixed(6)),
    ]);
  }
  for (const runner of runners) await runner.end();
  const names = runners.map(({ name }) => name);
  console.log(
    "\nMetrics of a corpus, from texts to the score, one thread: milliseconds, and the peer's time over ours\n",
  );
  console.log(
    table([["", ...names.map((name) => `${name}, ms`), "ratio", ...names.map((name) => `${name}, score`)], ...rows]),
  );
  return rows;
}
