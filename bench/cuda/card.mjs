// What the card says of itself while something runs on it.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { median } from "../lib/numbers.mjs";

const asked = ["memory.used", "clocks.sm", "clocks.mem", "power.draw", "temperature.gpu"];

/** Asks five times a second until stop(): the most memory, and medians of the rest while the card draws at least half its highest power. */
export function watchCard() {
  const samples = [];
  const args = [`--query-gpu=${asked.join(",")}`, "--format=csv,noheader,nounits", "-lms", "200", "-i", "0"];
  const child = spawn("nvidia-smi", args, { stdio: ["ignore", "pipe", "ignore"] });
  child.on("error", () => {}); // no card: no samples
  if (child.stdout)
    createInterface({ input: child.stdout }).on("line", (line) => samples.push(line.split(",").map(Number)));
  return {
    stop() {
      child.kill();
      if (samples.length === 0) return undefined;
      const highest = Math.max(...samples.map(([, , , power]) => power || 0));
      const busy = samples.filter(([, , , power]) => !(power < highest / 2));
      const middle = (i) => median(busy.map((sample) => sample[i]));
      return {
        memory: Math.max(...samples.map(([used]) => used)) * 2 ** 20,
        ...{ clock: middle(1), memoryClock: middle(2), power: middle(3), temperature: middle(4) },
      };
    },
  };
}
