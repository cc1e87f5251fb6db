// Installs with pnpm, which npx brings: Node and npm are all that a machine needs.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { root, run } from "./process.mjs";

const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const stamp = join(root, "node_modules", ".ft-install.json");

/** Puts the pnpm of `packageManager`, and the installed commands, on this process's PATH; turbo starts pnpm by name. */
export async function withPnpm() {
  const { code, output } = await run("npm", [
    "exec",
    "--yes",
    `--package=${manifest.packageManager}`,
    "--call",
    "node -p process.env.PATH",
  ]);
  if (code !== 0) return { code, output };
  const path = output.trim().split("\n").at(-1) ?? "";
  process.env.PATH = [path, join(root, "node_modules", ".bin")].join(delimiter);
  return { code, output: "" };
}

/** What an install depends on: the lockfile, which the manifests must agree with, and this Node. */
function state() {
  const hash = createHash("sha256");
  for (const file of ["pnpm-lock.yaml", "package.json", "pnpm-workspace.yaml"])
    hash.update(readFileSync(join(root, file)));
  return hash.update(process.version).digest("hex");
}

function installed() {
  if (!existsSync(stamp)) return {};
  return JSON.parse(readFileSync(stamp, "utf8"));
}

async function pnpmInstall(scope, args) {
  // Without this pnpm asks before it replaces a node_modules of another make, and nobody may be there to answer.
  const quiet = "--config.confirm-modules-purge=false";
  const result = await run("pnpm", ["install", "--frozen-lockfile", quiet, ...args]);
  if (result.code === 0) writeFileSync(stamp, `${JSON.stringify({ [scope]: state() })}\n`);
  return result;
}

/** Everything, with the tools that check. */
export async function installAll() {
  const pnpm = await withPnpm();
  return pnpm.code === 0 ? pnpmInstall("all", []) : pnpm;
}

/**
 * Only what running one workspace package needs: its dependencies, theirs, and what builds them (the root's
 * `dependencies`; what only checks stands in `devDependencies`). Does nothing when that, or everything, is there already.
 * @param {string} target name of a workspace package
 */
export async function installFor(target) {
  const { all, [target]: only } = installed();
  if (all === state() || only === state()) return { code: 0, output: "" };
  const pnpm = await withPnpm();
  if (pnpm.code !== 0) return pnpm;
  // A full install is refreshed as such; narrowing it would throw away the tools of someone who develops here.
  if (all !== undefined || existsSync(join(root, "node_modules", "vitest"))) return pnpmInstall("all", []);
  return pnpmInstall(target, ["--prod", "--filter", manifest.name, "--filter", `${target}...`]);
}
