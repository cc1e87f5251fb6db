import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createCpuBackend } from "@ft/backend-cpu";
import { randomFrom } from "@ft/testing";
import { verifyFolder } from "@ft/weights";
import { build } from "tsup";
import { afterEach, beforeEach, expect, test } from "vitest";
import { checkpointPath, listCheckpoints } from "../src/index.ts";
import { bytesOf, play } from "./play.ts";
import { makeRun } from "./run.ts";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "ft-resume-"));
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

test("killed again and again, the run still ends as if nothing had happened", async () => {
  const steps = 40;
  const backend = await createCpuBackend({ native: false });
  const straight = join(dir, "straight");
  await play(makeRun(backend, straight, steps));

  await build({
    entry: [fileURLToPath(new URL("./killed.ts", import.meta.url))],
    outDir: join(dir, "built"),
    format: "esm",
    config: false,
    silent: true,
    noExternal: [/^@ft\//],
    esbuildOptions: (options) => {
      options.conditions = ["@ft/source"];
      options.alias = { koffi: fileURLToPath(new URL("./no-koffi.ts", import.meta.url)) };
    },
  });
  const [script = ""] = (await readdir(join(dir, "built"))).filter((name) => /^killed\.m?js$/.test(name));
  const killed = join(dir, "killed");
  const random = randomFrom(42);
  let kills = 0;
  for (let round = 0; round < 6; round++) {
    const child = spawn(process.execPath, [join(dir, "built", script), killed, String(steps)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exited = once(child, "exit");
    await Promise.race([once(child.stdout, "data"), exited]); // at least one checkpoint
    await new Promise((wait) => setTimeout(wait, random.int(0, 60)));
    child.kill("SIGKILL");
    const [code, signal] = await exited;
    expect(code).not.toBe(1);
    if (signal === "SIGKILL") kills++;
    const [newest] = await listCheckpoints(killed);
    expect((await verifyFolder(newest!.path)).size).toBe(3);
  }
  expect(kills).toBeGreaterThan(3);
  await play(makeRun(backend, killed, steps, 2), { resume: true });
  expect(await bytesOf(checkpointPath(killed, steps))).toEqual(await bytesOf(checkpointPath(straight, steps)));
});
