#!/usr/bin/env node
// What a user gets, on the Node they have: the packed packages are installed into an empty folder by npm, every one is
// imported, a gradient is taken on the CPU backend, and the command prints its help. Where prebuilt libraries were built,
// the one for this machine must be what the CPU backend runs on.
//   node tools/smoke.mjs [node version ...]     after a build; each Node comes from npm
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { withPnpm } from "./lib/install.mjs";
import { packAll, packPlatforms } from "./lib/pack.mjs";
import { fitsHere } from "./lib/platforms.mjs";
import { run } from "./lib/process.mjs";
import { runSteps } from "./lib/steps.mjs";

const program = `
import assert from "node:assert/strict";
const packages = NAMES;
for (const name of packages) assert.ok(Object.keys(await import(name)).length > 0, name + " exports nothing");
const { parameter, sum, valueAndGrad } = { ...(await import("@ft/tensor")), ...(await import("@ft/tensor/ops")) };
const { createCpuBackend } = await import("@ft/backend-cpu");
const cpu = await createCpuBackend();
const w = parameter(cpu, "f32", ["n"], [3], Float32Array.of(1, 2, 3));
const { value, grads } = valueAndGrad(new Map([["w", w]]), () => sum(w));
assert.deepEqual([...(await value.read())], [6]);
assert.deepEqual([...(await grads.get("w").read())], [1, 1, 1]);
const prebuilt = PREBUILT;
const loaded = process.report.getReport().sharedObjects.filter((path) => /ft_cpu/.test(path));
if (prebuilt) assert.match(loaded.join(), new RegExp(prebuilt));
console.log(process.version, packages.length, "packages", loaded.join());
`;

const dir = mkdtempSync(join(tmpdir(), "ft-smoke-"));
const app = join(dir, "app");
const bin = (name) => join(app, "node_modules", ".bin", name);

/** Installs into the folder; what is there already is kept. */
const npmInstall = (...what) =>
  run("npm", ["install", "--no-audit", "--no-fund", "--ignore-scripts", ...what], { cwd: app });

let packed = [];
async function install() {
  const pnpm = await withPnpm();
  if (pnpm.code !== 0) return pnpm;
  packed = await packAll(dir);
  const prebuilt = (await packPlatforms(join(dir, "platforms"))).filter(fitsHere);
  mkdirSync(app);
  writeFileSync(
    join(app, "package.json"),
    '{ "name": "smoke", "version": "1.0.0", "private": true, "type": "module" }\n',
  );
  const names = JSON.stringify(packed.map((one) => one.name));
  const library = JSON.stringify(prebuilt[0]?.name ?? null);
  writeFileSync(join(app, "main.mjs"), program.replace("NAMES", names).replace("PREBUILT", library));
  // TensorFlow.js is the peer that a user of its backend brings.
  return npmInstall(...[...packed, ...prebuilt].map((one) => one.tarball), "@tensorflow/tfjs-core@4.22.0");
}

async function on(version) {
  const at = join(dir, `node-${version}`);
  mkdirSync(at);
  writeFileSync(join(at, "package.json"), '{ "name": "node", "version": "1.0.0", "private": true }\n');
  // The package "node" links its binary in an install script.
  const installed = await run("npm", ["install", "--no-audit", "--no-fund", `node@${version}`], { cwd: at });
  if (installed.code !== 0) return installed;
  const node = join(at, "node_modules", ".bin", "node");
  if (!existsSync(node)) return { code: 1, output: `node@${version} brought no binary` };
  const main = await run(node, ["main.mjs"], { cwd: app });
  if (main.code !== 0) return main;
  if (!main.output.includes(`v${version}.`))
    return { code: 1, output: `asked for Node ${version}, ran ${main.output}` };
  const help = await run(node, [bin("ft"), "--help"], { cwd: app });
  return help.code === 0 && !help.output.includes("train") ? { code: 1, output: `no help:\n${help.output}` } : help;
}

try {
  const versions = process.argv.slice(2);
  process.exitCode = await runSteps([
    { name: "packages installed by npm", run: install, needed: true },
    ...versions.map((version) => ({ name: `Node ${version}`, run: () => on(version) })),
  ]);
} finally {
  rmSync(dir, { recursive: true, force: true });
}
