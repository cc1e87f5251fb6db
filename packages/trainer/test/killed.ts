import { createCpuBackend } from "@ft/backend-cpu";
import { train } from "../src/index.ts";
import { makeRun } from "./run.ts";

// A process to be killed: continues a run, with a checkpoint after every step, and says so on stdout.
const [dir = "", steps = "1"] = process.argv.slice(2);
const { options } = makeRun(await createCpuBackend({ native: false }), dir, Number(steps));
for await (const event of train({ ...options, checkpoint: { dir, every: 1, keep: 2, keepBest: false }, resume: true }))
  if (event.type === "checkpoint") console.log(event.step);
