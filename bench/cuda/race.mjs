// This project beside PyTorch + PEFT + bitsandbytes on one card: each row one after the other, each side in a process of its own.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { table } from "../lib/numbers.mjs";
import { findPython } from "../lib/python.mjs";
import { shapes } from "../lib/shapes.mjs";
import { watchCard } from "./card.mjs";
import { printProfile } from "./profile.mjs";
import { rows, usual } from "./rows.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const gib = (bytes) => (bytes === undefined ? "" : (bytes / 2 ** 30).toFixed(2));
const decimals = (digits) => (value) => (value === undefined ? "" : value.toFixed(digits));

/**
 * Prints tokens a second, peak memory and the time to the first step of each side, and the ratios.
 * @param {{python?: string, profile?: boolean, rows?: readonly string[], only?: "ft" | "peer", budget?: number,
 *   backend?: string, together?: boolean, say?: (line: object) => void}} options `together`: one process of the peer
 *   measures all rows, which saves its imports and hides its time from the command on; `budget`: seconds after which no further measurement
 *   is begun; `say` hears each measurement
 */
export async function cudaRace({ python: asked, profile, rows: names = usual, only, budget, backend, together, say }) {
  const unknown = names.filter((name) => !(name in rows));
  if (unknown.length > 0) throw new Error(`no row ${unknown.join(", ")}; there are ${Object.keys(rows).join(", ")}`);
  const python = only === "ft" ? undefined : findPython(asked, ["torch", "transformers", "peft"]);
  const server = together && python !== undefined ? peerServer(python) : undefined;
  const end = performance.now() + 1000 * (budget ?? Number.POSITIVE_INFINITY);
  const lines = [
    ["", "tokens/s", "step s", "first s", "from start s", "peak GiB", "held", "NVML", "SM MHz", "W", "ratio", "wanted"],
  ];
  for (const name of names) {
    const { title, task, peers, wanted = [] } = rows[name];
    const ours = { ...task, ...(backend && { backend }) };
    let base;
    const measured = async (label, run, ratioTo) => {
      if (performance.now() > end) return console.log(`${name}: ${label} left out, the time is up`);
      const result = { row: name, ...(await run()) };
      say?.(result);
      console.log(JSON.stringify(result));
      lines.push(line(`${title}: ${label}`, result, ratioTo));
      return result.error === undefined ? result : undefined;
    };
    if (only !== "peer") base = await measured("ft", () => child(process.execPath, here("ours.mjs"), ours));
    if (only !== "peer" && profile) {
      const found = await measured("ft, timed", () => child(process.execPath, here("ours.mjs"), { ...ours, profile }));
      if (found?.profile) printProfile(found.profile);
    }
    if (python === undefined) continue;
    for (const [i, peer] of peers.entries()) {
      const settings = { ...task, ...peer, config: configOf(task) };
      const label = peer.compile ? "PyTorch, compiled" : "PyTorch";
      const run = () => (server ? server(settings) : child(python, here("peer.py"), settings));
      await measured(label, run, { base, wanted: wanted[i] });
    }
  }
  server?.end();
  console.log(table(lines));
}

function configOf({ shape, layers }) {
  return { ...shapes[shape], ...(layers && { num_hidden_layers: layers }) };
}

function line(
  label,
  { error, tokensPerSecond, step, first, fromStart, peak, held, onCard: card },
  { base, wanted } = {},
) {
  if (error !== undefined) return [label, error.slice(0, 60), ...new Array(10).fill("")];
  const ratio = base ? `${(base.tokensPerSecond / tokensPerSecond).toFixed(2)}x` : "";
  return [
    label,
    ...[decimals(0)(tokensPerSecond), decimals(3)(step), decimals(2)(first), decimals(1)(fromStart)],
    ...[gib(peak), gib(held), gib(card?.memory), card?.clock ?? "", decimals(0)(card?.power)],
    ...[ratio, wanted ? `>= ${wanted}x` : ""],
  ];
}

/** The line of JSON that a measurement prints, with what the card said meanwhile; an error where there is none. */
async function child(command, script, task) {
  const card = watchCard();
  const env = { ...process.env, FT_BENCH_SPAWNED: String(Date.now()) };
  const running = spawn(command, [script, JSON.stringify(task)], { env, stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  let errors = "";
  running.stdout.on("data", (text) => {
    out += text;
  });
  running.stderr.on("data", (text) => {
    errors = (errors + text).slice(-2000);
  });
  const code = await new Promise((done) => {
    running.on("error", (error) => done(error.message));
    running.on("close", (status, signal) => done(signal ?? status));
  });
  const said = card.stop();
  const found = out.split("\n").findLast((text) => text.startsWith("{"));
  const result = found ? JSON.parse(found) : { error: `it ended with ${code}: ${errors.trim().slice(-400)}` };
  return { ...result, ...(said && { onCard: said }) };
}

/** The peer as one process for many tasks. */
function peerServer(python) {
  const running = spawn(python, [here("peer.py"), "-"], { stdio: ["pipe", "pipe", "pipe"] });
  let errors = "";
  running.stderr.on("data", (text) => {
    errors = (errors + text).slice(-2000);
  });
  running.stdin.on("error", () => {}); // a process that has died is reported by the line that does not come
  const lines = createInterface({ input: running.stdout })[Symbol.asyncIterator]();
  const ask = async (task) => {
    const card = watchCard();
    running.stdin.write(`${JSON.stringify(task)}\n`);
    for (;;) {
      const { value, done } = await lines.next();
      if (!done && !value.startsWith("{")) continue;
      const said = card.stop();
      if (done) return { error: `the peer ended: ${errors.trim().slice(-400)}` };
      return { ...JSON.parse(value), ...(said && { onCard: said }) };
    }
  };
  return Object.assign(ask, { end: () => running.stdin.end() });
}
