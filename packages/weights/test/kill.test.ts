import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { randomFrom } from "@ft/testing";
import ts from "typescript";
import { expect, it } from "vitest";
import { verifyFolder } from "../src/commit-folder.ts";
import { temporaryFolder } from "./fixtures.ts";

/** Commits folders without end, and says so on stdout after each. */
const writer = `
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { commitFolder } from "./commit-folder.mjs";
const [parent, first] = process.argv.slice(2);
for (let step = Number(first); ; step++) {
  await commitFolder(join(parent, "step-" + step), async (folder) => {
    for (const name of ["a", "b", "c"]) await writeFile(join(folder, name), Buffer.alloc(200_000, name + step));
  });
  console.log(step);
}
`;

/** The product's own files as plain JavaScript, since the process to be killed has no TypeScript loader. */
async function compile(folder: string): Promise<string> {
  const weights = new URL("../src/", import.meta.url);
  const sources = ["commit-folder", "atomic", "io-error", "json-reader", "sha256-file"].map(
    (name) => new URL(`${name}.ts`, weights),
  );
  for (const source of [...sources, new URL("../../tensor/src/error.ts", import.meta.url)]) {
    const options = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };
    const { outputText } = ts.transpileModule(await readFile(source, "utf8"), { compilerOptions: options });
    const name = source.pathname.slice(source.pathname.lastIndexOf("/") + 1, -".ts".length);
    const linked = outputText.replaceAll('"@ft/tensor"', '"./error.mjs"').replace(/"\.\/([\w-]+)\.ts"/g, '"./$1.mjs"');
    await writeFile(join(folder, `${name}.mjs`), linked);
  }
  await writeFile(join(folder, "writer.mjs"), writer);
  return join(folder, "writer.mjs");
}

it("leaves no folder that does not verify, wherever a writer is killed", async () => {
  const script = await compile(await temporaryFolder());
  const parent = await temporaryFolder();
  const random = randomFrom(31);
  let next = 0;
  let leftovers = 0;
  for (let round = 0; round < 12; round++) {
    const child = spawn(process.execPath, [script, parent, String(next)], { stdio: ["ignore", "pipe", "inherit"] });
    await once(child.stdout, "data"); // at least one commit, which also removes what the writer before it left
    await new Promise((wait) => setTimeout(wait, random.int(0, 40)));
    child.kill("SIGKILL");
    await once(child, "exit");
    const names = await readdir(parent);
    const partial = names.filter((name) => name.endsWith(".partial"));
    expect(partial.length, `round ${round}: ${partial}`).toBeLessThanOrEqual(1);
    leftovers += partial.length;
    const steps = names.filter((name) => name.startsWith("step-"));
    for (const name of steps.slice(-3)) expect((await verifyFolder(join(parent, name))).size).toBe(3);
    const last = Math.max(...steps.map((name) => Number(name.slice(5))));
    expect((await verifyFolder(join(parent, `step-${last}`))).size).toBe(3);
    expect(last).toBeGreaterThanOrEqual(next);
    next = last + 1;
  }
  expect(leftovers).toBeGreaterThan(0); // some were killed in the middle of a write
});
