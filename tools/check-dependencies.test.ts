import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";

const script = fileURLToPath(new URL("check-dependencies.mjs", import.meta.url));
let repository: string;

function write(path: string, text: string): void {
  mkdirSync(dirname(join(repository, path)), { recursive: true });
  writeFileSync(join(repository, path), text);
}
function addPackage(name: string, fields: object = {}, source = "export {};\n"): void {
  write(`packages/${name}/package.json`, JSON.stringify({ name: `@ft/${name}`, ...fields }, null, 2));
  write(`packages/${name}/src/index.ts`, source);
}
function check(): { code: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, "--root", repository], { encoding: "utf8" });
  return { code: status, output: (stdout + stderr).replaceAll("\\", "/") };
}
const peer = { peerDependencies: { "@ft/tensor": "workspace:^" } };

beforeEach(() => {
  repository = mkdtempSync(join(tmpdir(), "ft-directions-"));
  write("package.json", JSON.stringify({ devDependencies: { vitest: "4.1.12" } }));
  addPackage("tensor");
  addPackage("backend-cpu", peer, 'import "@ft/tensor";\n');
  addPackage("nn", peer, 'import "@ft/tensor";\n');
  addPackage("optim", peer);
  addPackage("trainer", { ...peer, dependencies: { "@ft/optim": "workspace:^" } }, 'import "@ft/optim";\n');
});
afterEach(() => rmSync(repository, { recursive: true, force: true }));

test("accepts inner layers, tests with development dependencies, and examples that import everything", () => {
  addPackage("lora", { ...peer, dependencies: { "@ft/nn": "*" }, devDependencies: { "@ft/backend-cpu": "*" } });
  write("packages/lora/src/index.ts", 'import type { Linear } from "@ft/nn";\nexport type { Linear };\n');
  write("packages/lora/src/lora.test.ts", 'import "@ft/backend-cpu";\nimport "vitest";\n');
  write(
    "examples/quick/package.json",
    JSON.stringify({
      name: "@ft/example-quick",
      private: true,
      dependencies: { "@ft/trainer": "*", "@ft/backend-cpu": "*" },
    }),
  );
  write("examples/quick/src/main.ts", 'import "@ft/trainer";\nimport "@ft/backend-cpu";\n');
  expect(check()).toEqual({ code: 0, output: expect.stringContaining("nothing against the rules") });
});

test("reports the file, the line and the rule of every import that is against the direction", () => {
  const cases = [
    ["lora", "@ft/backend-cpu", "only the command line, examples and tests import a backend"],
    ["eval", "@ft/trainer", "only the command line and examples import the trainer"],
    ["nn", "@ft/optim", "no leaf imports a leaf"],
    ["weights", "@ft/lora", "lora is of an outer layer"],
    ["tensor", "@ft/nn", "@ft/tensor imports no other package"],
    ["trainer", "@ft/data", "data stands beside the layers"],
    ["nn", "left-pad", "is not among the run-time dependencies of @ft/nn"],
    ["nn", "../../optim/src/index.ts", "leaves the package"],
    ["nn", "./nn.test.ts", "is a test"],
    ["nn", "@ft/nn", "is this package"],
    ["nn", "fs", 'write "node:fs"'],
  ] as const;
  for (const name of ["lora", "data", "eval", "weights"]) addPackage(name, peer);
  cases.forEach(([from, specifier], i) => {
    write(
      `packages/${from}/src/case${i}.ts`,
      `// a first line\nconst lazy = import("${specifier}");\nexport { lazy };\n`,
    );
  });
  const { code, output } = check();
  expect(code).toBe(1);
  cases.forEach(([from, , rule], i) => {
    const line = output.split("\n").find((each) => each.startsWith(`packages/${from}/src/case${i}.ts:2: `));
    expect(line).toContain(rule);
  });
});

test("reports manifests: a backend, tensor as a plain dependency, a peer that is a development dependency too", () => {
  addPackage("lora", { dependencies: { "@ft/backend-cpu": "*", "@ft/tensor": "*" } });
  addPackage("weights", { ...peer, devDependencies: { "@ft/tensor": "*" } });
  const { code, output } = check();
  expect(code).toBe(1);
  expect(output).toMatch(/packages\/lora\/package.json:4: dependencies "@ft\/backend-cpu"/);
  expect(output).toMatch(/packages\/lora\/package.json:5: @ft\/tensor is a peer dependency/);
  expect(output).toMatch(/packages\/weights\/package.json:7: "@ft\/tensor" is a peer/);
});

test("reports a cycle, development dependencies included", () => {
  addPackage("tensor", { devDependencies: { "@ft/nn": "*" } });
  expect(check().output).toContain("@ft/tensor -> @ft/nn -> @ft/tensor is a cycle");
});
