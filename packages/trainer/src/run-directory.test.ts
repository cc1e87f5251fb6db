import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { FtError } from "@ft/tensor";
import { afterEach, beforeEach, expect, test } from "vitest";
import { runDirectory } from "./run-directory.ts";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "ft-run-"));
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});
const refused = async (promise: Promise<unknown>): Promise<string> => {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return error instanceof FtError ? `${error.code}: ${error.message}` : String(error);
};

test("claims a folder, writes run.json, and lets go of it", async () => {
  const path = join(dir, "deep", "out");
  const run = await runDirectory(path, { record: { config: { seed: 1 }, versions: { ft: "0.1.0" } } });
  expect(JSON.parse(await readFile(join(path, "run.json"), "utf8"))).toEqual({
    config: { seed: 1 },
    versions: { ft: "0.1.0" },
  });
  expect(run.checkpoints).toBe(join(path, "checkpoints"));
  await run.close();
  expect(await readdir(path)).toEqual(["run.json"]);
});

test("a second run is refused and touches nothing; a resume is let in", async () => {
  await (await runDirectory(dir, { record: { n: 1 } })).close();
  expect(await refused(runDirectory(dir, { record: { n: 2 } }))).toMatch(
    /^exists: .* holds a run already \(run\.json\)/,
  );
  expect(await readFile(join(dir, "run.json"), "utf8")).toContain('"n": 1');
  const resumed = await runDirectory(dir, { record: { n: 3 }, resume: true });
  expect(await readFile(join(dir, "run.json"), "utf8")).toContain('"n": 1');
  await resumed.record();
  await resumed.close();
  expect(await readFile(join(dir, "run.json"), "utf8")).toContain('"n": 3');
});

test("checkpoints alone are a run too; other files are not", async () => {
  await writeFile(join(dir, "notes.txt"), "");
  await (await runDirectory(dir, { record: {} })).close();
  await rm(join(dir, "run.json"));
  await mkdir(join(dir, "checkpoints"));
  expect(await refused(runDirectory(dir, { record: {} }))).toMatch(/^exists: .*\(checkpoints\)/);
});

test("two at a time are refused, also when both resume", async () => {
  const run = await runDirectory(dir, { record: {} });
  expect(await refused(runDirectory(dir, { record: {}, resume: true }))).toMatch(
    new RegExp(`^exists: another process is training .*process ${process.pid} on `),
  );
  await run.close();
});

test("a lock that a killed process left is taken over; one of another machine is not", async () => {
  const { pid } = spawnSync(process.execPath, ["-e", "0"]); // a process that has ended
  const lock = join(dir, "run.lock");
  await writeFile(lock, JSON.stringify({ host: hostname(), pid }));
  await (await runDirectory(dir, { record: {} })).close();
  await writeFile(lock, JSON.stringify({ host: "elsewhere", pid }));
  expect(await refused(runDirectory(dir, { record: {}, resume: true }))).toMatch(/^exists: .* on elsewhere\)/);
});

test("a path that cannot be a folder is an io error that names it", async () => {
  await writeFile(join(dir, "file"), "");
  expect(await refused(runDirectory(join(dir, "file", "out"), { record: {} }))).toMatch(
    /^io: cannot write to .*file.out/,
  );
});
