// How long a person waits before anything happens: Node itself, the command line's help, the import of the trainer.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { median, table } from "../lib/numbers.mjs";

const bin = fileURLToPath(new URL("bin.js", import.meta.resolve("@ft/cli")));
const here = fileURLToPath(new URL("..", import.meta.url));
const cases = [
  ["node -e 0", ["-e", "0"]],
  ["ft --help", [bin, "--help"]],
  ['import("@ft/trainer")', ["--input-type=module", "-e", 'await import("@ft/trainer")']],
];

/** Prints the median wall time of each, in turns. */
export async function startupRace({ steps }) {
  const rounds = 5 * steps;
  const times = cases.map(() => []);
  for (let round = -1; round < rounds; round++)
    for (const [i, [name, args]] of cases.entries()) {
      const from = performance.now();
      const { status, stderr } = spawnSync(process.execPath, args, { cwd: here, encoding: "utf8" });
      if (status !== 0) throw new Error(`${name}: ${stderr}`);
      if (round >= 0) times[i].push(performance.now() - from);
    }
  console.log(`\nStart-up, medians of ${rounds}, Node ${process.versions.node}\n`);
  const rows = cases.map(([name], i) => [name, median(times[i]).toFixed(0), Math.min(...times[i]).toFixed(0)]);
  console.log(table([["", "ms", "least"], ...rows]));
  return rows;
}
