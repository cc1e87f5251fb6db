// A race of metrics over one set of pairs: a process of ours and one of the peer's take turns.
import { contestant } from "./contestant.mjs";
import { median, table } from "./numbers.mjs";
import { findPython } from "./python.mjs";

/**
 * Prints the time of each for all pairs, the median of the rounds that count, the ratio, and what both found.
 * @param {object} race
 * @param {string} race.ours script of ours
 * @param {{name: string, module: string, script: string}} race.peer
 * @param {string | undefined} race.python which Python to use, in place of the one that is found
 * @param {string} race.pairs file of the pairs
 * @param {ReadonlyMap<string, object>} race.tasks by the name of their row
 * @param {{warmUp: number, counted: number}} race.rounds
 * @param {{heading: string, score: string, digits: number}} race.shown
 */
export async function metricRace({ ours, peer, python: asked, pairs, tasks, rounds, shown }) {
  const python = findPython(asked, [peer.module]);
  const runners = [await contestant("ft", process.execPath, [ours, pairs], {})];
  if (python !== undefined) runners.push(await contestant(peer.name, python, [peer.script, pairs], {}));
  const rows = [];
  for (const [name, task] of tasks) {
    const seen = runners.map(() => []);
    for (let round = 0; round < rounds.warmUp + rounds.counted; round++)
      for (const [i, runner] of runners.entries()) {
        const said = await runner.step(task);
        if (round >= rounds.warmUp) seen[i].push(said);
      }
    const seconds = seen.map((all) => median(all.map((said) => said.seconds)));
    rows.push([
      name,
      ...seconds.map((s) => (1000 * s).toFixed(1)),
      seconds.length > 1 ? `${(seconds[1] / seconds[0]).toFixed(1)}x` : "-",
      ...seen.map((all) => all[0].score.toFixed(shown.digits)),
    ]);
  }
  for (const runner of runners) await runner.end();
  const names = runners.map((runner) => runner.name);
  const head = ["", ...names.map((one) => `${one}, ms`), "ratio", ...names.map((one) => `${one}, ${shown.score}`)];
  console.log(`\n${shown.heading}, one thread: milliseconds, and the peer's time over ours\n`);
  console.log(table([head, ...rows]));
  return rows;
}
