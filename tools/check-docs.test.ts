import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";

const script = fileURLToPath(new URL("check-docs.mjs", import.meta.url));
let repository: string;

beforeEach(() => {
  repository = mkdtempSync(join(tmpdir(), "ft-docs-"));
  mkdirSync(join(repository, "packages/one/src"), { recursive: true });
  const manifest = { name: "@ft/one", exports: { ".": { "@ft/source": "./src/index.ts" } } };
  writeFileSync(join(repository, "packages/one/package.json"), JSON.stringify(manifest));
  const config = { compilerOptions: { module: "nodenext", allowImportingTsExtensions: true, noEmit: true, types: [] } };
  writeFileSync(join(repository, "tsconfig.base.json"), JSON.stringify(config));
});
afterEach(() => rmSync(repository, { recursive: true, force: true }));

function check(index: string, inner: string): { code: number | null; output: string } {
  writeFileSync(join(repository, "packages/one/src/index.ts"), index);
  writeFileSync(join(repository, "packages/one/src/inner.ts"), inner);
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, "--root", repository], { encoding: "utf8" });
  return { code: status, output: stdout + stderr };
}

test("accepts documented functions, types, constants, and what is not exported", () => {
  const inner = `/** Adds. */
export function add(a: number): number;
export function add(a: string): string;
export function add(a: any): any { return a; }
/** Two. */
export const two = 2;
/** A shape. */
export interface Shape {}
export const hidden = 1;
`;
  expect(check('export { add, two, type Shape } from "./inner.ts";\n', inner)).toEqual({
    code: 0,
    output: "documentation: 3 exported symbols, each with a doc comment\n",
  });
});

test("names the file and line of what lacks a comment, also behind export *", () => {
  const { code, output } = check(
    'export * from "./inner.ts";\n',
    "// a comment, not documentation\nexport const bare = 1;\n",
  );
  expect(code).toBe(1);
  expect(output).toMatch(/packages.one.src.inner\.ts:2: bare is exported and has no doc comment/);
});
